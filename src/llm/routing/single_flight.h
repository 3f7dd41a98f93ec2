#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "core/chat_model.h"
#include "observe/cells.h"

namespace tessera::llm {

/// A model of which identical requests that are under way at once share one call: same app, same rule on which models
/// may answer, same model, same body to the byte, none streamed. The first makes the call, the others wait for it (each
/// to its own deadline) and get the same answer or error. When the first leaves or runs out of time, another takes
/// over. Answers are not kept. Thread-safe. Errors: those of the model.
class SingleFlight final : public core::ChatModel {
 public:
  /// Is told of each answer that a request got without a call of its own; an error is what it gets instead.
  using OnShared = std::function<base::Result<>(const core::RequestContext&, const core::RelayReport&)>;
  /// `shared` counts the requests that had no call of their own, those that failed as well; may be null, else outlives
  /// it. `on_shared` may be empty.
  explicit SingleFlight(std::shared_ptr<core::ChatModel> inner, observe::Counter* shared = nullptr,
                        OnShared on_shared = {})
      : inner_(std::move(inner)), shared_(shared), on_shared_(std::move(on_shared)) {}

  [[nodiscard]] bool relays() const override { return inner_->relays(); }
  core::Task<base::Result<std::string>> relay(const core::RequestContext& context, const core::RelayRequest& request,
                                              core::RelaySink* sink, core::RelayReport& report) override;
  core::Task<base::Result<core::ChatCompletion>> generate(const core::RequestContext& context,
                                                          const core::ChatRequest& request,
                                                          core::ChatSink* sink) override {
    return inner_->generate(context, request, sink);
  }

 private:
  struct Flight;
  core::Task<base::Result<std::string>> join(const core::RequestContext& context, const core::RelayRequest& request,
                                             core::RelayReport& report);
  void land(const std::string& key);

  std::shared_ptr<core::ChatModel> inner_;
  observe::Counter* shared_;
  OnShared on_shared_;
  std::mutex mutex_;
  std::unordered_map<std::string, std::shared_ptr<Flight>> flights_;  // guarded by mutex_
};

}  // namespace tessera::llm
