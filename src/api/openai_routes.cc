#include "api/openai_routes.h"

#include <fmt/format.h>

#include <cmath>

#include "account/keyed_models.h"
#include "api/body.h"
#include "api/errors.h"
#include "api/json_writer.h"
#include "api/openai_relay.h"
#include "api/openai_render.h"
#include "chat/completion_service.h"
#include "core/model_ports.h"
#include "rag/embedder_table.h"
#include "wire/sse.h"

namespace tessera::api {
namespace {

constexpr size_t kEmbeddingInputsMax = 2048;  // as OpenAI's

base::Error bad_field(std::string_view name, std::string message) {
  return base::make_error(base::Code::invalid, "INVALID_FIELD", std::move(message), {}, std::string(name));
}

/// Text parts of a content list joined; the list itself stays in extra_json for providers that see images.
base::Result<core::ChatMessage> message_from_body(const Body& body, size_t index) {
  core::ChatMessage message;
  const auto role = core::parse_role(body.text_or("role", ""));
  if (!role)
    return std::unexpected(bad_field(fmt::format("messages[{}].role", index),
                                     "The role must be system, developer, user, assistant or tool."));
  message.role = *role;
  constexpr std::string_view kPlain[] = {"role", "content"};
  constexpr std::string_view kRole[] = {"role"};
  if (body.is_array("content")) {
    for (const Body& part : body.objects("content")) {
      if (part.text_or("type", "") == "text") message.content += part.text_or("text", "");
    }
    message.extra_json = body.rest_json(kRole);
  } else {
    if (body.has("content") && !body.is_text("content")) {
      return std::unexpected(
          bad_field(fmt::format("messages[{}].content", index), "The content must be a text or a list of parts."));
    }
    message.content = body.text_or("content", "");
    message.extra_json = body.rest_json(kPlain);
  }
  return message;
}

base::Result<core::ChatRequest> request_from_body(const Body& body) {
  core::ChatRequest request;
  request.model = body.text_or("model", "");
  const auto messages = body.objects("messages");
  if (messages.empty()) return std::unexpected(bad_field("messages", "'messages' needs at least one message."));
  for (size_t i = 0; i < messages.size(); ++i) {
    TESSERA_TRY(core::ChatMessage message, message_from_body(messages[i], i));
    request.messages.push_back(std::move(message));
  }
  request.temperature = body.number("temperature");
  request.max_tokens = body.integer("max_completion_tokens");
  if (!request.max_tokens) request.max_tokens = body.integer("max_tokens");
  constexpr std::string_view kTaken[] = {
      "model", "messages", "stream", "stream_options", "temperature", "max_tokens", "max_completion_tokens", "tessera"};
  request.parameters_json = body.rest_json(kTaken);
  return request;
}

base::Result<chat::CompletionExtension> extension_from_body(const Body& body) {
  chat::CompletionExtension extension;
  const auto given = body.object("tessera");
  if (!given) return extension;
  extension.collection = given->text("collection");
  extension.session_id = given->text_or("session_id", "");
  extension.use_rag = given->boolean("use_rag");
  extension.top_k = static_cast<size_t>(given->integer("top_k").value_or(5));
  if (given->boolean("use_memory").value_or(false)) {
    return std::unexpected(bad_field("tessera.use_memory", "This server has no memory yet; leave it out."));
  }
  return extension;
}

/// Writes deltas as chunks of one event stream; the head goes out with the first of them, so that a failure before it
/// is a plain error.
class ChunkSink final : public core::ChatSink {
 public:
  ChunkSink(Call& call, const base::Clock& clock, const CompletionHead& head)
      : call_(call), clock_(clock), head_(head) {}

  async::Task<base::Result<>> on_delta(core::ChatDelta delta) override {
    TESSERA_CO_CHECK(co_await begin());
    co_return co_await write(chunk_json(head_, delta_json(delta), {}));
  }

  async::Task<base::Result<>> begin() {
    if (begun_) co_return base::Result<>{};
    begun_ = true;
    wire::StreamHead head;
    head.content_type = "text/event-stream";
    head.headers = call_.common_headers(clock_);
    head.headers.push_back({"Cache-Control", "no-cache"});
    TESSERA_CO_CHECK(co_await call_.writer.begin_stream(std::move(head)));
    call_.status = 200;
    co_return co_await write(chunk_json(head_, R"({"role":"assistant","content":""})", {}));
  }

  async::Task<base::Result<>> write(std::string_view data) {
    std::string out;
    wire::append_sse(out, {}, {}, data);
    co_return co_await call_.writer.write(std::move(out));
  }

  [[nodiscard]] bool begun() const { return begun_; }

