#include "api/render.h"

#include "api/errors.h"
#include "api/filter_json.h"
#include "base/clock.h"

namespace tessera::api {
namespace {

void write_nullable(JsonWriter& out, std::string_view name, const std::string& value) {
  out.key(name);
  if (value.empty()) {
    out.null();
  } else {
    out.text(value);
  }
}

void write_usage(JsonWriter& out, const core::Usage& usage) {
  out.begin_object()
      .field("prompt_tokens", usage.prompt_tokens)
      .field("completion_tokens", usage.completion_tokens)
      .key("cost_usd")
      .raw(core::usd_text(usage.cost))
      .end_object();
}

}  // namespace

void write_time(JsonWriter& out, std::string_view name, int64_t unix_ms) {
  out.field(name, base::format_rfc3339(unix_ms));
}

void write_cursor(JsonWriter& out, const std::string& next_cursor) {
  write_nullable(out, "next_cursor", next_cursor);
}

void write_document_head(JsonWriter& out, const core::DocumentHead& head) {
  out.begin_object()
      .field("document_id", head.document_id)
      .field("collection", head.collection)
      .field("title", head.title)
      .field("content_type", head.content_type)
      .field("source", head.source)
      .key("metadata");
  write_metadata(out, head.metadata);
  out.field("version", head.version).field("chunks", head.chunks).field("bytes", head.text_bytes);
  write_time(out, "created_at", head.created_at_ms);
  write_time(out, "updated_at", head.updated_at_ms);
  out.end_object();
}

void write_collection(JsonWriter& out, const core::Collection& collection) {
  const core::CollectionSettings& settings = collection.settings;
  out.begin_object()
      .field("name", collection.name.name)
      .field("chunk_size", settings.chunk_size)
      .field("chunk_overlap", settings.chunk_overlap)
      .field("embedding_model", settings.embedding_model)
      .field("stemming", settings.stemming)
      .key("metadata_schema");
  if (settings.metadata_schema_json.empty()) {
    out.null();
  } else {
    out.raw(settings.metadata_schema_json);
  }
  out.field("documents", collection.documents).field("chunks", collection.chunks);
  write_time(out, "created_at", collection.created_at_ms);
  out.end_object();
}

void write_passage(JsonWriter& out, const core::Passage& passage) {
  out.begin_object()
      .field("document_id", passage.document_id)
      .field("chunk_id", core::chunk_id(passage.document_id, passage.ordinal))
      .field("title", passage.title)
      .field("heading", passage.heading_path)
      .field("text", passage.text)
      .field("score", passage.score)
      .field("start", passage.start)
      .field("end", passage.end)
      .key("metadata");
  write_metadata(out, passage.metadata);
  out.end_object();
}

void write_task(JsonWriter& out, const core::TaskRecord& record) {
  const bool over = record.state == "done" || record.state == "watching";
  const double progress =
      over ? 1.0 : (record.total > 0 ? static_cast<double>(record.done) / static_cast<double>(record.total) : 0.0);
  out.begin_object()
      .field("task_id", record.task_id)
      .field("kind", record.kind)
      .field("state", record.state)
      .field("collection", record.collection)
      .field("path", record.path)
      .field("watch", record.watch)
      .field("progress", std::min(progress, 1.0))
      .field("total", record.total)
      .field("done", record.done)
      .field("added", record.added)
      .field("updated", record.updated)
      .field("unchanged", record.unchanged)
      .field("deleted", record.deleted)
      .field("failed", record.failed)
      .key("failures")
      .begin_array();
  for (const core::TaskFailure& failure : record.failures) {
    out.begin_object()
        .field("item", failure.item)
        .field("code", failure.error.name)
        .field("message", failure.error.message)
        .end_object();
  }
  out.end_array();
  write_nullable(out, "error", record.error);
  write_time(out, "created_at", record.created_at_ms);
  write_time(out, "updated_at", record.updated_at_ms);
  out.end_object();
}

void write_session(JsonWriter& out, const core::Session& session) {
  out.begin_object().field("session_id", session.session_id);
  write_nullable(out, "user_id", session.user_id);
  out.field("title", session.title).field("messages", session.messages);
  write_time(out, "created_at", session.created_at_ms);
  write_time(out, "last_active", session.last_active_ms);
  out.end_object();
}

void write_message(JsonWriter& out, const core::StoredMessage& message) {
  out.begin_object()
      .field("message_id", message.message_id)
      .field("role", core::to_string(message.role))
      .field("content", message.content);
  write_nullable(out, "model", message.model);
  out.field("state", message.state)
      .key("sources")
      .raw(message.sources_json.empty() ? "[]" : std::string_view(message.sources_json));
  write_time(out, "created_at", message.created_at_ms);
  out.end_object();
}

void write_citation(JsonWriter& out, const chat::Citation& citation) {
  out.begin_object()
      .field("n", citation.n)
      .field("document_id", citation.document_id)
      .field("chunk_id", citation.chunk_id)
      .field("title", citation.title)
      .field("snippet", citation.snippet)
      .field("start", citation.start)
      .field("end", citation.end)
      .field("score", citation.score)
      .field("cited", citation.cited)
      .end_object();
}

void write_citations(JsonWriter& out, std::string_view name, const std::vector<chat::Citation>& citations) {
  out.key(name).begin_array();
  for (const chat::Citation& citation : citations) write_citation(out, citation);
  out.end_array();
}

void write_chat_response(JsonWriter& out, const chat::ChatResponse& response) {
  out.begin_object()
      .field("session_id", response.session_id)
      .field("message_id", response.message_id)
      .field("answer", response.answer);
  write_citations(out, "sources", response.sources);
  out.field("model", response.model).field("finish_reason", response.finish_reason).key("usage");
  write_usage(out, response.usage);
  out.key("cache").begin_object().field("hit", response.cache.hit);
  write_nullable(out, "level", response.cache.level);
  out.end_object().key("timings").begin_object();
  for (const auto& [stage, ms] : response.timings) out.field(stage, ms);
  out.end_object().key("degraded").begin_array();
  for (const std::string& part : response.degraded) out.text(part);
  out.end_array().end_object();
}

std::string event_json(const chat::ChatEvent& event, std::string_view request_id) {
  JsonWriter out;
  std::visit(
      [&](const auto& e) {
        using T = std::decay_t<decltype(e)>;
        if constexpr (std::is_same_v<T, chat::Status>) {
          out.begin_object().field("stage", e.stage).field("message", e.message).end_object();
        } else if constexpr (std::is_same_v<T, chat::ToolCallStart>) {
          out.begin_object()
              .field("call_id", e.call_id)
              .field("name", e.name)
              .key("arguments")
              .raw(e.arguments_json)
              .end_object();
        } else if constexpr (std::is_same_v<T, chat::ToolResult>) {
          out.begin_object()
              .field("call_id", e.call_id)
              .field("name", e.name)
              .field("ok", e.ok)
              .field("content", e.content)
              .end_object();
        } else if constexpr (std::is_same_v<T, chat::Sources>) {
          out.begin_object();
          write_citations(out, "sources", e.sources);
          out.end_object();
        } else if constexpr (std::is_same_v<T, chat::Token>) {
          out.begin_object().field("text", e.text).end_object();
        } else if constexpr (std::is_same_v<T, chat::UsageEvent>) {
          write_usage(out, e.usage);
        } else if constexpr (std::is_same_v<T, chat::Done>) {
          write_chat_response(out, e.response);
        } else {
          out.begin_object().key("error").raw(error_json(e.error, request_id)).end_object();
        }
      },
      event);
  return out.take();
}

}  // namespace tessera::api
