#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "core/metadata.h"
#include "text/structure.h"

namespace tessera::core {

/// A document as bytes. `content_type` may be empty (then the name's ending and the bytes decide). `name` is a file
/// name or URL, for its ending only.
struct RawDocument {
  std::string_view bytes;
  std::string content_type;
  std::string name;
};

/// A document as text. `text` is valid UTF-8 without NUL and is what is stored and cited; offsets in `structure` point
/// into it.
struct ParsedDocument {
  std::string title;
  std::string text;
  std::string content_type;  ///< canonical: text/markdown, text/html, application/pdf, ...
  Metadata metadata;         ///< front matter, `tags`, `links` (wikilink targets), PDF title and author; never trusted
  text::Structure structure;
};

/// Turns bytes into text. Blocking (PDF runs a child process): call it on the blocking pool. Thread-safe.
/// Errors: unreadable (UNREADABLE_DOCUMENT, ENCRYPTED_DOCUMENT, DOCUMENT_TIMEOUT), too_large (DOCUMENT_TOO_LARGE),
/// invalid (UNSUPPORTED_CONTENT_TYPE, INVALID_FRONT_MATTER).
class DocumentParser {
 public:
  virtual ~DocumentParser() = default;
  [[nodiscard]] virtual base::Result<ParsedDocument> parse(const RawDocument& document) const = 0;
  /// Whether files with this ending (".md") are documents, for directory ingest.
  [[nodiscard]] virtual bool knows(std::string_view file_name) const = 0;
};

}  // namespace tessera::core
