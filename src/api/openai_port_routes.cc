#include "api/openai_port_routes.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "api/openai_relay.h"
#include "core/model_ports.h"
#include "wire/multipart.h"

namespace tessera::api {
namespace {

base::Error unable(std::string_view model, std::string_view what) {
  return base::make_error(base::Code::invalid, "MODEL_UNABLE",
                          fmt::format("The model '{}' does not {}; GET /v1/models lists what there is.", model, what),
                          {}, "model");
}

/// `wanted` of the model's ports. Errors: not_found MODEL_NOT_FOUND, invalid MODEL_UNABLE.
template <class Port>
base::Result<std::shared_ptr<Port>> port_of(const ApiParts& parts, std::string_view model,
                                            std::shared_ptr<Port> core::ModelPorts::* wanted, std::string_view what) {
  if (auto port = parts.models.ports(model).*wanted) return port;
  TESSERA_CHECK(parts.models.find(model));
  return std::unexpected(unable(model, what));
}

}  // namespace

void OpenAiPortRoutes::bind(std::array<RouteHandler, kRouteCount>& handlers) {
  const auto at = [&](RouteId id) -> RouteHandler& { return handlers[static_cast<size_t>(id)]; };
  at(RouteId::responses) = [this](Call& call) { return responses(call); };
  at(RouteId::transcriptions) = [this](Call& call) { return transcriptions(call); };
  at(RouteId::rerank) = [this](Call& call) { return rerank(call); };
}

async::Task<base::Result<Reply>> OpenAiPortRoutes::embeddings(Call& call, core::EmbeddingsRelay& port,
                                                              std::string model) {
  core::RelayRequest request;
  request.model = std::move(model);
  request.body = std::move(call.request.body);
  core::RelayReport report;
  co_return co_await write_relayed(parts_, call, false, [&](const core::RequestContext& context, core::RelaySink*) {
    return port.embeddings(context, request, report);
  });
}

async::Task<base::Result<Reply>> OpenAiPortRoutes::responses(Call& call) {
  TESSERA_CO_TRY(CompletionAsk ask, read_ask(call.request.body, RelayedForm::other));
  call.context.user_id = std::move(ask.user);
  core::RelayRequest request = std::move(ask.request);
  if (request.model.empty()) request.model = parts_.models.default_model();
  TESSERA_CO_TRY(const auto port, port_of(parts_, request.model, &core::ModelPorts::responses,
                                          "answer /v1/responses; ask /v1/chat/completions"));
  request.body = std::move(call.request.body);
  core::RelayReport report;
  const bool stream = request.stream;
  co_return co_await write_relayed(parts_, call, stream,
                                   [&](const core::RequestContext& context, core::RelaySink* sink) {
                                     return port->respond(context, request, sink, report);
                                   });
}

async::Task<base::Result<Reply>> OpenAiPortRoutes::rerank(Call& call) {
  TESSERA_CO_TRY(CompletionAsk ask, read_ask(call.request.body, RelayedForm::other));
  core::RelayRequest request = std::move(ask.request);
  TESSERA_CO_TRY(const auto port, port_of(parts_, request.model, &core::ModelPorts::rerank, "rank texts"));
  request.body = std::move(call.request.body);
  core::RelayReport report;
  co_return co_await write_relayed(parts_, call, false, [&](const core::RequestContext& context, core::RelaySink*) {
    return port->rerank(context, request, report);
  });
}

async::Task<base::Result<Reply>> OpenAiPortRoutes::transcriptions(Call& call) {
  TESSERA_CO_TRY(const std::string boundary,
                 wire::multipart_boundary(call.request.header("content-type").value_or("")));
  TESSERA_CO_TRY(const auto parts, wire::parse_multipart(call.request.body, boundary));
  core::TranscriptionRequest request;
  for (const wire::MultipartPart& part : parts) {
    if (part.name == "model" && !part.is_file) request.model = part.body.substr(0, 256);
    request.form.push_back(
        {.name = part.name, .file_name = part.file_name, .content_type = part.content_type, .body = part.body});
  }
  if (std::ranges::none_of(parts,
                           [](const wire::MultipartPart& part) { return part.name == "file" && part.is_file; })) {
    co_return base::fail(base::Code::invalid, "MISSING_FIELD", "The form needs a part 'file' with the sound.",
                         std::string(), "file");
  }
  TESSERA_CO_TRY(const auto port,
                 port_of(parts_, request.model, &core::ModelPorts::transcription, "transcribe speech"));
  core::RelayReport report;
  std::string content_type;
  // The text is the answer's body; what it is was said beside it.
  const auto transcribe = [&](const core::RequestContext& context) -> async::Task<base::Result<std::string>> {
    TESSERA_CO_TRY(core::Transcription made, co_await port->transcribe(context, request, report));
    content_type = std::move(made.content_type);
    co_return std::move(made.body);
  };
  auto reply = co_await write_relayed(
      parts_, call, false, [&](const core::RequestContext& context, core::RelaySink*) { return transcribe(context); });
  if (reply && !content_type.empty()) reply->content_type = std::move(content_type);
  co_return reply;
}

}  // namespace tessera::api
