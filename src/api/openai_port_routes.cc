#include "api/openai_port_routes.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "account/background_calls.h"
#include "api/openai_relay.h"
#include "text/json_skim.h"
#include "wire/multipart.h"

namespace tessera::api {
namespace {

base::Error unable(std::string_view model, std::string_view what) {
  return base::make_error(base::Code::invalid, "MODEL_UNABLE",
                          fmt::format("The model '{}' cannot {}; GET /v1/models lists what there is.", model, what), {},
                          "model");
}

/// `wanted` of the model's ports. Errors: invalid MISSING_FIELD (no name) / MODEL_UNABLE, not_found MODEL_NOT_FOUND.
template <class Port>
base::Result<std::shared_ptr<Port>> port_of(const ApiParts& parts, std::string_view model,
                                            std::shared_ptr<Port> core::ModelPorts::* wanted, std::string_view what) {
  if (auto port = parts.models.ports(model).*wanted) return port;
  if (model.empty()) {
    return base::fail(
        base::Code::invalid, "MISSING_FIELD",
        fmt::format("'model' is missing: name one that can {}; GET /v1/models lists what there is.", what),
        std::string(), "model");
  }
  if (!parts.models.info(model)) {
    return base::fail(base::Code::not_found, "MODEL_NOT_FOUND",
                      fmt::format("There is no model '{}' that could {}; GET /v1/models lists what there is.",
                                  model.substr(0, 100), what),
                      std::string(), "model");
  }
  return std::unexpected(unable(model, what));
}

constexpr size_t kResponseIdMax = 128;

bool plain_id(std::string_view id) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  };
  return !id.empty() && id.size() <= kResponseIdMax && std::ranges::all_of(id, plain);
}

base::Error no_response() {
  return base::make_error(base::Code::not_found, "RESPONSE_NOT_FOUND",
                          "There is no such response: it may never have been yours, have been deleted, be older than "
                          "30 days, or come from a model whose provider keeps none.",
                          {}, "response_id");
}

/// The "id" of a response object; empty when there is none.
std::string id_of(std::string_view response) {
  std::vector<text::JsonMember> members;
  if (!text::skim_json_object(response, members)) return {};
  const text::JsonMember* const id = text::find_member(members, "id");
  std::string found = id == nullptr ? std::string() : text::json_text(id->value).value_or("");
  return plain_id(found) ? found : std::string();
}

/// Notes whose a response is that somebody keeps, with the model that was asked and the endpoint that answered.
class OwnerNote {
 public:
  /// `keeper` may be null: nobody keeps anything. All outlives the note.
  OwnerNote(ResponseOwners& owners, const core::Tenant& tenant, const std::string& model,
            std::shared_ptr<core::StoredResponses> keeper)
      : owners_(owners), tenant_(tenant), model_(model), keeper_(std::move(keeper)) {}

  [[nodiscard]] bool wanted(const core::RelayReport& report) const {
    return keeper_ != nullptr && keeper_->keeps(report.endpoint);
  }
  async::Task<> write(std::string id, const core::RelayReport& report) const {
    core::ResponseOwner owner{.response_id = std::move(id), .tenant = tenant_, .model = model_};
    owner.endpoint = report.endpoint;
    return owners_.note(std::move(owner));
  }

 private:
  ResponseOwners& owners_;
  const core::Tenant& tenant_;
  const std::string& model_;
  std::shared_ptr<core::StoredResponses> keeper_;
};

/// Passes events on and looks into the first ones for the response's id, which is noted before the client sees it.
class IdSink final : public core::RelaySink {
 public:
  IdSink(const OwnerNote& note, const core::RelayReport& report) : note_(note), report_(report) {}

  core::Task<base::Result<>> on_events(std::string_view events) override {
    if (noted_ || looked_++ >= kLooksMax || !note_.wanted(report_)) return inner->on_events(events);
    return note(events);
  }

  core::RelaySink* inner = nullptr;

 private:
  static constexpr int kLooksMax = 4;  // "response.created" is the first

  core::Task<base::Result<>> note(std::string_view events) {
    if (std::string id = look(events); !id.empty()) {
      noted_ = true;
      co_await note_.write(std::move(id), report_);
    }
    co_return co_await inner->on_events(events);
  }

  static std::string look(std::string_view events) {
    constexpr std::string_view kData = "data: ";
    const size_t at = events.find(kData);
    if (at == std::string_view::npos) return {};
    std::vector<text::JsonMember> members;
    if (!text::skim_json_object(events.substr(at + kData.size(), events.find('\n', at) - at - kData.size()), members)) {
      return {};
    }
    const text::JsonMember* const response = text::find_member(members, "response");
    return response == nullptr ? std::string() : id_of(response->value);
  }

  const OwnerNote& note_;
  const core::RelayReport& report_;
  int looked_ = 0;
  bool noted_ = false;
};

}  // namespace

