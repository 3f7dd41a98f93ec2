#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "index/files/file_store.h"
#include "index/lexical/block_codec.h"

namespace tessera::index {

/// The file format of a segment (docs/formats/index-segment.md).
namespace segment_format {
inline constexpr std::array<char, 8> kMagic = {'T', 'S', 'E', 'G', 'M', 'E', 'N', 'T'};
inline constexpr uint32_t kVersion = 1;
inline constexpr size_t kTermsPerGroup = 8;

enum Section : size_t {
  kPostings,      // lists, each at a multiple of 4
  kInfos,         // TermInfo by term number
  kTermGroups,    // u32: where each group of terms begins
  kTermBytes,     // front-coded terms in order of their bytes
  kNumbers,       // u32: place in that order -> term number
  kSlots,         // u32: hash table of places
  kTags,          // u8: of each slot; 0: free
  kLengths,       // u32: row -> terms
  kSequenceEnds,  // u32: row -> end of its sequence
  kSequences,     // varints: term number + 1, or 0 between two parts
  kSections
};

struct Place {
  uint64_t offset = 0;
  uint64_t bytes = 0;
};

/// The last bytes of the file.
struct Trailer {
  std::array<Place, kSections> sections;
  uint64_t length_sum = 0;
  float reference_length = 0;
  uint32_t rows = 0;
  uint32_t terms = 0;
  uint32_t version = 0;
  std::array<char, 8> magic{};
};
static_assert(sizeof(Trailer) == kSections * 16 + 32);

/// One row: df is 1, `at` the row, `more` the frequency. Otherwise `at` is the list's offset / 4 and `more` the
/// greatest bound of its blocks.
struct TermInfo {
  uint32_t df = 0;
  uint32_t at = 0;
  uint32_t more = 0;
};

inline uint8_t tag_of(uint32_t hash) {
  const auto tag = static_cast<uint8_t>(hash >> 24);
  return tag == 0 ? 1 : tag;
}
}  // namespace segment_format

/// Reads a group-wise front-coded list of terms in order. Bounded by its bytes, whatever they are.
class TermWalk {
 public:
  explicit TermWalk(std::string_view bytes) : rest_(bytes) {}
  /// The next term; false at the end or at bytes that make no sense.
  bool next();
  [[nodiscard]] std::string_view term() const { return {term_.data(), size_}; }

 private:
  std::string_view rest_;
  size_t size_ = 0;
  std::array<char, 256> term_;
};

/// An immutable segment: terms, their postings, and for each row the sequence of its terms, in one file. Terms are
/// numbered by falling document frequency, so that frequent terms are small numbers. Safe to share; any bytes are read
/// without leaving the file, so its checksum need not be waited for.
class Segment {
 public:
  static constexpr uint32_t kNone = 0xFFFFFFFF;

  /// Errors: invalid SNAPSHOT_DAMAGED.
  static base::Result<std::shared_ptr<const Segment>> open(std::shared_ptr<const IndexFile> file);

  [[nodiscard]] const IndexFile& file() const { return *file_; }
  [[nodiscard]] Row rows() const { return trailer_.rows; }
  [[nodiscard]] uint32_t terms() const { return trailer_.terms; }
  [[nodiscard]] uint64_t length_sum() const { return trailer_.length_sum; }
  [[nodiscard]] uint64_t sequence_bytes() const { return sequences_.size(); }
  [[nodiscard]] float reference_length() const { return trailer_.reference_length; }
  [[nodiscard]] std::span<const uint32_t> lengths() const { return lengths_; }

  /// Asks for the memory find() will look at first.
  void prefetch(uint32_t hash) const;
  /// The number of a term, or kNone.
  [[nodiscard]] uint32_t find(std::string_view term, uint32_t hash) const;
  /// Frequency and place of a term; a row beyond the segment is possible in a damaged file.
  [[nodiscard]] const segment_format::TermInfo& info(uint32_t number) const { return infos_[number]; }
  /// All lists.
  [[nodiscard]] std::string_view postings() const { return postings_; }
  /// Terms in order from `place` on, a multiple of kTermsPerGroup.
  [[nodiscard]] TermWalk walk(uint32_t place) const;
  /// The place of the first group whose terms may be at or above `term`.
  [[nodiscard]] uint32_t group_before(std::string_view term) const;
  /// The number of the term at a place, kNone if damaged.
  [[nodiscard]] uint32_t number_at(uint32_t place) const {
    return numbers_[place] < trailer_.terms ? numbers_[place] : kNone;
  }
  /// As in LiveSegment; numbers may be out of range in a damaged file.
  [[nodiscard]] std::span<const uint8_t> sequence(Row row) const;

 private:
  explicit Segment(std::shared_ptr<const IndexFile> file) : file_(std::move(file)) {}
  bool map();

  std::shared_ptr<const IndexFile> file_;
  segment_format::Trailer trailer_;
  std::string_view postings_;
  std::span<const segment_format::TermInfo> infos_;
  std::span<const uint32_t> groups_;
  std::string_view term_bytes_;
  std::span<const uint32_t> numbers_;
  std::span<const uint32_t> slots_;
  std::span<const uint8_t> tags_;
  std::span<const uint32_t> lengths_;
  std::span<const uint32_t> sequence_ends_;
  std::string_view sequences_;
};

}  // namespace tessera::index
