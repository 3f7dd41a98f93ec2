#include "index/lexical/list_cursor.h"

#include <algorithm>

#include "index/lexical/bm25.h"

namespace tessera::index {

ListCursor::ListCursor(const Part& part, uint32_t number, float weight, LengthNorm norm)
    : part_(part), number_(number), weight_(weight), norm_(norm) {
  if (part.live) {
    open_live(part, number);
  } else {
    open_file(part, number);
  }
}

void ListCursor::open_live(const Part& part, uint32_t number) {
  live_ = part.live->list(number);
  last_rows_ = live_.last_rows;
  bounds_ = live_.bounds;
  table_ = live_.count / kListBlock;
  blocks_ = (live_.count + kListBlock - 1) / kListBlock;
  if (blocks_ == 0) return;
  first_row_ = live_.postings[0] >> 16;
  tail_last_ = live_.postings[live_.count - 1] >> 16;
  tail_bound_ = live_.tail_bound;
}

void ListCursor::open_file(const Part& part, uint32_t number) {
  file_ = FileList(*part.file, number);
  lengths_ = part.file->lengths().data();
  last_rows_ = file_.last_rows();
  bounds_ = file_.bounds();
  blocks_ = file_.blocks();
  table_ = last_rows_ == nullptr ? 0 : blocks_;
  if (table_ > 0 || blocks_ == 0) return;
  count_ = file_.decode_rows(0, decoded_);  // one short block: where it ends is known once it is decoded
  if (count_ == 0) {
    blocks_ = 0;
    return;
  }
  rows_of_ = 0;
  tfs_of_ = 0;
  first_row_ = decoded_.rows[0];
  tail_last_ = decoded_.rows[count_ - 1];
  tail_bound_ = count_ == 1
                    ? impact_bound(Bm25::impact(decoded_.tfs[0], lengths_[first_row_], part.file->reference_length()))
                    : file_.max_bound();
}

void ListCursor::seek_far(Row row) {
  uint32_t low = block_ + 1;  // everything below `low` ends before the row
  uint32_t step = 1;
  while (low < blocks_ && last_row(low) < row) {
    const uint32_t next = low + step;
    if (next < blocks_ && last_row(next) < row) {
      low = next + 1;
      step *= 2;
      continue;
    }
    uint32_t high = std::min(next, blocks_);
    ++low;
    while (low < high) {
      const uint32_t middle = low + (high - low) / 2;
      if (last_row(middle) < row) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    break;
  }
  block_ = low;
}

bool ListCursor::decode_rows() {
  rows_of_ = block_;
  at_ = 0;
  if (part_.live) {
    const uint32_t* const words = live_.postings + size_t{block_} * kListBlock;
    count_ = std::min<size_t>(kListBlock, live_.count - size_t{block_} * kListBlock);
    for (size_t i = 0; i < count_; ++i) decoded_.rows[i] = words[i] >> 16;
    return true;
  }
  count_ = file_.decode_rows(block_, decoded_);
  if (count_ > 0 && count_ < kListBlock) tfs_of_ = block_;  // short blocks come whole
  return count_ > 0;
}

void ListCursor::decode_tfs() {
  if (tfs_of_ == block_) return;
  tfs_of_ = block_;
  if (!part_.live) {
    file_.decode_tfs(block_, decoded_);
    return;
  }
  const uint32_t* const words = live_.postings + size_t{block_} * kListBlock;
  for (size_t i = 0; i < count_; ++i) decoded_.tfs[i] = part_.live->posting(number_, words[i]).tf;
}

void ListCursor::advance_to(Row row) {
  const uint32_t* const begin = decoded_.rows.data();
  constexpr size_t kSteps = 4;
  for (size_t i = 0; i < kSteps && at_ < count_; ++i, ++at_) {
    if (begin[at_] >= row) return;
  }
  at_ = static_cast<size_t>(std::lower_bound(begin + at_, begin + count_, row) - begin);
}

float ListCursor::score() {
  decode_tfs();
  const auto frequency = static_cast<float>(static_cast<int32_t>(decoded_.tfs[at_]));
  return weight_ * frequency / (frequency + norm_.of(part_.length(decoded_.rows[at_])));
}

/// Calls use(first, end) with the places in decoded_ of the rows in [from, end), block by block.
template <class Use>
void ListCursor::for_blocks(Row from, Row end, Use&& use) {
  for (seek(from); block_ < blocks_; ++block_) {
    if (rows_of_ != block_) {
      if (next_possible(from) >= end) return;
      if (!decode_rows()) continue;
    }
    if (at_ < count_ && decoded_.rows[at_] < from) advance_to(from);
    const size_t first = at_;
    if (count_ > 0 && decoded_.rows[count_ - 1] < end) {
      at_ = count_;
    } else {
      while (at_ < count_ && decoded_.rows[at_] < end) ++at_;
    }
    if (first < at_) use(first, at_);
    if (at_ < count_) return;
  }
}

uint64_t ListCursor::add_scores(Row from, Row end, float* sums) {
  uint64_t touched = 0;
  for_blocks(from, end, [&](size_t first, size_t last) {
    decode_tfs();
    alignas(64) std::array<float, kListBlock> scores;
    if (lengths_ != nullptr) {
      for (size_t i = first; i < last; ++i) scores[i] = norm_.of(lengths_[decoded_.rows[i]]);
    } else {
      for (size_t i = first; i < last; ++i) scores[i] = norm_.of(part_.live->length(decoded_.rows[i]));
    }
    for (size_t i = first; i < last; ++i) {
      const auto frequency = static_cast<float>(static_cast<int32_t>(decoded_.tfs[i]));
      scores[i] = weight_ * frequency / (frequency + scores[i]);
    }
    for (size_t i = first; i < last; ++i) {
      const Row at = decoded_.rows[i] - from;
      sums[at] += scores[i];
      touched |= uint64_t{1} << (at / 64);
    }
  });
  return touched;
}

void ListCursor::mark_rows(Row from, Row end, uint64_t* bits) {
  for_blocks(from, end, [&](size_t first, size_t last) {
    for (size_t i = first; i < last; ++i) {
      const Row at = decoded_.rows[i] - from;
      bits[at / 64] |= uint64_t{1} << (at % 64);
    }
  });
}

}  // namespace tessera::index
