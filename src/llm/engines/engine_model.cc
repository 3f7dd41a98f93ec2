#include "llm/engines/engine_model.h"

#include <fmt/format.h>

#include "llm/engines/engine_call.h"
#include "text/json_skim.h"

namespace tessera::llm {
namespace {

/// Remembers whether anything was passed on.
class WatchedSink final : public core::RelaySink {
 public:
  explicit WatchedSink(core::RelaySink* inner) : inner_(inner) {}
  core::Task<base::Result<>> on_events(std::string_view events) override {
    seen_ = true;
    return inner_->on_events(events);
  }
  [[nodiscard]] bool seen() const { return seen_; }

 private:
  core::RelaySink* inner_;
  bool seen_ = false;
};

}  // namespace

bool engine_was_lost(const base::Error& error) {
  return error.name == "PROVIDER_UNAVAILABLE" || error.name == "PROVIDER_UNUSABLE" || error.name == "STREAM_BROKEN";
}

SlotHints read_slot_hints(std::string_view body) {
  SlotHints hints;
  std::vector<text::JsonMember> members;
  if (!text::skim_json_object(body, members)) return hints;
  if (const auto* messages = text::find_member(members, "messages")) hints.conversation = messages->value;
  if (const auto* n = text::find_member(members, "n")) hints.several = text::json_integer(n->value).value_or(1) > 1;
  return hints;
}

std::string with_slot(std::string_view body, size_t slot) {
  const size_t open = body.find('{');
  if (open == std::string_view::npos) return std::string(body);
  const size_t next = body.find_first_not_of(" \t\r\n", open + 1);
  const bool empty = next == std::string_view::npos || body[next] == '}';
  return fmt::format(R"({{"id_slot":{}{}{})", slot, empty ? "" : ",", body.substr(open + 1));
}

core::Task<base::Result<std::string>> EngineModel::relay(const core::RequestContext& context,
                                                         const core::RelayRequest& request, core::RelaySink* sink,
                                                         core::RelayReport& report) {
  report.provider = kLocalProvider;
  const SlotHints hints = read_slot_hints(request.body);
  const bool pick = !hints.several && pool_.spec().slots > 1;
  WatchedSink watched(sink);
  auto call = [&](EnginePool::Lease& lease) -> core::Task<base::Result<std::string>> {
    report = {};
    core::RelayRequest sent = request;
    if (pick) sent.body = with_slot(request.body, lease.slot());
    co_return co_await lease.model().relay(context, sent, sink == nullptr ? nullptr : &watched, report);
  };
  auto again = [&] { return !watched.seen(); };
  auto answer = co_await call_engine(pool_, context, prefix_of(hints.conversation), call, again);
  report.provider = kLocalProvider;
  co_return answer;
}

}  // namespace tessera::llm
