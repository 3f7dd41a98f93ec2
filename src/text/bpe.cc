#include "text/bpe.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <memory>
#include <span>
#include <string>

#include "base/hash.h"
#include "text/bpe_count.h"
#include "text/bpe_embedded.h"
#include "text/bpe_merge.h"
#include "text/bpe_split.h"
#include "text/utf8.h"

static_assert(std::endian::native == std::endian::little, "vocabulary files are little-endian and read in place");

namespace tessera::text {
namespace {

using base::Code;
using base::fail;

constexpr uint32_t kVersion = 2;
constexpr size_t kHeaderSize = 128;
constexpr size_t kPadding = 16;           // after the last record
constexpr uint32_t kPairsMax = 1U << 19;  // bytes; 16 bits of a hash say which word
constexpr size_t kCodePages = 0x110000 / 256;

enum Section { kRecords, kIndex, kSlots, kPages, kClasses, kPairs, kJoins, kBytePairs, kSections };

struct Range {
  uint32_t start;
  uint32_t size;
};

struct Header {
  char magic[8];
  uint32_t version;
  uint32_t pattern;
  uint32_t tokens;
  uint32_t token_max;
  uint32_t slots;
  uint32_t reserved;
  uint64_t file_size;
  uint64_t checksum;
  Range sections[kSections];
  char name[16];
};
static_assert(sizeof(Header) == 128 && offsetof(Header, sections) == 48);

std::unexpected<base::Error> damaged(std::string_view what) {
  return fail(Code::unreadable, "BPE_VOCABULARY_DAMAGED", "The vocabulary file is damaged; install it again.",
              std::string(what));
}

BpeTables tables_of(std::string_view file, const Header& header) {
  const auto section = [&](Section which) { return file.data() + header.sections[which].start; };
  BpeTables tables;
  tables.records = section(kRecords);
  tables.index = reinterpret_cast<const uint32_t*>(section(kIndex));
  tables.slots = reinterpret_cast<const uint32_t*>(section(kSlots));
  tables.pages = reinterpret_cast<const uint8_t*>(section(kPages));
  tables.classes = reinterpret_cast<const uint8_t*>(section(kClasses));
  tables.pairs = reinterpret_cast<const uint64_t*>(section(kPairs));
  tables.joins = reinterpret_cast<const uint8_t*>(section(kJoins));
  tables.byte_pairs = reinterpret_cast<const uint32_t*>(section(kBytePairs));
  tables.pair_words = header.sections[kPairs].size / 8;
  tables.token_count = header.tokens;
  tables.token_max = header.token_max;
  tables.slot_count = header.slots;
  return tables;
}

base::Result<> check_header(std::string_view file, const Header& header) {
  if (std::memcmp(header.magic, "TSRABPEV", 8) != 0) return damaged("not a vocabulary file");
  if (header.version != kVersion) return damaged("unknown version");
  if (header.pattern < 1 || header.pattern > 2) return damaged("unknown pattern");
  if (header.file_size != file.size()) return damaged("cut off");
  for (const Range& range : header.sections) {
    if (range.start < kHeaderSize || range.start % 8 != 0 || range.start > file.size() ||
        range.size > file.size() - range.start) {
      return damaged("a section lies outside the file");
    }
  }
  const Range* sections = header.sections;
  if (sections[kRecords].size > 1U << BpeTables::kOffsetBits) return damaged("too many records");
  if (header.tokens == 0 || header.tokens > 1U << 20 || header.token_max == 0 || header.token_max > 255 ||
      header.slots == 0 || sections[kIndex].size != (header.tokens + BpeTables::kStride - 1) / BpeTables::kStride * 4 ||
      sections[kSlots].size % 4 != 0 || sections[kSlots].size / 4 <= header.slots ||
      sections[kPages].size != kCodePages || sections[kClasses].size % 256 != 0 || sections[kPairs].size < 8 ||
      !std::has_single_bit(sections[kPairs].size) || sections[kPairs].size > kPairsMax ||
      sections[kJoins].size != BpeTables::kJoinsSize || sections[kBytePairs].size != 0x10000 * sizeof(uint32_t) ||
      header.name[15] != 0) {
    return damaged("sizes");
  }
  std::string unsealed(file.substr(0, kHeaderSize));
  std::memset(unsealed.data() + offsetof(Header, checksum), 0, sizeof header.checksum);
  if (base::hash64(file.substr(kHeaderSize), base::hash64(unsealed)) != header.checksum) return damaged("checksum");
  return {};
}

/// What find() and token() rely on: every record whole, the index and the slots point at records, the table ends.
base::Result<> check_tables(const BpeTables& tables, const Header& header) {
  const size_t size = header.sections[kRecords].size;
  std::vector<bool> starts(size);
  size_t at = 4;
  for (uint32_t id = 0; id < tables.token_count; ++id) {
    if (at + 4 + kPadding > size) return damaged("records");
    const auto head = BpeTables::load<uint32_t>(tables.records + at);
    const uint32_t length = head >> 24;
    if ((head & 0xFFFFFF) != id || length == 0 || length > tables.token_max || length > size - kPadding - at - 4) {
      return damaged("records");
    }
    if (id % BpeTables::kStride == 0 && tables.index[id / BpeTables::kStride] != at) return damaged("index");
    starts[at] = true;
    at += 4 + length;
  }
  const std::span slots(tables.slots, header.sections[kSlots].size / 4);
  for (const uint32_t slot : slots) {
    const uint32_t offset = slot & ((1U << BpeTables::kOffsetBits) - 1);
    if (slot != 0 && (offset >= size || !starts[offset])) return damaged("slots");
  }
  if (slots.back() != 0) return damaged("slots");
  for (const uint32_t id : std::span(tables.byte_pairs, 0x10000)) {
    if (id >= tables.token_count && id != BpeTables::kNoPair) return damaged("pairs of bytes");
  }
  const size_t pages = header.sections[kClasses].size / 256;
  for (size_t i = 0; i < kCodePages; ++i) {
    if (tables.pages[i] >= pages) return damaged("pages");
  }
  for (uint32_t byte = 0; byte < 256; ++byte) {
    const char one = static_cast<char>(byte);
    if (tables.find(&one, 1, &one + 1) == BpeTables::kNone) return damaged("a byte is not a token");
  }
  return {};
}

/// `text` with each invalid sequence replaced by U+FFFD; NUL stays, unlike in repair_utf8.
std::string replace_invalid(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t pos = 0; pos < text.size();) {
    const CodePoint point = decode_utf8(text, pos);
    if (point.valid) {
      out.append(text, pos, point.size);
    } else {
      out.append("\xEF\xBF\xBD");
    }
    pos += point.size;
  }
  return out;
}

/// Pieces seen before in the same text, direct-mapped: words repeat, and one look here costs less than the two or three
/// cache misses of the vocabulary's tables, far less than merging. Lives as long as a call, grows with the text.
class PieceCache {
 public:
  static constexpr size_t kPieceMax = 15;  ///< bytes; the size takes the 16th
  static constexpr size_t kIdsMax = 3;

