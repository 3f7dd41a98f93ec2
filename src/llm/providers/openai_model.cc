#include "llm/providers/openai_model.h"

#include "llm/providers/openai_dialect.h"
#include "wire/sse.h"

namespace tessera::llm {

using core::Task;

OpenAiModel::OpenAiModel(std::shared_ptr<ProviderClient> client) : client_(std::move(client)) {}

Task<base::Result<core::ChatCompletion>> OpenAiModel::generate(const core::RequestContext& context,
                                                               const core::ChatRequest& request, core::ChatSink* sink) {
  const std::string_view model = client_->upstream_name(request.model);
  TESSERA_CO_TRY(std::string body, render_chat_request(request, model, sink != nullptr));
  if (sink != nullptr) co_return co_await stream(context, std::move(body), *sink);
  TESSERA_CO_TRY(const std::string response, co_await client_->call(context, "/chat/completions", std::move(body)));
  TESSERA_CO_TRY(core::ChatCompletion completion, parse_chat_response(client_->options().name, response));
  if (completion.model.empty()) completion.model = model;
  co_return completion;
}

Task<base::Result<core::ChatCompletion>> OpenAiModel::stream(const core::RequestContext& context, std::string body,
                                                             core::ChatSink& sink) {
  TESSERA_CO_TRY(ProviderClient::Stream response,
                 co_await client_->open(context, "/chat/completions", std::move(body)));
  ChatAssembly assembly(client_->options().name);
  wire::SseParser parser;
  std::vector<wire::SseEvent> events;
  while (!assembly.done()) {
    auto bytes = co_await response.body->next();
    if (!bytes && assembly.complete()) break;  // cut between the last word and "[DONE]"
    if (!bytes) co_return std::unexpected(client_->broken(context, std::move(bytes).error()));
    if (!*bytes) break;
    events.clear();
    TESSERA_CO_CHECK(parser.feed(**bytes, events));
    for (const wire::SseEvent& event : events) {
      core::ChatDelta delta;
      TESSERA_CO_CHECK(assembly.feed(event.data, delta));
      if (delta.text.empty() && delta.extra_json.empty()) continue;
      TESSERA_CO_CHECK(co_await sink.on_delta(std::move(delta)));
    }
  }
  if (!assembly.complete()) {
    co_return std::unexpected(
        client_->broken(context, base::make_error(base::Code::upstream, "STREAM_ENDED", "the stream just ended")));
  }
  co_return assembly.finish();
}

Task<base::Result<std::vector<std::string>>> OpenAiModel::list_models(const core::RequestContext& context) {
  TESSERA_CO_TRY(const std::string response, co_await client_->call(context, "/models", {}));
  co_return parse_model_list(client_->options().name, response);
}

}  // namespace tessera::llm
