#include "llm/providers/openai_model.h"

#include "llm/providers/openai_dialect.h"
#include "llm/providers/relay_answer.h"
#include "llm/providers/relay_request.h"

namespace tessera::llm {

using core::Task;

namespace {
constexpr base::Millis kEndMax{20};
}  // namespace

OpenAiModel::OpenAiModel(std::shared_ptr<ProviderClient> client) : client_(std::move(client)) {}

Task<base::Result<std::string>> OpenAiModel::relay(const core::RequestContext& context,
                                                   const core::RelayRequest& request, core::RelaySink* sink,
                                                   core::RelayReport& report) {
  const ProviderOptions& options = client_->options();
  report.provider = options.name;
  if (sink != nullptr) {
    TESSERA_CO_CHECK(co_await stream(context, request, *sink, report));
    co_return std::string();
  }
  const std::string_view model = client_->upstream_name(request.model);
  TESSERA_CO_TRY(std::string body, relay_request_body(request.body, {model, false, *options.kind}));
  TESSERA_CO_TRY(
      std::string answer,
      co_await client_->call(context, provider_path(*options.kind, options.kind->chat, model), std::move(body)));
  report.model = model;
  TESSERA_CO_CHECK(read_relayed_answer({options.name, options.api_key, true}, answer, report));
  co_return answer;
}

Task<base::Result<>> OpenAiModel::stream(const core::RequestContext& context, const core::RelayRequest& request,
                                         core::RelaySink& sink, core::RelayReport& report) {
  const ProviderOptions& options = client_->options();
  const std::string_view model = client_->upstream_name(request.model);
  TESSERA_CO_TRY(std::string body, relay_request_body(request.body, {model, true, *options.kind}));
  TESSERA_CO_TRY(
      ProviderClient::Stream response,
      co_await client_->open(context, provider_path(*options.kind, options.kind->chat, model), std::move(body)));
  RelayStream events({options.name, options.api_key, request.include_usage}, report);
  while (!events.done()) {
    auto bytes = co_await response.body->next();
    const bool ended = !bytes || !*bytes;
    // A stream that is cut between its last word and "[DONE]" is whole.
    if (!bytes && !events.complete()) co_return std::unexpected(client_->broken(context, std::move(bytes).error()));
    const std::string_view whole = ended ? events.finish() : events.feed(**std::move(bytes));
    if (!whole.empty()) {
      report.started = events.answering();
      TESSERA_CO_CHECK(co_await sink.on_events(whole));
    }
    if (events.error()) {
      if (events.error()->name != "STREAM_ENDED") co_return std::unexpected(*events.error());
      co_return std::unexpected(client_->broken(context, *events.error()));
    }
  }
  if (report.model.empty()) report.model = model;
  // The end of the response, mostly there already, keeps the connection usable for the next request.
  response.body->set_idle_timeout(kEndMax);
  (void)co_await response.body->next();
  co_return base::Result<>{};
}

Task<base::Result<std::vector<std::string>>> OpenAiModel::list_models(const core::RequestContext& context) {
  TESSERA_CO_TRY(const std::string response, co_await client_->call(context, "/models", {}));
  co_return parse_model_list(client_->options().name, response);
}

}  // namespace tessera::llm
