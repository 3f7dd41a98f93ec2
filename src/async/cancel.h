#pragma once

#include <cstdint>
#include <functional>
#include <memory>

namespace tessera::async {

/// Asks work to stop. Copies share one state; the default-constructed token never cancels. Thread-safe.
class CancelToken {
 public:
  CancelToken() = default;
  [[nodiscard]] bool cancelled() const;
  /// False for the default-constructed token.
  [[nodiscard]] bool can_cancel() const { return state_ != nullptr; }

 private:
  friend class CancelSource;
  friend class CancelCallback;
  struct State;
  explicit CancelToken(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

/// The owner's end. `cancel()` sets the flag once and runs the registered callbacks on the calling thread.
class CancelSource {
 public:
  CancelSource();
  [[nodiscard]] CancelToken token() const { return CancelToken(state_); }
  void cancel();

 private:
  std::shared_ptr<CancelToken::State> state_;
};

/// Runs `callback` when the token is cancelled (at once if it already is); unregisters on destruction, waiting for a
/// callback that is running on another thread. The callback must be quick and must not destroy this object.
class CancelCallback {
 public:
  CancelCallback(const CancelToken& token, std::function<void()> callback);
  ~CancelCallback();
  CancelCallback(const CancelCallback&) = delete;
  CancelCallback& operator=(const CancelCallback&) = delete;

 private:
  std::shared_ptr<CancelToken::State> state_;
  uint64_t id_ = 0;
};

}  // namespace tessera::async
