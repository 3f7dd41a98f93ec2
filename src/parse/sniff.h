#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "core/parser.h"

namespace tessera::parse {

enum class Format { markdown, html, pdf, docx, plain, csv, tsv, json, json_lines };

/// A document's format and the charset its content type named (lower case, or empty).
struct Detected {
  Format format = Format::plain;
  std::string charset;
};

/// A known content type decides. Without one (empty or application/octet-stream) the bytes' signature decides, then the
/// name's ending, then plain text. Errors: UNSUPPORTED_CONTENT_TYPE, ENCRYPTED_DOCUMENT (an encrypted DOCX).
base::Result<Detected> detect_format(const core::RawDocument& document);

/// The canonical content type: "text/markdown".
std::string_view content_type_of(Format format);

/// Whether the name has an ending of a format we read.
bool known_ending(std::string_view file_name);

/// The part of a file name or URL that can serve as a title: "/a/b/My%20note.md" -> "My note". Empty if there is none.
std::string name_stem(std::string_view name);

}  // namespace tessera::parse
