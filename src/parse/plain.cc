#include "parse/decode.h"
#include "parse/source.h"

namespace tessera::parse {

base::Result<core::ParsedDocument> parse_plain(const Source& source) {
  core::ParsedDocument document;
  document.text = decode_text(source.bytes, source.charset);
  return document;
}

}  // namespace tessera::parse
