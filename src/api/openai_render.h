#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "chat/completion_service.h"
#include "core/chat_model.h"

namespace tessera::api {

/// What all objects of one completion share.
struct CompletionHead {
  std::string id;  ///< "chatcmpl-..."
  std::string model;
  int64_t created = 0;  ///< Unix seconds
};

/// A chat.completion object.
std::string completion_json(const CompletionHead& head, const chat::CompletionResult& result);
/// A chat.completion.chunk with a role, a piece of text or further delta fields.
std::string chunk_json(const CompletionHead& head, std::string_view delta_json, std::string_view finish_reason);
/// The last chunk before [DONE] when usage was asked for: no choices.
std::string usage_chunk_json(const CompletionHead& head, const core::Usage& usage);
/// The delta object of a piece of an answer.
std::string delta_json(const core::ChatDelta& delta);
/// A model object.
std::string model_json(std::string_view id, std::string_view owner, int64_t created);
/// An embedding as base64 of little-endian floats, or as a JSON array.
std::string embedding_json(std::span<const float> vector, bool base64);

}  // namespace tessera::api