  struct Entry {
    uint64_t low = 0;
    uint64_t high = 0;  ///< size in the top byte: 0 where nothing is
    uint32_t count = 0;
    uint32_t ids[kIdsMax] = {};
  };

  explicit PieceCache(size_t text_size)
      : shift_(64 - static_cast<int>(std::bit_width(std::clamp<size_t>(text_size / 16, 16, 4096) - 1))),
        entries_(std::make_unique<Entry[]>(size_t{1} << (64 - shift_))) {}

  Entry& at(uint64_t hash) { return entries_[hash >> shift_]; }

 private:
  int shift_;
  std::unique_ptr<Entry[]> entries_;
};

struct IdSink {
  std::vector<uint32_t>& ids;
  void add(uint32_t id) { ids.push_back(id); }
  void add(const PieceCache::Entry& entry) {
    ids.push_back(entry.ids[0]);
    for (uint32_t i = 1; i < entry.count; ++i) ids.push_back(entry.ids[i]);
  }
  size_t merge(BpeMerger& merger, std::string_view piece) { return merger.merge(piece, &ids); }
  bool keep(PieceCache::Entry& entry, size_t tokens) const {
    if (tokens > PieceCache::kIdsMax) return false;
    std::copy(ids.end() - static_cast<std::ptrdiff_t>(tokens), ids.end(), entry.ids);
    return true;
  }
};

template <BpePattern pattern>
void encode_valid(const BpeTables& tables, std::string_view text, IdSink sink) {
  const char* limit = text.data() + text.size();
  const BpeSplitter<pattern> splitter(tables, text);
  BpeMerger merger(tables, text.size());
  merger.read(text);
  PieceCache cache(text.size());
  for (size_t pos = 0, end; pos < text.size(); pos = end) {
    end = splitter.end_of_piece(pos);
    const char* piece = text.data() + pos;
    const size_t size = end - pos;
    if (size > PieceCache::kPieceMax) {
      const uint32_t id = tables.find(piece, size, limit);
      id != BpeTables::kNone ? sink.add(id) : void(sink.merge(merger, {piece, size}));
      continue;
    }
    const BpeTables::Key key = BpeTables::key(piece, size, limit);
    const uint64_t hash = BpeTables::hash(key, size), high = key.high | uint64_t{size} << 56;
    PieceCache::Entry& entry = cache.at(hash);
    if (entry.low == key.low && entry.high == high) {
      sink.add(entry);
      continue;
    }
    const uint32_t id = tables.find(key, size, hash, BpeTables::next_slot(tables.first_slot(hash), hash));
    size_t count = 1;
    id != BpeTables::kNone ? sink.add(id) : void(count = sink.merge(merger, {piece, size}));
    if (!sink.keep(entry, count)) continue;
    entry.low = key.low;
    entry.high = high;
    entry.count = static_cast<uint32_t>(count);
  }
}

}  // namespace

