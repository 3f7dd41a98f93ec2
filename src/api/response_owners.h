#pragma once

#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace tessera::api {

/// Which app made which of the responses that providers keep, and with which model: providers know one key for all
/// apps, so whose a response is must be known here. The last kEntriesMax of them since the server's start. Thread-safe.
class ResponseOwners {
 public:
  static constexpr size_t kEntriesMax = 65'536;

  /// The first to name a response owns it.
  void note(std::string_view app_id, std::string_view response_id, std::string_view model);
  /// The model, when the response is this app's.
  [[nodiscard]] std::optional<std::string> model_of(std::string_view app_id, std::string_view response_id) const;
  /// Whether another app made it.
  [[nodiscard]] bool strange(std::string_view app_id, std::string_view response_id) const;
  void forget(std::string_view response_id);

 private:
  struct Owner {
    std::string app_id;
    std::string model;
  };
  mutable std::mutex mutex_;
  std::unordered_map<std::string, Owner> owners_;  // guarded by mutex_
  std::deque<std::string> order_;                  // guarded by mutex_; oldest first, forgotten ones too
};

}  // namespace tessera::api
