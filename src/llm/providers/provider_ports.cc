#include "llm/providers/provider_ports.h"

#include <fmt/format.h>

#include <algorithm>

#include "llm/providers/openai_dialect.h"
#include "llm/providers/relay_answer.h"
#include "llm/providers/relay_request.h"
#include "text/json_skim.h"

namespace tessera::llm {
namespace {

using base::Code;
using core::Task;

// Names in a form's head must not end their line or their quotes.
std::string form_name(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (c == '"') {
      out += "%22";
    } else if (c != '\r' && c != '\n' && c != '\0') {
      out += c;
    }
  }
  return out;
}

// Long enough that no part holds it by chance, and checked all the same.
std::string free_boundary(const std::vector<core::FormPart>& parts) {
  for (uint64_t number = 0;; ++number) {
    std::string boundary = fmt::format("tessera-form-{:016x}-7d1f6b93", number);
    const auto holds = [&](const core::FormPart& part) { return part.body.find(boundary) != std::string_view::npos; };
    if (std::ranges::none_of(parts, holds)) return boundary;
  }
}

/// All ports of one OpenAI-compatible provider.
class ProviderPorts final : public core::EmbeddingsRelay,
                            public core::RerankRelay,
                            public core::ResponsesRelay,
                            public core::TranscriptionRelay,
                            public core::ModelLister,
                            public core::StoredResponses {
 public:
  explicit ProviderPorts(std::shared_ptr<ProviderClient> client) : client_(std::move(client)) {}

  Task<base::Result<std::string>> embeddings(const core::RequestContext& context, const core::RelayRequest& request,
                                             core::RelayReport& report) override {
    co_return co_await whole(context, request, kind().embeddings, report);
  }
  Task<base::Result<std::string>> rerank(const core::RequestContext& context, const core::RelayRequest& request,
                                         core::RelayReport& report) override {
    co_return co_await whole(context, request, kind().rerank, report);
  }

  Task<base::Result<std::string>> respond(const core::RequestContext& context, const core::RelayRequest& request,
                                          core::RelaySink* sink, core::RelayReport& report) override {
    if (sink == nullptr) co_return co_await whole(context, request, kind().responses, report);
    begin(request.model, report);
    const std::string_view model = client_->upstream_name(request.model);
    TESSERA_CO_TRY(std::string body, relay_request_body(request.body, {model, true, kind(), RelayForm::responses}));
    TESSERA_CO_TRY(ProviderClient::Stream response,
                   co_await client_->open(context, options().path(kind().responses, model), std::move(body)));
    TESSERA_CO_CHECK(co_await relay_events(*client_, context, *response.body,
                                           {options().name, options().api_key, true, RelayForm::responses},
                                           {sink, report}));
    co_return std::string();
  }

  Task<base::Result<std::string>> transcribe(const core::RequestContext& context, const core::RelayRequest& request,
                                             core::RelaySink* sink, core::RelayReport& report) override {
    begin(request.model, report);
    const std::string_view model = client_->upstream_name(request.model);
    std::vector<core::FormPart> parts{{.name = "model", .file_name = "", .content_type = "", .body = model}};
    for (const core::FormPart& part : request.form) {
      if (part.name != "model") parts.push_back(part);
    }
    FormText form = render_form(parts, free_boundary(parts));
    TESSERA_CO_TRY(ProviderClient::Stream response,
                   co_await client_->open(context, provider_path(kind(), kind().transcriptions, model),
                                          std::move(form.body), std::move(form.content_type)));
    std::string content_type(response.body->header("content-type").value_or("application/json"));
    // Models that do not stream take no notice of the wish.
    if (sink != nullptr && content_type.starts_with("text/event-stream")) {
      TESSERA_CO_CHECK(co_await relay_events(*client_, context, *response.body,
                                             {options().name, options().api_key, true, RelayForm::responses},
                                             {sink, report}));
      co_return std::string();
    }
    std::string written;
    for (;;) {
      auto piece = co_await response.body->next();
      if (!piece) co_return std::unexpected(client_->broken(context, std::move(piece).error()));
      if (!*piece) break;
      written += **piece;
    }
    report.answer_bytes = static_cast<int64_t>(written.size());
    if (content_type.starts_with("application/json")) read_usage_of(written, report);
    report.content_type = std::move(content_type);
    co_return written;
  }

  [[nodiscard]] bool keeps(std::string_view /*endpoint*/) const override { return true; }

  Task<base::Result<std::string>> ask_stored(const core::RequestContext& context, core::StoredResponseAsk ask,
                                             core::RelayReport& report) override {
    using Verb = core::StoredResponseAsk::Verb;
    const std::string_view method = ask.verb == Verb::remove ? "DELETE" : ask.verb == Verb::cancel ? "POST" : "GET";
    auto answer =
        co_await client_->call(context, stored_path(ask), ask.verb == Verb::cancel ? "{}" : "", std::string(method));
    if (!answer) co_return std::unexpected(stored_error(std::move(answer).error()));
    if (ask.verb == Verb::get || ask.verb == Verb::cancel) read_stored_response(*answer, report);
    co_return answer;
  }

  Task<base::Result<>> stream_stored(const core::RequestContext& context, core::StoredResponseAsk ask,
                                     core::RelaySink& sink, core::RelayReport& report) override {
    auto response = co_await client_->open(context, stored_path(ask), {}, {}, "GET");
    if (!response) co_return std::unexpected(stored_error(std::move(response).error()));
    RelayWatch watch{options().name, options().api_key, true, RelayForm::responses};
    watch.open_end = true;
    co_return co_await relay_events(*client_, context, *response->body, watch, {&sink, report});
  }

  Task<base::Result<std::vector<std::string>>> list_models(const core::RequestContext& context) override {
    TESSERA_CO_TRY(const std::string answer, co_await client_->call(context, options().path(kind().models, {}), {}));
    co_return parse_model_list(options().name, answer);
  }

 private:
  [[nodiscard]] const ProviderOptions& options() const { return client_->options(); }
  [[nodiscard]] const ProviderKind& kind() const { return *options().kind; }

  [[nodiscard]] std::string stored_path(const core::StoredResponseAsk& ask) const {
    using Verb = core::StoredResponseAsk::Verb;
    std::string path = fmt::format("{}/{}", kind().responses, ask.response_id);
    if (ask.verb == Verb::cancel) path += "/cancel";
    if (ask.verb == Verb::list_items) path += "/input_items";
    path = options().path(path, {});
    if (!ask.query.empty()) path += (path.contains('?') ? "&" : "?") + ask.query;
    return path;
  }

  static base::Error stored_error(base::Error error) {
    if (error.name != "PROVIDER_MODEL_MISSING") return error;  // not a 404
    return base::make_error(Code::not_found, "RESPONSE_NOT_FOUND", std::move(error.message), {}, "response_id");
  }

  void begin(const std::string& model, core::RelayReport& report) const {
    report.provider = options().name;
    report.model = client_->upstream_name(model);
  }

  Task<base::Result<std::string>> whole(const core::RequestContext& context, const core::RelayRequest& request,
                                        std::string_view path, core::RelayReport& report) {
    begin(request.model, report);
    const std::string_view model = client_->upstream_name(request.model);
    TESSERA_CO_TRY(std::string body, relay_request_body(request.body, {model, false, kind(), RelayForm::responses}));
    TESSERA_CO_TRY(std::string answer, co_await client_->call(context, options().path(path, model), std::move(body)));
    const RelayWatch watch{options().name, options().api_key, true, RelayForm::responses};
    TESSERA_CO_CHECK(read_relayed_object(watch, answer, report));
    co_return answer;
  }

  std::shared_ptr<ProviderClient> client_;
};

}  // namespace