base::Result<BpeVocabulary> BpeVocabulary::open(std::string_view file) {
  if (file.size() < kHeaderSize) return damaged("cut off");
  if (reinterpret_cast<uintptr_t>(file.data()) % 8 != 0) return damaged("not aligned");
  Header header;
  std::memcpy(&header, file.data(), sizeof header);
  TESSERA_CHECK(check_header(file, header));
  TESSERA_CHECK(check_tables(tables_of(file, header), header));
  return embedded(file);
}

BpeVocabulary BpeVocabulary::embedded(std::string_view file) {
  const auto& header = *reinterpret_cast<const Header*>(file.data());
  BpeVocabulary vocabulary;
  vocabulary.tables_ = tables_of(file, header);
  vocabulary.pattern_ = static_cast<BpePattern>(header.pattern);
  vocabulary.name_ = header.name;
  return vocabulary;
}

BpeVocabulary BpeVocabulary::cl100k() {
  return embedded(embedded_cl100k());
}

BpeVocabulary BpeVocabulary::o200k() {
  return embedded(embedded_o200k());
}

size_t BpeVocabulary::count_tokens(std::string_view text) const {
  BpeCountWork work(tables_, pattern_, text.size());
  return count_with(work, text);
}

size_t BpeVocabulary::count_with(BpeCountWork& work, std::string_view text) {
  return is_valid_utf8(text) ? work.count(text) : work.count(replace_invalid(text));
}

void BpeVocabulary::encode(std::string_view text, std::vector<uint32_t>& ids) const {
  std::string replaced;
  if (!is_valid_utf8(text)) text = replaced = replace_invalid(text);
  if (pattern_ == BpePattern::cl100k) {
    encode_valid<BpePattern::cl100k>(tables_, text, {ids});
  } else {
    encode_valid<BpePattern::o200k>(tables_, text, {ids});
  }
}

std::string_view BpeVocabulary::token(uint32_t id) const {
  if (id >= tables_.token_count) return {};
  const char* record = tables_.records + tables_.index[id / BpeTables::kStride];
  for (uint32_t i = id % BpeTables::kStride; i > 0; --i) record += 4 + (BpeTables::load<uint32_t>(record) >> 24);
  return {record + 4, BpeTables::load<uint32_t>(record) >> 24};
}

}  // namespace tessera::text
