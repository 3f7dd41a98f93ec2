#include "api/openai_render.h"

#include <cstring>

#include "api/json_writer.h"
#include "api/render.h"

namespace tessera::api {
namespace {

void write_head(JsonWriter& out, const CompletionHead& head, std::string_view object) {
  out.begin_object()
      .field("id", head.id)
      .field("object", object)
      .field("created", head.created)
      .field("model", head.model);
}

void write_usage(JsonWriter& out, const core::Usage& usage) {
  out.key("usage")
      .begin_object()
      .field("prompt_tokens", usage.prompt_tokens)
      .field("completion_tokens", usage.completion_tokens)
      .field("total_tokens", usage.prompt_tokens + usage.completion_tokens)
      .end_object();
}

/// `{...}` without its braces, to be spliced into another object.
std::string_view inner(std::string_view object) {
  return object.size() <= 2 ? std::string_view{} : object.substr(1, object.size() - 2);
}

std::string encode_base64(std::string_view bytes) {
  constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    for (size_t j = 0; j < 3; ++j)
      group = group << 8U | (i + j < bytes.size() ? static_cast<unsigned char>(bytes[i + j]) : 0U);
    for (size_t j = 0; j < 4; ++j) out += i + j <= bytes.size() ? kAlphabet[group >> (18 - 6 * j) & 63U] : '=';
  }
  return out;
}

}  // namespace

std::string completion_json(const CompletionHead& head, const chat::CompletionResult& result) {
  const core::ChatCompletion& completion = result.completion;
  JsonWriter out;
  write_head(out, head, "chat.completion");
  out.key("choices").begin_array().begin_object().field("index", 0);
  JsonWriter message;
  message.begin_object().field("role", "assistant").key("content");
  if (completion.content.empty() && !completion.extra_json.empty()) {
    message.null();
  } else {
    message.text(completion.content);
  }
  if (completion.extra_json.find("\"refusal\"") == std::string::npos) message.key("refusal").null();
  std::string text = message.take();
  if (const auto extra = inner(completion.extra_json); !extra.empty()) text.append(",").append(extra);
  out.key("message").raw(text + "}");
  out.key("logprobs").null();
  out.field("finish_reason", completion.finish_reason).end_object().end_array();
  write_usage(out, completion.usage);
  if (!result.sources.empty()) {
    out.key("tessera").begin_object();
    write_citations(out, "sources", result.sources);
    out.end_object();
  }
  out.end_object();
  return out.take();
}

std::string chunk_json(const CompletionHead& head, std::string_view delta, std::string_view finish_reason) {
  JsonWriter out;
  write_head(out, head, "chat.completion.chunk");
  out.key("choices").begin_array().begin_object().field("index", 0).key("delta").raw(delta).key("finish_reason");
  if (finish_reason.empty()) {
    out.null();
  } else {
    out.text(finish_reason);
  }
  out.end_object().end_array().end_object();
  return out.take();
}

std::string usage_chunk_json(const CompletionHead& head, const core::Usage& usage) {
  JsonWriter out;
  write_head(out, head, "chat.completion.chunk");
  out.key("choices").begin_array().end_array();
  write_usage(out, usage);
  out.end_object();
  return out.take();
}

std::string delta_json(const core::ChatDelta& delta) {
  JsonWriter out;
  out.begin_object();
  if (!delta.text.empty()) out.field("content", delta.text);
  std::string text = out.take();
  if (const auto extra = inner(delta.extra_json); !extra.empty()) {
    if (text.size() > 1) text += ',';
    text += extra;
  }
  return text + "}";
}

std::string model_json(std::string_view id, std::string_view owner, int64_t created) {
  JsonWriter out;
  out.begin_object()
      .field("id", id)
      .field("object", "model")
      .field("created", created)
      .field("owned_by", owner)
      .end_object();
  return out.take();
}

std::string embedding_json(std::span<const float> vector, bool base64) {
  JsonWriter out;
  if (base64) {
    std::string bytes(vector.size_bytes(), '\0');
    std::memcpy(bytes.data(), vector.data(), bytes.size());  // the format is little-endian, as all our machines are
    out.text(encode_base64(bytes));
  } else {
    out.begin_array();
    for (const float value : vector) out.number(static_cast<double>(value));
    out.end_array();
  }
  return out.take();
}

}  // namespace tessera::api
