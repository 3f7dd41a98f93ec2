#include "index/lexical/term_cursor.h"

#include <algorithm>
#include <numeric>

#include "index/lexical/file_list.h"
#include "index/lexical/term_key.h"

namespace tessera::index {

SortedTerms::SortedTerms(const LiveSegment& live) : live_(live), entries_(live.terms()) {
  constexpr size_t kMany = 8192;
  // Many go into buckets by two bytes first, each of which is soon sorted.
  const bool many = entries_.size() >= kMany;
  const auto bucket_of = [&](uint32_t number) { return many ? std::byteswap(live_.key(number).low) >> 48 : 0; };
  std::vector<uint32_t> ends((many ? size_t{1} << 16 : 1) + 1);
  for (uint32_t number = 0; number < entries_.size(); ++number) ++ends[bucket_of(number) + 1];
  std::partial_sum(ends.begin(), ends.end(), ends.begin());
  for (uint32_t number = 0; number < entries_.size(); ++number) {
    entries_[ends[bucket_of(number)]++] = {std::byteswap(live_.key(number).low), number};
  }
  uint32_t first = 0;
  for (const uint32_t end : ends) {
    if (end - first > 1) sort(std::span(entries_).subspan(first, end - first));
    first = end;
  }
}

/// By the first eight bytes, which decide nearly always, then the rest.
void SortedTerms::sort(std::span<Entry> entries) const {
  std::ranges::sort(entries, [&](const Entry& a, const Entry& b) {
    if (a.head != b.head) return a.head < b.head;
    const uint64_t rest_a = std::byteswap(live_.key(a.number).high);
    const uint64_t rest_b = std::byteswap(live_.key(b.number).high);
    return rest_a != rest_b ? rest_a < rest_b : live_.term(a.number) < live_.term(b.number);
  });
}

TermCursor::TermCursor(const SegmentSource& source)
    : source_(source), new_places_(source.live ? source.live->terms() : source.file->terms(), kNoTerm), walk_({}) {
  const std::vector<uint32_t>& rows = source.new_rows;
  size_t beside = 1;
  while (beside < rows.size() && rows[beside] == rows[0] + beside) ++beside;
  if (!rows.empty() && rows[0] != kGoneRow && beside == rows.size()) shift_ = rows[0];
  if (source.live) {
    sorted_.emplace(*source.live);
  } else {
    walk_ = source.file->terms() == 0 ? TermWalk({}) : source.file->walk(0);
  }
}

bool TermCursor::next() {
  if (place_ == new_places_.size()) return false;
  if (source_.live) {
    constexpr size_t kAhead = 8;
    if (place_ + kAhead * 2 < sorted_->size()) {
      __builtin_prefetch(&source_.live->key((*sorted_)[place_ + kAhead * 2]));
      source_.live->prefetch_list((*sorted_)[place_ + kAhead]);
    }
    number_ = (*sorted_)[place_];
    const TermKey& key = source_.live->key(number_);
    term_ = key.whole() ? key.bytes() : source_.live->term(number_);
  } else {
    if (place_ > 0) before_.assign(term_);
    if (!walk_.next()) return damage();
    term_ = walk_.term();
    number_ = source_.file->number_at(static_cast<uint32_t>(place_));
    if (number_ == kNoTerm || (place_ > 0 && term_ <= before_)) return damage();
  }
  head_ = std::byteswap(term_key(term_).low);
  ++place_;
  return true;
}

bool TermCursor::collect(PostingList& out) {
  if (source_.live) {
    collect_live(out);
    return true;
  }
  const FileList list(*source_.file, number_);
  for (uint32_t block = 0; block < list.blocks(); ++block) {
    const size_t count = list.decode_rows(block, block_);
    if (count == 0) return false;
    list.decode_tfs(block, block_);
    const PostingList::Room to = out.room(count);
    std::copy_n(block_.rows.data(), count, to.rows);
    std::copy_n(block_.tfs.data(), count, to.tfs);
    if (std::find(to.tfs, to.tfs + count, 0) != to.tfs + count) return false;
    out.added(renumber(to, count));
  }
  return list.blocks() > 0;
}

void TermCursor::collect_live(PostingList& out) const {
  const LiveSegment::List list = source_.live->list(number_);
  const PostingList::Room to = out.room(list.count);
  uint32_t most = 0;
  for (uint32_t i = 0; i < list.count; ++i) {
    to.rows[i] = list.postings[i] >> 16;
    to.tfs[i] = list.postings[i] & 0xFFFF;
    most = std::max(most, to.tfs[i]);
  }
  if (most == LiveSegment::kManyTimes) {
    for (uint32_t i = 0; i < list.count; ++i) to.tfs[i] = source_.live->posting(number_, list.postings[i]).tf;
  }
  out.added(renumber(to, list.count));
}

size_t TermCursor::renumber(PostingList::Room postings, size_t count) const {
  if (shift_) {
    for (size_t i = 0; i < count; ++i) postings.rows[i] += *shift_;
    return count;
  }
  size_t kept = 0;
  for (size_t i = 0; i < count; ++i) {
    const uint32_t fresh = source_.new_rows[postings.rows[i]];
    postings.rows[kept] = fresh;
    postings.tfs[kept] = postings.tfs[i];
    kept += fresh == kGoneRow ? 0 : 1;
  }
  return kept;
}

}  // namespace tessera::index
