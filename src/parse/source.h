#pragma once

#include <string_view>

#include "core/parser.h"
#include "parse/parser.h"
#include "parse/sniff.h"

namespace tessera::parse {

/// What a format's reader gets. Views belong to the caller of DocumentParser::parse.
struct Source {
  Format format = Format::plain;
  std::string_view bytes;
  std::string_view charset;  ///< from the content type, lower case, may be empty
  std::string_view name;
  const ParseLimits& limits;
};

/// The readers, one file each. Each returns text, structure, metadata and (if the document has one) a title; the caller
/// refuses empty text, tidies the title and fills in a missing one.
base::Result<core::ParsedDocument> parse_markdown(const Source& source);
base::Result<core::ParsedDocument> parse_html(const Source& source);
base::Result<core::ParsedDocument> parse_pdf(const Source& source);
base::Result<core::ParsedDocument> parse_docx(const Source& source);
base::Result<core::ParsedDocument> parse_plain(const Source& source);
base::Result<core::ParsedDocument> parse_csv(const Source& source);
base::Result<core::ParsedDocument> parse_json(const Source& source);

/// The errors every reader shares.
base::Error unreadable(std::string message, std::string detail = {});
base::Error text_too_large(size_t bytes_max);

}  // namespace tessera::parse
