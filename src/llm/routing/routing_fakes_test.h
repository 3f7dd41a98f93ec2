#pragma once

#include <deque>
#include <mutex>
#include <string>
#include <vector>

#include "async/deadline.h"
#include "base/clock.h"
#include "core/chat_model.h"

namespace tessera::llm::testing {

/// What a fake model does with one call: pieces are passed on first, then the call ends with the error or well.
struct Step {
  std::vector<std::string> pieces = {};
  std::string error = {};  ///< name; empty: the answer is "NAME:answer"
  base::Code code = base::Code::upstream;
  std::optional<base::Millis> retry_after = {};
  base::Millis takes{0};  ///< of the manual clock
  bool hang = false;      ///< until cancelled
  std::string finish_reason = "stop";
};

/// Plays steps in order; when they are used up, `otherwise`. Thread-safe.
class FakeModel final : public core::ChatModel {
 public:
  FakeModel(std::string name, base::ManualClock& clock) : name_(std::move(name)), clock_(clock) {}

  void play(std::vector<Step> steps) {
    const std::lock_guard lock(mutex_);
    for (Step& step : steps) steps_.push_back(std::move(step));
  }
  void otherwise(Step step) {
    const std::lock_guard lock(mutex_);
    otherwise_ = std::move(step);
  }
  [[nodiscard]] int calls() const {
    const std::lock_guard lock(mutex_);
    return calls_;
  }
  [[nodiscard]] core::ChatRequest last_request() const {
    const std::lock_guard lock(mutex_);
    return last_;
  }

  [[nodiscard]] bool relays() const override { return relays_; }
  bool relays_ = true;

  core::Task<base::Result<std::string>> relay(const core::RequestContext& context, const core::RelayRequest&,
                                              core::RelaySink* sink, core::RelayReport& report) override {
    const Step step = next();
    report.provider = name_;
    for (const std::string& piece : step.pieces) {
      if (sink == nullptr) break;
      TESSERA_CO_CHECK(co_await sink->on_events(piece));
      report.started = true;
      report.answer_bytes += static_cast<int64_t>(piece.size());
    }
    TESSERA_CO_CHECK(co_await end(context, step));
    report.finish_reason = step.finish_reason;
    report.usage.prompt_tokens = 7;
    if (step.finish_reason == "stop" && sink == nullptr) report.answer_bytes = 6;
    co_return sink != nullptr ? std::string() : name_ + ":answer";
  }
  core::Task<base::Result<core::ChatCompletion>> generate(const core::RequestContext& context,
                                                          const core::ChatRequest& request,
                                                          core::ChatSink* sink) override {
    const Step step = next();
    {
      const std::lock_guard lock(mutex_);
      last_ = request;
    }
    for (const std::string& piece : step.pieces) {
      if (sink == nullptr) break;
      TESSERA_CO_CHECK(co_await sink->on_delta({.text = piece, .extra_json = {}}));
    }
    TESSERA_CO_CHECK(co_await end(context, step));
    core::ChatCompletion completion;
    completion.model = name_;
    completion.finish_reason = step.finish_reason;
    if (step.finish_reason == "stop") completion.content = name_ + ":answer";
    co_return completion;
  }

 private:
  Step next() {
    const std::lock_guard lock(mutex_);
    ++calls_;
    if (steps_.empty()) return otherwise_;
    Step step = std::move(steps_.front());
    steps_.pop_front();
    return step;
  }
  core::Task<base::Result<>> end(const core::RequestContext& context, Step step) {
    clock_.advance(step.takes);
    if (step.hang) co_return co_await async::sleep_for(std::chrono::hours(1), context.cancel);
    if (step.error.empty()) co_return base::Result<>{};
    auto error = base::make_error(step.code, step.error, "scripted");
    error.retry_after = step.retry_after;
    co_return std::unexpected(std::move(error));
  }

  const std::string name_;
  base::ManualClock& clock_;
  mutable std::mutex mutex_;
  std::deque<Step> steps_;  // guarded by mutex_, as all below
  Step otherwise_;
  int calls_ = 0;
  core::ChatRequest last_;
};

/// Keeps what it is given; refuses after `accepts` pieces.
class Reader final : public core::RelaySink, public core::ChatSink {
 public:
  core::Task<base::Result<>> on_events(std::string_view events) override { return take(std::string(events)); }
  core::Task<base::Result<>> on_delta(core::ChatDelta delta) override { return take(std::move(delta.text)); }
  std::string text;
  size_t accepts = SIZE_MAX;

 private:
  core::Task<base::Result<>> take(std::string piece) {
    if (accepts-- == 0) co_return base::fail(base::Code::cancelled, "READER_LEFT", "gone");
    text += piece;
    co_return base::Result<>{};
  }
};

inline Step failing(std::string name, base::Code code, std::optional<base::Millis> retry_after = {}) {
  Step step;
  step.error = std::move(name);
  step.code = code;
  step.retry_after = retry_after;
  return step;
}
inline Step down() {
  return failing("PROVIDER_UNAVAILABLE", base::Code::unavailable);
}
inline Step limited(std::optional<base::Millis> retry_after = {}) {
  return failing("PROVIDER_RATE_LIMIT", base::Code::exhausted, retry_after);
}

}  // namespace tessera::llm::testing
