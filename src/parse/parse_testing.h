#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "parse/invariants.h"
#include "parse/parser.h"
#include "text/utf8.h"

namespace tessera::parse {

/// Parses with default limits and checks the invariants; on an error the test fails and an empty document comes back.
inline core::ParsedDocument parse_well(std::string_view bytes, std::string content_type, std::string name = "",
                                       const ParseLimits& limits = {}) {
  auto document =
      create_parser(limits)->parse({.bytes = bytes, .content_type = std::move(content_type), .name = std::move(name)});
  if (!document) {
    ADD_FAILURE() << document.error().name << ": " << document.error().message << " (" << document.error().detail
                  << ")";
    return {};
  }
  EXPECT_EQ(violated_invariant(*document), "") << document->text.substr(0, 2000);
  return *std::move(document);
}

/// Parses what must be refused; returns the error.
inline base::Error parse_badly(std::string_view bytes, std::string content_type, std::string name = "",
                               const ParseLimits& limits = {}) {
  auto document =
      create_parser(limits)->parse({.bytes = bytes, .content_type = std::move(content_type), .name = std::move(name)});
  if (document) {
    ADD_FAILURE() << "was accepted: " << document->text.substr(0, 500);
    return {};
  }
  EXPECT_FALSE(document.error().message.empty());
  EXPECT_TRUE(text::is_valid_utf8(document.error().message));
  return std::move(document).error();
}

/// The text a block covers.
inline std::string block_text(const core::ParsedDocument& document, size_t i) {
  if (i >= document.structure.blocks.size()) return "(no such block)";
  const text::Block& block = document.structure.blocks[i];
  return document.text.substr(block.start, block.end - block.start);
}

/// "1:Title 2:Part" for compact comparison.
inline std::string outline(const core::ParsedDocument& document) {
  std::string out;
  for (const text::Heading& heading : document.structure.headings) {
    if (!out.empty()) out += ' ';
    out += fmt::format("{}:{}", heading.level, heading.title);
  }
  return out;
}

}  // namespace tessera::parse
