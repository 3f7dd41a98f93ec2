#pragma once

#include <fmt/core.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "text/chunker.h"
#include "text/utf8.h"

namespace tessera::text {

/// What chunk_text promises, checked: for tests and fuzzing. Returns what is broken, or an empty string. The bound on
/// tokens is checked for the sum of a chunk's words unless it is a piece of one word.
inline std::string broken_chunk_promise(std::string_view text, const std::vector<ChunkSpan>& chunks,
                                        const ChunkOptions& options, const TokenCounter& count) {
  size_t covered = 0, last_start = 0;
  for (size_t i = 0; i < chunks.size(); ++i) {
    const ChunkSpan& chunk = chunks[i];
    if (chunk.start >= chunk.end || chunk.end > text.size()) return fmt::format("chunk {} is empty or outside", i);
    if (i > 0 && (chunk.start <= last_start || chunk.end <= covered)) return fmt::format("chunk {} adds nothing", i);
    const std::string_view piece = text.substr(chunk.start, chunk.end - chunk.start);
    if (is_space(piece.front()) || is_space(piece.back())) return fmt::format("chunk {} is not trimmed", i);
    if (is_valid_utf8(text) && !is_valid_utf8(piece)) return fmt::format("chunk {} cuts a character", i);
    const bool one_word = std::none_of(piece.begin(), piece.end(), is_space);
    if (chunk.tokens > options.size) return fmt::format("chunk {} says {} tokens", i, chunk.tokens);
    if (!one_word && count(piece) > options.size) return fmt::format("chunk {} has {} tokens", i, count(piece));
    for (size_t at = covered; at < chunk.start; ++at) {
      if (!is_space(text[at])) return fmt::format("byte {} is in no chunk", at);
    }
    covered = std::max(covered, chunk.end);
    last_start = chunk.start;
  }
  for (size_t at = covered; at < text.size(); ++at) {
    if (!is_space(text[at])) return fmt::format("byte {} is in no chunk", at);
  }
  return {};
}

}  // namespace tessera::text
