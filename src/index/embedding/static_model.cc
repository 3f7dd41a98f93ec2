#include "index/embedding/static_model.h"

#include <array>
#include <bit>
#include <cstring>

#include "base/hash.h"

static_assert(std::endian::native == std::endian::little, "model files are little-endian and read in place");

namespace tessera::index {
namespace {

using base::Code;
using base::fail;

constexpr size_t kHeaderSize = 256;
constexpr size_t kCodePages = 0x110000 / 256;
constexpr uint32_t kVersion = 1;

enum Section {
  kTokenOffsets,
  kTokenBytes,
  kSlots,
  kPages,
  kClasses,
  kImageOffsets,
  kImageBytes,
  kScales,
  kRows,
  kSections
};

struct Range {
  uint32_t start;
  uint32_t size;
};

struct Header {
  char magic[8];
  uint32_t version;
  uint32_t dimensions;
  uint32_t vocabulary;
  uint32_t first_row;
  uint32_t unknown;
  uint32_t reserved;
  uint64_t file_size;
  uint64_t checksum;
  Range sections[kSections];
  char name[48];
};
static_assert(sizeof(Header) == 168 && offsetof(Header, sections) == 48);

std::unexpected<base::Error> damaged(std::string_view what) {
  return fail(Code::unreadable, "EMBEDDING_MODEL_DAMAGED", "The embedding model file is damaged; install it again.",
              std::string(what));
}

template <class T>
std::span<const T> view(std::string_view file, Range range) {
  return {reinterpret_cast<const T*>(file.data() + range.start), range.size / sizeof(T)};
}

std::string_view bytes(std::string_view file, Range range) {
  return file.substr(range.start, range.size);
}

/// The sizes that the header's numbers imply; sections of free size are 0 here.
bool sizes_agree(const Header& header) {
  const auto size = [&](Section section) -> uint64_t { return header.sections[section].size; };
  const uint64_t rows = header.vocabulary - header.first_row;
  return size(kTokenOffsets) == (uint64_t{header.vocabulary} + 1) * 4 && size(kSlots) % 4 == 0 &&
         std::has_single_bit(size(kSlots) / 4) && size(kSlots) / 4 >= 2 && size(kSlots) / 4 <= 65536 &&
         size(kPages) == kCodePages * 2 && size(kClasses) % 512 == 0 && size(kClasses) > 0 &&
         size(kImageOffsets) % 4 == 0 && size(kImageOffsets) > 0 && size(kScales) == rows * 4 &&
         size(kRows) == rows * header.dimensions;
}

/// Offsets that never fall and end at `end`.
bool ascending(std::span<const uint32_t> offsets, size_t end) {
  for (size_t i = 1; i < offsets.size(); ++i) {
    if (offsets[i] < offsets[i - 1]) return false;
  }
  return !offsets.empty() && offsets.front() == 0 && offsets.back() == end;
}

}  // namespace

base::Result<StaticModel> StaticModel::open(std::string_view file) {
  Header header;
  if (file.size() < kHeaderSize) return damaged("shorter than its header");
  std::memcpy(&header, file.data(), sizeof header);
  if (std::memcmp(header.magic, "TSRASTAT", 8) != 0) {
    return fail(Code::unreadable, "NOT_AN_EMBEDDING_MODEL", "The file is not a Tessera static embedding model.");
  }
  if (header.version != kVersion) {
    return fail(Code::unreadable, "EMBEDDING_MODEL_VERSION",
                "The embedding model file has another version; use the one that came with this binary.");
  }
  if (header.file_size != file.size()) return damaged("another size than its header says");
  if (header.vocabulary == 0 || header.vocabulary > 65535 || header.first_row >= header.vocabulary ||
      header.unknown >= header.vocabulary || header.dimensions == 0 || header.dimensions % 64 != 0 ||
      header.dimensions > 4096 || reinterpret_cast<uintptr_t>(file.data()) % 64 != 0) {
    return damaged("impossible numbers in its header");
  }
  for (const Range& range : header.sections) {
    if (range.start < kHeaderSize || range.start % 64 != 0 || uint64_t{range.start} + range.size > file.size()) {
      return damaged("a section outside the file");
    }
  }
  if (!sizes_agree(header)) return damaged("a section of the wrong size");

  StaticModel model;
  model.file_ = file;
  const std::string_view name = file.substr(offsetof(Header, name), sizeof header.name);
  model.name_ = name.substr(0, name.find('\0'));
  model.dimensions_ = header.dimensions;
  model.vocabulary_ = header.vocabulary;
  model.first_row_ = static_cast<uint16_t>(header.first_row);
  model.checksum_ = header.checksum;
  const auto& at = header.sections;
  model.tables_ = {.token_offsets = view<uint32_t>(file, at[kTokenOffsets]),
                   .token_bytes = bytes(file, at[kTokenBytes]),
                   .slots = view<uint32_t>(file, at[kSlots]),
                   .pages = view<uint16_t>(file, at[kPages]),
                   .classes = view<uint16_t>(file, at[kClasses]),
                   .image_offsets = view<uint32_t>(file, at[kImageOffsets]),
                   .image_bytes = bytes(file, at[kImageBytes]),
                   .unknown = static_cast<uint16_t>(header.unknown)};
  model.scales_ = view<float>(file, at[kScales]);
  model.rows_ = view<int8_t>(file, at[kRows]);
  model.tokenizer_ = text::WordPiece(model.tables_);
  return model;
}

base::Result<> StaticModel::verify() const {
  if (base::hash64(file_.substr(kHeaderSize)) != checksum_) return damaged("checksum");
  if (!ascending(tables_.token_offsets, tables_.token_bytes.size())) return damaged("token offsets");
  if (!ascending(tables_.image_offsets, tables_.image_bytes.size())) return damaged("image offsets");
  size_t empty = 0;
  for (const uint32_t entry : tables_.slots) {
    empty += entry == 0;
    if ((entry & 0xFFFF) >= vocabulary_) return damaged("a slot beyond the vocabulary");
  }
  if (empty == 0) return damaged("a full hash table");
  for (const uint16_t page : tables_.pages) {
    if ((size_t{page} + 1) * 256 > tables_.classes.size()) return damaged("a page outside the table");
  }
  for (const uint16_t kind : tables_.classes) {
    const size_t image = (kind & ~text::WordPiece::kImageAlone) - size_t{text::WordPiece::kImage};
    if (kind >= text::WordPiece::kImage && image + 1 >= tables_.image_offsets.size())
      return damaged("an image outside the table");
  }
  return {};
}

}  // namespace tessera::index
