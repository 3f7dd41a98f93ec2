#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "text/structure.h"

namespace tessera::text {

/// Sizes are in tokens of the caller's counter. `overlap` < `size`; size >= 16.
struct ChunkOptions {
  size_t size = 256;
  size_t overlap = 32;
};

/// A piece of a text: bytes [start, end), UTF-8 boundaries kept, never empty, trimmed of outer white space.
/// `heading_path` is the titles above it, outermost first, joined by " > ". Its tokens are [first_token, first_token +
/// tokens) of those kept, if they were.
struct ChunkSpan {
  size_t start = 0;
  size_t end = 0;
  size_t tokens = 0;
  size_t first_token = 0;
  std::string heading_path;
};

/// Tokens in a piece of text; called on sentences, not on the whole.
using TokenCounter = std::function<size_t(std::string_view)>;

/// Reads pieces of a text into tokens, so that what was counted need not be read again for what comes after.
struct TokenKeeper {
  /// Appends the tokens of a piece to the vector and returns their number.
  std::function<size_t(std::string_view, std::vector<uint16_t>&)> read;
  /// Tokens of the text's pieces in their order, none twice: consecutive chunks share those of their overlap.
  std::vector<uint16_t> tokens = {};
};

/// Cuts a text along headings, then paragraphs and sentences, then words; a block of `structure` stays whole while it
/// fits in `size`. Chunks come in order, cover every non-space byte, and none has more than `size` tokens (except one
/// unbreakable word, which is cut by bytes). Consecutive chunks under one heading share up to `overlap` tokens of whole
/// sentences. Linear time.
std::vector<ChunkSpan> chunk_text(std::string_view text, const Structure& structure, const ChunkOptions& options,
                                  const TokenCounter& count);
/// The same, and keeps the tokens.
std::vector<ChunkSpan> chunk_text(std::string_view text, const Structure& structure, const ChunkOptions& options,
                                  TokenKeeper& keeper);

}  // namespace tessera::text
