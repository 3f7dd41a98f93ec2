#include "chat/model_relay.h"

#include <fmt/core.h>

#include <chrono>

namespace tessera::chat {

ModelRelay::ModelRelay(ModelRelayOptions options, core::ChatSink* reader, const core::RequestContext& context,
                       const base::Clock& clock)
    : options_(options),
      reader_(reader),
      trace_(context.trace),
      clock_(clock),
      began_(clock.now()),
      filter_(options.sources) {}

core::Task<base::Result<>> ModelRelay::on_delta(core::ChatDelta delta) {
  std::string shown;
  if (!delta.text.empty()) {
    if (!streamed_ && trace_ != nullptr) {
      trace_->add_stage("first_token", std::chrono::duration<double, std::milli>(clock_.now() - began_).count());
    }
    streamed_ = true;
    if (options_.check_markers) {
      filter_.push(delta.text, shown);
    } else {
      shown = std::move(delta.text);
    }
  }
  co_return co_await pass(std::move(shown), std::move(delta.extra_json));
}

core::Task<base::Result<>> ModelRelay::finish(std::string content) {
  std::string shown;
  if (options_.check_markers) {
    if (!streamed_) filter_.push(content, shown);
    filter_.finish(shown);
  } else if (!streamed_) {
    shown = std::move(content);
  }
  co_return co_await pass(std::move(shown), "");
}

core::Task<base::Result<>> ModelRelay::pass(std::string shown, std::string extra_json) {
  if (shown.empty() && extra_json.empty()) co_return base::Result<>{};
  if (answer_.size() + shown.size() > options_.answer_bytes_max) {
    co_return base::fail(
        base::Code::upstream, "ANSWER_TOO_LARGE",
        fmt::format("The model's answer grew over {} bytes and was stopped.", options_.answer_bytes_max));
  }
  answer_ += shown;
  if (reader_ == nullptr) co_return base::Result<>{};
  core::ChatDelta delta;
  delta.text = std::move(shown);
  delta.extra_json = std::move(extra_json);
  co_return co_await reader_->on_delta(std::move(delta));
}

}  // namespace tessera::chat
