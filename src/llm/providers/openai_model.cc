#include "llm/providers/openai_model.h"

#include "llm/providers/openai_dialect.h"
#include "llm/providers/relay_answer.h"
#include "llm/providers/relay_request.h"

namespace tessera::llm {

using core::Task;

OpenAiModel::OpenAiModel(std::shared_ptr<ProviderClient> client) : client_(std::move(client)) {}

Task<base::Result<std::string>> OpenAiModel::relay(const core::RequestContext& context,
                                                   const core::RelayRequest& request, core::RelaySink* sink,
                                                   core::RelayReport& report) {
  const ProviderOptions& options = client_->options();
  report.provider = options.name;
  report.model = client_->upstream_name(request.model);
  if (sink != nullptr) {
    TESSERA_CO_CHECK(co_await stream(context, request, *sink, report));
    co_return std::string();
  }
  const std::string_view model = client_->upstream_name(request.model);
  TESSERA_CO_TRY(std::string body, relay_request_body(request.body, {model, false, *options.kind}));
  TESSERA_CO_TRY(std::string answer,
                 co_await client_->call(context, options.path(options.kind->chat, model), std::move(body)));
  report.model = model;
  TESSERA_CO_CHECK(read_relayed_answer({options.name, options.api_key, true}, answer, report));
  co_return answer;
}

Task<base::Result<>> OpenAiModel::stream(const core::RequestContext& context, const core::RelayRequest& request,
                                         core::RelaySink& sink, core::RelayReport& report) {
  const ProviderOptions& options = client_->options();
  const std::string_view model = client_->upstream_name(request.model);
  TESSERA_CO_TRY(std::string body, relay_request_body(request.body, {model, true, *options.kind}));
  TESSERA_CO_TRY(ProviderClient::Stream response,
                 co_await client_->open(context, options.path(options.kind->chat, model), std::move(body)));
  report.model.clear();
  const auto passed = co_await relay_events(*client_, context, *response.body,
                                            {options.name, options.api_key, request.include_usage}, {&sink, report});
  if (report.model.empty()) report.model = model;
  co_return passed;
}

Task<base::Result<std::vector<std::string>>> OpenAiModel::list_models(const core::RequestContext& context) {
  TESSERA_CO_TRY(const std::string response, co_await client_->call(context, "/models", {}));
  co_return parse_model_list(client_->options().name, response);
}

}  // namespace tessera::llm