 private:
  Call& call_;
  const base::Clock& clock_;
  const CompletionHead& head_;
  bool begun_ = false;
};

}  // namespace

void OpenAiRoutes::bind(std::array<RouteHandler, kRouteCount>& handlers) {
  const auto at = [&](RouteId id) -> RouteHandler& { return handlers[static_cast<size_t>(id)]; };
  at(RouteId::chat_completions) = [this](Call& call) { return chat_completions(call); };
  at(RouteId::embeddings) = [this](Call& call) { return embeddings(call); };
  at(RouteId::list_models) = [this](Call& call) { return list_models(call); };
  port_routes_.bind(handlers);
  at(RouteId::get_model) = [this](Call& call) { return get_model(call); };
}

async::Task<base::Result<Reply>> OpenAiRoutes::chat_completions(Call& call) {
  TESSERA_CO_TRY(CompletionAsk ask, read_ask(call.request.body, RelayedForm::chat));
  call.context.user_id = std::move(ask.user);
  if (ask.background) call.context.priority = core::Priority::background;
  if (ask.request.model.empty()) {
    ask.request.model = parts_.models.default_for(call.context, core::ModelUse::chat);
  }
  TESSERA_CO_TRY(const auto model, parts_.models.find(ask.request.model));
  if (!ask.extended && model->relays()) {
    co_return co_await relay_completion(parts_, call, *model, std::move(ask.request));
  }
  if (ask.choices > 1) {
    co_return std::unexpected(
        bad_field("n", "Answers that this server makes itself are one at a time; leave 'n' out, or ask n times."));
  }
  co_return co_await own_completion(call);
}

/// Answers from documents, and by models that do not relay.
async::Task<base::Result<Reply>> OpenAiRoutes::own_completion(Call& call) {
  TESSERA_CO_TRY(const Body body, Body::parse(call.request.body, *find_schema("ChatCompletionRequest")));
  TESSERA_CO_TRY(core::ChatRequest request, request_from_body(body));
  TESSERA_CO_TRY(chat::CompletionExtension extension, extension_from_body(body));
  if (request.model.empty()) request.model = parts_.models.default_for(call.context, core::ModelUse::chat);
  if (body.boolean("stream").value_or(false)) {
    bool include_usage = false;
    if (const auto options = body.object("stream_options"))
      include_usage = options->boolean("include_usage").value_or(false);
    co_return co_await stream_completion(call, std::move(request), std::move(extension), include_usage);
  }
  TESSERA_CO_TRY(const chat::CompletionResult result,
                 co_await parts_.completions.complete(call.context, std::move(request), std::move(extension), nullptr));
  Reply reply;
  reply.body = completion_json({.id = "chatcmpl-" + parts_.ids.next(),
                                .model = result.completion.model,
                                .created = parts_.clock.unix_ms() / 1000},
                               result);
  co_return reply;
}

async::Task<base::Result<Reply>> OpenAiRoutes::stream_completion(Call& call, core::ChatRequest request,
                                                                 chat::CompletionExtension extension,
                                                                 bool include_usage) {
  const CompletionHead head{
      .id = "chatcmpl-" + parts_.ids.next(), .model = request.model, .created = parts_.clock.unix_ms() / 1000};
  ChunkSink sink(call, parts_.clock, head);
  auto result = co_await parts_.completions.complete(call.context, std::move(request), std::move(extension), &sink);
  if (!result && !sink.begun()) co_return std::unexpected(std::move(result).error());
  Reply reply;
  reply.streamed = true;
  if (!result) {
    // The head is out: OpenAI's clients raise on a data line that holds an error object.
    call.failed(result.error());
    TESSERA_CO_CHECK(co_await sink.write(error_reply(result.error(), "/v1/", call.context.request_id).body));
    TESSERA_CO_CHECK(co_await call.writer.finish());
    co_return reply;
  }
  TESSERA_CO_CHECK(co_await sink.begin());
  TESSERA_CO_CHECK(co_await sink.write(chunk_json(head, "{}", result->completion.finish_reason)));
  if (include_usage) TESSERA_CO_CHECK(co_await sink.write(usage_chunk_json(head, result->completion.usage)));
  TESSERA_CO_CHECK(co_await sink.write("[DONE]"));
  TESSERA_CO_CHECK(co_await call.writer.finish());
  co_return reply;
}

async::Task<base::Result<Reply>> OpenAiRoutes::embeddings(Call& call) {
  TESSERA_CO_TRY(CompletionAsk ask, read_ask(call.request.body, RelayedForm::other));
  call.context.user_id = std::move(ask.user);
  if (const auto port = parts_.models.ports(ask.request.model).embeddings) {
    co_return co_await port_routes_.embeddings(call, *port, std::move(ask.request.model));
  }
  TESSERA_CO_TRY(const Body body, Body::parse(call.request.body, *find_schema("EmbeddingRequest")));
  std::vector<std::string> inputs;
  if (auto one = body.text("input")) {
    inputs.push_back(*std::move(one));
  } else if (auto many = body.texts("input")) {
    inputs = *std::move(many);
  } else {
    co_return std::unexpected(bad_field("input", "'input' must be a text or a list of texts."));
  }
  if (inputs.empty() || inputs.size() > kEmbeddingInputsMax) {
    co_return std::unexpected(bad_field("input", fmt::format("'input' takes 1 to {} texts.", kEmbeddingInputsMax)));
  }
  const std::string model = body.text_or("model", parts_.embedders.fallback().model());
  auto embedder = parts_.embedders.find(model);
  if (!embedder) {
    co_return base::fail(base::Code::not_found, "MODEL_NOT_FOUND",
                         fmt::format("There is no embedding model '{}'; this server embeds with: {}.",
                                     model.substr(0, 100), parts_.embedders.names()),
                         std::string(), "model");
  }
  const std::vector<std::string_view> views(inputs.begin(), inputs.end());
  core::StageTimer timer(call.context, "embed");
  TESSERA_CO_TRY(core::Embeddings result, co_await (*embedder)->embed(call.context, views));
  timer.stop();
  const auto wanted = static_cast<size_t>(body.integer("dimensions").value_or(static_cast<int64_t>(result.dimensions)));
  if (wanted > result.dimensions) {
    co_return std::unexpected(
        bad_field("dimensions", fmt::format("'dimensions' must be at most {} for this model.", result.dimensions)));
  }
  int64_t tokens = 0;
  for (const std::string_view text : views) tokens += static_cast<int64_t>((*embedder)->count_tokens(text));
  const bool base64 = body.text_or("encoding_format", "float") == "base64";
  JsonWriter out;
  out.begin_object().field("object", "list").key("data").begin_array();
  for (size_t row = 0; row < result.rows; ++row) {
    std::span<float> vector(result.values.data() + row * result.dimensions, wanted);
    if (wanted < result.dimensions) {
      double norm = 0;
      for (const float v : vector) norm += static_cast<double>(v) * static_cast<double>(v);
      const auto scale = static_cast<float>(norm > 0 ? 1.0 / std::sqrt(norm) : 0.0);
      for (float& v : vector) v *= scale;
    }
    out.begin_object()
        .field("object", "embedding")
        .field("index", row)
        .key("embedding")
        .raw(embedding_json(vector, base64))
        .end_object();
  }
  out.end_array().field("model", (*embedder)->model());
  out.key("usage")
      .begin_object()
      .field("prompt_tokens", tokens)
      .field("total_tokens", tokens)
      .end_object()
      .end_object();
  Reply reply;
  reply.body = out.take();
  co_return reply;
}

async::Task<base::Result<Reply>> OpenAiRoutes::list_models(Call& call) {
  JsonWriter out;
  out.begin_object().field("object", "list").key("data").begin_array();
  for (const core::ModelInfo& info : parts_.models.list()) {
    if (call.grant != nullptr && !account::may_use(*call.grant, info)) continue;
    out.raw(model_json(info.id, info.provider, 0));
  }
  if (parts_.provider_models != nullptr) {
    TESSERA_CO_TRY(const auto further, co_await parts_.provider_models->list_models(call.context));
    for (const std::string& id : further) {
      if (call.grant != nullptr && !call.grant->allows_model(id)) continue;
      out.raw(model_json(id, std::string_view(id).substr(0, id.find('/')), 0));
    }
  }
  out.raw(model_json(parts_.embedders.fallback().model(), "tessera", 0));
  out.end_array().end_object();
  Reply reply;
  reply.body = out.take();
  co_return reply;
}

async::Task<base::Result<Reply>> OpenAiRoutes::get_model(Call& call) {
  const std::string id = call.param("model");
  Reply reply;
  const auto info = parts_.models.info(id);
  const bool allowed =
      call.grant == nullptr || call.grant->allows_model(id) || (info && account::may_use(*call.grant, *info));
  if (info && allowed) {
    reply.body = model_json(info->id, info->provider, 0);
  } else if (parts_.embedders.find(id)) {
    reply.body = model_json(id, "tessera", 0);
  } else {
    co_return base::fail(base::Code::not_found, "MODEL_NOT_FOUND",
                         "There is no model of that name; GET /v1/models lists them.", std::string(), "model");
  }
  co_return reply;
}

}  // namespace tessera::api
