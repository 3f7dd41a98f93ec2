#pragma once

#include <string>
#include <string_view>

#include "base/assert.h"
#include "core/parser.h"
#include "parse/parser.h"
#include "text/utf8.h"

namespace tessera::parse {

/// What holds for every parsed document, whatever its format. Used by the tests and, through `violated_invariant`, the
/// fuzz targets.
inline std::string violated_invariant(const core::ParsedDocument& document) {
  const std::string& text = document.text;
  if (text.empty()) return "the text is empty";
  if (!text::is_valid_utf8(text)) return "the text is not UTF-8";
  if (text.find('\0') != std::string::npos) return "the text holds NUL";
  if (text.find('\r') != std::string::npos) return "the text holds CR";
  if (text::is_space(text.back())) return "the text ends with white space";
  if (document.title.empty() || document.title.size() > 512 || !text::is_valid_utf8(document.title))
    return "the title is not usable";
  if (document.title.find_first_of(std::string_view("\0\n\r", 3)) != std::string::npos)
    return "the title is not one line";
  if (document.content_type.empty()) return "there is no content type";
  size_t last = 0;
  for (const text::Heading& heading : document.structure.headings) {
    if (heading.offset >= text.size() || heading.offset < last) return "a heading is out of place";
    if (!text::is_boundary(text, heading.offset)) return "a heading splits a character";
    if (heading.offset > 0 && text[heading.offset - 1] != '\n') return "a heading does not start a line";
    if (heading.level < 1 || heading.level > 6 || heading.title.empty()) return "a heading has no level or title";
    if (!text::is_valid_utf8(heading.title)) return "a heading's title is not UTF-8";
    last = heading.offset;
  }
  last = 0;
  for (const text::Block& block : document.structure.blocks) {
    if (block.start < last || block.end <= block.start || block.end > text.size()) return "a block is out of place";
    if (!text::is_boundary(text, block.start) || !text::is_boundary(text, block.end))
      return "a block splits a character";
    last = block.end;
  }
  if (document.metadata.size() > core::kMetadataFieldsMax) return "there are too many metadata fields";
  const auto good = [](std::string_view s) { return text::is_valid_utf8(s) && s.find('\0') == std::string_view::npos; };
  for (const auto& [name, value] : document.metadata) {
    if (name.empty() || !good(name)) return "a metadata name is not usable";
    if (const auto* word = std::get_if<std::string>(&value); word != nullptr && !good(*word))
      return "a metadata value is not usable";
    if (const auto* list = std::get_if<std::vector<std::string>>(&value)) {
      for (const std::string& item : *list) {
        if (!good(item)) return "a metadata item is not usable";
      }
    }
  }
  return {};
}

/// For fuzz targets: parses `bytes` as `content_type` and stops the program if the result breaks an invariant.
inline void check_parse(std::string_view bytes, std::string content_type, const ParseLimits& limits) {
  const auto document =
      create_parser(limits)->parse({.bytes = bytes, .content_type = std::move(content_type), .name = "fuzz"});
  const std::string violated = document ? violated_invariant(*document) : std::string();
  if (!violated.empty()) base::assertion_failed(violated.c_str(), __FILE__, __LINE__);
}

}  // namespace tessera::parse
