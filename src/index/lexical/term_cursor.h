#pragma once

#include <bit>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "index/lexical/block_codec.h"
#include "index/lexical/segment_writer.h"

namespace tessera::index {

inline constexpr uint32_t kNoTerm = 0xFFFFFFFF;

/// A term's postings, rows ascending, in two arrays that grow and are used again.
class PostingList {
 public:
  [[nodiscard]] uint32_t size() const { return size_; }
  [[nodiscard]] const uint32_t* rows() const { return rows_.data(); }
  [[nodiscard]] const uint32_t* tfs() const { return tfs_.data(); }
  void clear() { size_ = 0; }
  /// Where up to `most` further postings go; what was put there counts from added() on.
  struct Room {
    uint32_t* rows = nullptr;
    uint32_t* tfs = nullptr;
  };
  Room room(size_t most) {
    if (size_ + most > rows_.size()) {
      rows_.resize(std::bit_ceil(size_ + most));
      tfs_.resize(rows_.size());
    }
    return {rows_.data() + size_, tfs_.data() + size_};
  }
  void added(size_t count) { size_ += static_cast<uint32_t>(count); }

 private:
  std::vector<uint32_t> rows_;
  std::vector<uint32_t> tfs_;
  uint32_t size_ = 0;
};

/// A live segment's terms in the order of their bytes.
class SortedTerms {
 public:
  explicit SortedTerms(const LiveSegment& live);
  [[nodiscard]] size_t size() const { return entries_.size(); }
  [[nodiscard]] uint32_t operator[](size_t place) const { return entries_[place].number; }

 private:
  struct Entry {
    uint64_t head = 0;
    uint32_t number = 0;
  };
  void sort(std::span<Entry> entries) const;

  const LiveSegment& live_;
  std::vector<Entry> entries_;
};

/// Walks the terms of one source in order of their bytes, and notes where each goes. The source outlives it.
class TermCursor {
 public:
  explicit TermCursor(const SegmentSource& source);

  /// The next term; false at the end, and where the source is damaged.
  bool next();
  [[nodiscard]] bool sound() const { return sound_; }
  [[nodiscard]] std::string_view term() const { return term_; }
  /// The term's first bytes as a number, which has the order of terms.
  [[nodiscard]] uint64_t head() const { return head_; }
  [[nodiscard]] bool before(const TermCursor& other) const {
    return head_ != other.head_ ? head_ < other.head_ : term_ < other.term_;
  }
  /// Adds the postings of the rows that go into the new segment; false if the source is damaged.
  bool collect(PostingList& out);
  void set_new_place(uint32_t place) { new_places_[number_] = place; }
  /// By the source's term number: the place in the new segment's order, or kNoTerm.
  std::vector<uint32_t> take_new_places() { return std::move(new_places_); }

 private:
  bool damage() {
    sound_ = false;
    return false;
  }

  void collect_live(PostingList& out) const;
  /// Where rows go, in place; returns how many go anywhere.
  size_t renumber(PostingList::Room postings, size_t count) const;

  const SegmentSource& source_;
  std::optional<uint32_t> shift_;  // what is added to every row, if all are kept side by side
  std::vector<uint32_t> new_places_;
  std::optional<SortedTerms> sorted_;  // of a live source
  TermWalk walk_;
  size_t place_ = 0;
  uint32_t number_ = 0;
  bool sound_ = true;
  uint64_t head_ = 0;
  std::string_view term_;
  std::string before_;
  DecodedBlock block_;
};

}  // namespace tessera::index
