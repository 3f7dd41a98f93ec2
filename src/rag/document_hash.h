#pragma once

#include <string>
#include <string_view>

#include "core/documents.h"
#include "rag/ingest.h"

namespace tessera::rag {

/// Hash of what the client gave: bytes, name, title, content type and metadata; 32 hexadecimal digits.
std::string document_hash(const IngestRequest& request);

/// Hash of how a collection treats documents (chunk sizes, embedding model and the dimensions of its vectors, version
/// of our own pipeline); 16 digits. A provider's model may keep its name when its vectors change.
std::string settings_fingerprint(const core::CollectionSettings& settings, size_t dimensions);

/// "notes/a b.md" -> "a b": the title of a document that has none.
std::string file_stem(std::string_view name);

}  // namespace tessera::rag
