#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tessera::index {

// Of the files of documents: docs/formats/index-documents.md.

inline constexpr std::string_view kDocumentsMagic = "TSRDOCUM";
inline constexpr uint32_t kDocumentsVersion = 1;
inline constexpr uint64_t kDocumentsAlignment = 8;

/// How a block's codes are written: pairs of place and code, or an array of codes of so many bytes.
enum class BlockKind : uint32_t { pairs = 0, bytes = 1, words = 2, longs = 4 };

}  // namespace tessera::index
