#include "llm/providers/relayed_model.h"

#include <utility>
#include <vector>

#include "llm/providers/openai_dialect.h"
#include "wire/sse.h"

namespace tessera::llm {
namespace {

using core::Task;

constexpr size_t kEventBytesMax = 16UL * 1024 * 1024;

// Turns relayed events into deltas for a chat's reader.
class DeltaSink final : public core::RelaySink {
 public:
  DeltaSink(std::string provider, core::ChatSink& sink) : assembly_(std::move(provider)), sink_(sink) {}

  Task<base::Result<>> on_events(std::string_view events) override {
    events_.clear();
    TESSERA_CO_CHECK(parser_.feed(events, events_));
    for (const wire::SseEvent& event : events_) {
      core::ChatDelta delta;
      TESSERA_CO_CHECK(assembly_.feed(event.data, delta));
      if (delta.text.empty() && delta.extra_json.empty()) continue;
      TESSERA_CO_CHECK(co_await sink_.on_delta(std::move(delta)));
    }
    co_return base::Result<>{};
  }
  core::ChatCompletion finish() { return assembly_.finish(); }

 private:
  ChatAssembly assembly_;
  core::ChatSink& sink_;
  wire::SseParser parser_{kEventBytesMax};
  std::vector<wire::SseEvent> events_;
};

}  // namespace

Task<base::Result<core::ChatCompletion>> generate_by_relay(core::ChatModel& model, const core::RequestContext& context,
                                                           const core::ChatRequest& request, core::ChatSink* sink) {
  core::RelayRequest relayed;
  relayed.model = request.model;
  relayed.stream = sink != nullptr;
  relayed.include_usage = true;
  TESSERA_CO_TRY(relayed.body, render_chat_request(request, request.model, relayed.stream));
  core::RelayReport report;
  core::ChatCompletion completion;
  if (sink != nullptr) {
    DeltaSink deltas(request.model, *sink);
    TESSERA_CO_CHECK(co_await model.relay(context, relayed, &deltas, report));
    completion = deltas.finish();
  } else {
    TESSERA_CO_TRY(const std::string body, co_await model.relay(context, relayed, nullptr, report));
    TESSERA_CO_TRY(completion, parse_chat_response(report.provider, body));
  }
  if (completion.model.empty()) completion.model = report.model;
  if (report.usage_reported) completion.usage = report.usage;
  co_return completion;
}

Task<base::Result<core::ChatCompletion>> RelayedModel::generate(const core::RequestContext& context,
                                                                const core::ChatRequest& request,
                                                                core::ChatSink* sink) {
  co_return co_await generate_by_relay(*this, context, request, sink);
}

}  // namespace tessera::llm
