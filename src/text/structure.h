#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace tessera::text {

/// A heading of a document. `offset` is the byte where its line starts in the stored text; `level` is 1 to 6.
struct Heading {
  size_t offset = 0;
  int level = 1;
  std::string title;
};

/// Bytes [start, end) of the stored text that should stay together in one chunk while they fit (code block, table row
/// group, callout).
struct Block {
  size_t start = 0;
  size_t end = 0;
};

/// What the chunker knows of a text beyond its characters. Both lists ordered by offset; blocks do not overlap.
struct Structure {
  std::vector<Heading> headings;
  std::vector<Block> blocks;
};

}  // namespace tessera::text