FormText render_form(const std::vector<core::FormPart>& parts, std::string_view boundary) {
  FormText form{.content_type = fmt::format("multipart/form-data; boundary={}", boundary), .body = {}};
  size_t size = 64;
  for (const core::FormPart& part : parts) size += part.body.size() + part.name.size() + 256;
  form.body.reserve(size);
  for (const core::FormPart& part : parts) {
    form.body += fmt::format("--{}\r\nContent-Disposition: form-data; name=\"{}\"", boundary, form_name(part.name));
    if (!part.file_name.empty()) form.body += fmt::format("; filename=\"{}\"", form_name(part.file_name));
    if (!part.content_type.empty()) form.body += "\r\nContent-Type: " + form_name(part.content_type);
    form.body.append("\r\n\r\n").append(part.body).append("\r\n");
  }
  form.body += fmt::format("--{}--\r\n", boundary);
  return form;
}

core::ModelPorts make_provider_ports(std::shared_ptr<ProviderClient> client) {
  const ProviderKind& kind = *client->options().kind;
  const auto all = std::make_shared<ProviderPorts>(std::move(client));
  core::ModelPorts ports;
  if (!kind.embeddings.empty()) ports.embeddings = all;
  if (!kind.rerank.empty()) ports.rerank = all;
  if (!kind.responses.empty()) ports.responses = all;
  if (!kind.responses.empty()) ports.stored_responses = all;
  if (!kind.transcriptions.empty()) ports.transcription = all;
  if (!kind.models.empty()) ports.models = all;
  return ports;
}

}  // namespace tessera::llm