void OpenAiPortRoutes::bind(std::array<RouteHandler, kRouteCount>& handlers) {
  const auto at = [&](RouteId id) -> RouteHandler& { return handlers[static_cast<size_t>(id)]; };
  at(RouteId::responses) = [this](Call& call) { return responses(call); };
  using Verb = core::StoredResponseAsk::Verb;
  at(RouteId::get_response) = [this](Call& call) { return stored_response(call, Verb::get); };
  at(RouteId::delete_response) = [this](Call& call) { return stored_response(call, Verb::remove); };
  at(RouteId::cancel_response) = [this](Call& call) { return stored_response(call, Verb::cancel); };
  at(RouteId::response_items) = [this](Call& call) { return stored_response(call, Verb::list_items); };
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
  if (ask.background) call.context.priority = core::Priority::background;
  core::RelayRequest request = std::move(ask.request);
  if (request.model.empty()) {
    request.model = parts_.models.default_for(call.context, core::ModelUse::responses);
  }
  TESSERA_CO_TRY(const auto port, port_of(parts_, request.model, &core::ModelPorts::responses,
                                          "answer /v1/responses; ask /v1/chat/completions"));
  const core::Tenant& tenant = call.context.tenant;
  // Providers know one key for all apps and conversations are not made here, so whose one is nobody can tell.
  if (ask.conversation && !call.context.key_id.empty()) {
    co_return base::fail(base::Code::invalid, "CONVERSATION_NOT_AVAILABLE",
                         "Conversations kept by a provider belong to no app here; leave 'conversation' out and go on "
                         "from a response with 'previous_response_id', or use /chat with a session.",
                         "", "conversation");
  }
  if (!ask.previous_response.empty()) {
    TESSERA_CO_TRY(auto owner, co_await owners_.find(std::move(ask.previous_response)));
    if (owner && owner->tenant != tenant) {
      base::Error error = no_response();
      error.param = "previous_response_id";
      co_return std::unexpected(std::move(error));
    }
    if (owner) request.endpoint = std::move(owner->endpoint);
  }
  const OwnerNote note(owners_, tenant, request.model,
                       ask.store ? parts_.models.ports(request.model).stored_responses : nullptr);
  request.body = std::move(call.request.body);
  core::RelayReport report;
  const bool stream = request.stream;
  IdSink ids(note, report);
  auto reply =
      co_await write_relayed(parts_, call, stream, [&](const core::RequestContext& context, core::RelaySink* sink) {
        ids.inner = sink;
        return port->respond(context, request, sink == nullptr ? nullptr : &ids, report);
      });
  if (reply && !stream && note.wanted(report)) {
    if (std::string id = id_of(reply->body); !id.empty()) co_await note.write(std::move(id), report);
  }
  if (!reply && reply.error().name == "KEPT_ELSEWHERE") reply.error().param = "previous_response_id";
  co_return reply;
}

async::Task<base::Result<Reply>> OpenAiPortRoutes::stored_response(Call& call, core::StoredResponseAsk::Verb verb) {
  core::StoredResponseAsk ask{.verb = verb, .response_id = call.param("response_id")};
  if (!plain_id(ask.response_id)) co_return std::unexpected(no_response());
  TESSERA_CO_TRY(auto owner, co_await owners_.find(ask.response_id));
  const bool ours = owner && owner->tenant == call.context.tenant;
  const auto port = ours ? parts_.models.ports(owner->model).stored_responses : nullptr;
  if (port == nullptr || !port->keeps(owner->endpoint)) co_return std::unexpected(no_response());
  ask.endpoint = std::move(owner->endpoint);
  ask.query = call.request.query;
  core::RelayReport report;
  if (verb == core::StoredResponseAsk::Verb::get && call.request.query_value("stream").value_or("") == "true") {
    const auto relay = [&](const core::RequestContext& context,
                           core::RelaySink* sink) -> async::Task<base::Result<std::string>> {
      TESSERA_CO_CHECK(co_await port->stream_stored(context, ask, *sink, report));
      co_return std::string();
    };
    auto reply = co_await write_relayed(parts_, call, true, relay);
    parts_.background_calls.saw(call.context.tenant, ask.response_id, report);
    co_return reply;
  }
  core::StageTimer timer(call.context, "model");
  Reply reply;
  TESSERA_CO_TRY(reply.body, co_await port->ask_stored(call.context, ask, report));
  parts_.background_calls.saw(call.context.tenant, ask.response_id, report);
  if (verb == core::StoredResponseAsk::Verb::remove) {
    parts_.background_calls.forgotten(call.context.tenant, ask.response_id);
    co_await owners_.forget(call.context.tenant, std::move(ask.response_id));
  }
  co_return reply;
}

async::Task<base::Result<Reply>> OpenAiPortRoutes::rerank(Call& call) {
  TESSERA_CO_TRY(CompletionAsk ask, read_ask(call.request.body, RelayedForm::other));
  call.context.user_id = std::move(ask.user);
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
  core::RelayRequest request;
  request.body = "{}";
  for (const wire::MultipartPart& part : parts) {
    if (part.name == "model" && !part.is_file) request.model = part.body.substr(0, 256);
    if (part.name == "stream" && !part.is_file) request.stream = part.body == "true" || part.body == "1";
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
  const bool stream = request.stream;
  auto reply =
      co_await write_relayed(parts_, call, stream, [&](const core::RequestContext& context, core::RelaySink* sink) {
        return port->transcribe(context, request, sink, report);
      });
  if (reply && !report.content_type.empty()) reply->content_type = std::move(report.content_type);
  co_return reply;
}

}  // namespace tessera::api
