#pragma once

#include <cstddef>
#include <string_view>

#include "base/result.h"
#include "core/metadata.h"

namespace tessera::parse {

/// The YAML block at the head of a Markdown file.
struct FrontMatter {
  core::Metadata fields;   ///< nested maps flattened with dots, lists as lists of strings
  size_t body_offset = 0;  ///< where the Markdown starts; 0 if there is no front matter
};

/// Reads front matter from valid UTF-8 with "\n" line ends. A first line "---" opens it, a line "---" or "..." closes
/// it; an unclosed block, or one whose first line cannot be YAML, is text. Errors: INVALID_FRONT_MATTER naming the
/// line, also for aliases, deep nesting, duplicate keys, more than 64 KiB or more fields than metadata holds.
base::Result<FrontMatter> read_front_matter(std::string_view source);

}  // namespace tessera::parse
