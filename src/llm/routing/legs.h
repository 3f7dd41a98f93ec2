#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>

#include "async/cancel.h"
#include "core/chat_model.h"
#include "core/model_profile.h"
#include "llm/routing/router.h"

namespace tessera::llm {

/// Decides which of two legs of a race speaks: the first that has something to pass on. Thread-safe.
class Gate {
 public:
  /// True when `leg` (0 or 1) speaks, now or since before; the first such call cancels the other leg.
  bool claim(size_t leg) {
    int nobody = kNobody;
    const int me = static_cast<int>(leg);
    if (!speaker_.compare_exchange_strong(nobody, me)) return nobody == me;
    stops_[1 - leg].cancel();
    return true;
  }
  [[nodiscard]] bool claimed() const { return speaker_.load() != kNobody; }
  [[nodiscard]] async::CancelSource& stop(size_t leg) { return stops_[leg]; }

 private:
  static constexpr int kNobody = -1;
  std::atomic<int> speaker_{kNobody};
  std::array<async::CancelSource, 2> stops_;
};

/// Passes an answer on and notes that something of it has passed. Forwards the reader's task, so it costs nothing; an
/// error of the reader comes back through the model and is final, because something has started by then.
class Tap final : public core::RelaySink, public core::ChatSink {
 public:
  Tap(core::RelaySink* events, core::ChatSink* deltas) : events_(events), deltas_(deltas) {}
  void join_race(Gate& gate, size_t leg) {
    gate_ = &gate;
    leg_ = leg;
  }
  core::Task<base::Result<>> on_events(std::string_view events) override {
    return speaks() ? events_->on_events(events) : lost();
  }
  core::Task<base::Result<>> on_delta(core::ChatDelta delta) override {
    if (!speaks()) return lost();
    if (piece_max_ > 0 && delta.text.size() > piece_max_) return in_pieces(std::move(delta));
    return deltas_->on_delta(std::move(delta));
  }
  /// Longer pieces of text are cut: ModelProfile::stream_chunk_size.
  void cut_pieces(int64_t characters) { piece_max_ = static_cast<size_t>(characters); }
  /// Whose answer it is, and where to say so before the reader gets anything; both outlive the tap's calls.
  void signed_by(const std::string& name, std::string& told) {
    name_ = &name;
    told_ = &told;
  }
  [[nodiscard]] bool started() const { return started_; }

 private:
  bool speaks() {
    if (started_) return true;
    started_ = gate_ == nullptr || gate_->claim(leg_);
    if (started_ && told_ != nullptr) *told_ = *name_;
    return started_;
  }
  core::Task<base::Result<>> in_pieces(core::ChatDelta delta);
  static core::Task<base::Result<>> lost() {
    co_return base::fail(base::Code::cancelled, "HEDGE_LOST", "another call answered first");
  }

  core::RelaySink* events_;
  core::ChatSink* deltas_;
  Gate* gate_ = nullptr;
  size_t leg_ = 0;
  size_t piece_max_ = 0;  // characters; 0: pieces stay as they are
  const std::string* name_ = nullptr;
  std::string* told_ = nullptr;
  bool started_ = false;
};

/// One call of one candidate on the way of relay().
struct RelayLeg {
  using Result = base::Result<std::string>;
  struct Ask {
    const core::RelayRequest& request;
    core::RelaySink* sink;
    core::RelayReport& report;
  };
  explicit RelayLeg(const Ask& what) : ask(what), tap(what.sink, nullptr) {}

  core::Task<Result> start(const Candidate& candidate, const core::RequestContext& context) {
    endpoint = &candidate.endpoint->name();
    tap.signed_by(*endpoint, ask.report.endpoint);
    return candidate.model->relay(context, ask.request, ask.sink == nullptr ? nullptr : &tap, report);
  }
  [[nodiscard]] bool streams() const { return ask.sink != nullptr; }
  /// A content filter left nothing of the answer, and nothing has been passed on.
  [[nodiscard]] bool filtered() const {
    return !tap.started() && report.finish_reason == "content_filter" && report.answer_bytes == 0;
  }
  void deliver_report() {
    ask.report = std::move(report);
    ask.report.endpoint = *endpoint;
  }

  Ask ask;
  Tap tap;
  core::RelayReport report;
  const std::string* endpoint = nullptr;  // its name
  Result result;
};

/// One call of one candidate on the way of generate(). What the request does not say comes from the candidate's
/// profile, else from its defaults. Models that reason refuse temperature and top_p, so none is made up for them.
struct GenerateLeg {
  using Result = base::Result<core::ChatCompletion>;
  struct Ask {
    const core::ChatRequest& request;
    core::ChatSink* sink;
  };
  explicit GenerateLeg(const Ask& what) : ask(what), tap(nullptr, what.sink) {}

  core::Task<Result> start(const Candidate& candidate, const core::RequestContext& context) {
    if (candidate.profile != nullptr) tap.cut_pieces(candidate.profile->stream_chunk_size);
    const core::ChatRequest& request = completed(candidate.profile);
    return candidate.model->generate(context, request, ask.sink == nullptr ? nullptr : &tap);
  }
  [[nodiscard]] bool streams() const { return ask.sink != nullptr; }
  [[nodiscard]] bool filtered() const {
    return !tap.started() && result && result->finish_reason == "content_filter" && result->content.empty();
  }
  void deliver_report() {}

  Ask ask;
  Tap tap;
  std::optional<core::ChatRequest> own;
  Result result;

 private:
  const core::ChatRequest& completed(const core::ModelProfile* profile);
};

}  // namespace tessera::llm
