#pragma once

#include <string>
#include <string_view>

#include "api/json_writer.h"
#include "chat/events.h"
#include "core/conversations.h"
#include "core/documents.h"
#include "core/tasks.h"

namespace tessera::api {

// Renders the product's types as the JSON objects of answer_schemas.cc.

void write_time(JsonWriter& out, std::string_view name, int64_t unix_ms);
void write_cursor(JsonWriter& out, const std::string& next_cursor);
void write_document_head(JsonWriter& out, const core::DocumentHead& head);
void write_collection(JsonWriter& out, const core::Collection& collection);
void write_passage(JsonWriter& out, const core::Passage& passage);
void write_task(JsonWriter& out, const core::TaskRecord& record);
void write_session(JsonWriter& out, const core::Session& session);
void write_message(JsonWriter& out, const core::StoredMessage& message);
void write_citation(JsonWriter& out, const chat::Citation& citation);
void write_citations(JsonWriter& out, std::string_view name, const std::vector<chat::Citation>& citations);
void write_chat_response(JsonWriter& out, const chat::ChatResponse& response);
/// The data of one streamed chat event.
std::string event_json(const chat::ChatEvent& event, std::string_view request_id);

}  // namespace tessera::api
