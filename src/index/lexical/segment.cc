#include "index/lexical/segment.h"

#include <bit>
#include <cmath>
#include <cstring>

namespace tessera::index {

using namespace segment_format;

bool TermWalk::next() {
  if (rest_.size() < 2) return false;
  const auto shared = static_cast<uint8_t>(rest_[0]);
  const auto fresh = static_cast<uint8_t>(rest_[1]);
  if (shared > size_ || size_t{shared} + fresh > term_.size() || size_t{fresh} + 2 > rest_.size()) return false;
  std::memcpy(term_.data() + shared, rest_.data() + 2, fresh);
  size_ = size_t{shared} + fresh;
  rest_.remove_prefix(size_t{fresh} + 2);
  return true;
}

base::Result<std::shared_ptr<const Segment>> Segment::open(std::shared_ptr<const IndexFile> file) {
  std::shared_ptr<Segment> segment(new Segment(std::move(file)));
  if (!segment->map()) {
    return files_damaged(segment->file_->entry().name, "not a sound lexical segment");
  }
  return std::shared_ptr<const Segment>(std::move(segment));
}

bool Segment::map() {
  const uint64_t size = file_->bytes().size();
  if (size < sizeof(Trailer)) return false;
  std::memcpy(&trailer_, file_->bytes().data() + (size - sizeof(Trailer)), sizeof(Trailer));
  if (trailer_.magic != kMagic || trailer_.version != kVersion) return false;
  const uint32_t rows = trailer_.rows;
  const uint32_t terms = trailer_.terms;
  if (rows == 0 || rows > kSegmentRowsMax || !(trailer_.reference_length >= 1.0F) ||
      !std::isfinite(trailer_.reference_length)) {
    return false;
  }
  bool sound = true;
  const auto array = [&]<class T>(std::span<const T>& into, Section section, uint64_t count) {
    const Place place = trailer_.sections[section];
    into = file_->array<T>(place.offset, count);
    sound = sound && into.size() == count && place.bytes == count * sizeof(T);
  };
  const auto bytes = [&](std::string_view& into, Section section) {
    const Place place = trailer_.sections[section];
    const auto span = file_->array<char>(place.offset, place.bytes);
    into = {span.data(), span.size()};
    sound = sound && span.size() == place.bytes;
  };
  bytes(postings_, kPostings);
  sound = sound && std::bit_cast<uintptr_t>(postings_.data()) % alignof(uint32_t) == 0;
  array(infos_, kInfos, terms);
  array(groups_, kTermGroups, (uint64_t{terms} + kTermsPerGroup - 1) / kTermsPerGroup);
  bytes(term_bytes_, kTermBytes);
  array(numbers_, kNumbers, terms);
  const uint64_t slots = trailer_.sections[kTags].bytes;
  sound = sound && std::has_single_bit(slots);
  array(slots_, kSlots, slots);
  array(tags_, kTags, slots);
  array(lengths_, kLengths, rows);
  array(sequence_ends_, kSequenceEnds, rows);
  bytes(sequences_, kSequences);
  return sound;
}

void Segment::prefetch(uint32_t hash) const {
  const size_t at = hash & (tags_.size() - 1);
  __builtin_prefetch(&tags_[at]);
  __builtin_prefetch(&slots_[at]);
}

uint32_t Segment::find(std::string_view wanted, uint32_t hash) const {
  constexpr size_t kProbesMax = 4096;  // a sound table has far shorter runs
  const uint8_t tag = tag_of(hash);
  const size_t mask = tags_.size() - 1;
  size_t at = hash & mask;
  for (size_t probe = 0; probe < std::min(kProbesMax, tags_.size()) && tags_[at] != 0; ++probe, at = (at + 1) & mask) {
    if (tags_[at] != tag) continue;
    const uint32_t place = slots_[at];
    if (place >= trailer_.terms) continue;
    TermWalk terms = walk(place);
    uint32_t left = place % kTermsPerGroup + 1;
    while (left > 0 && terms.next()) --left;
    if (left == 0 && terms.term() == wanted) return number_at(place);
  }
  return kNone;
}

TermWalk Segment::walk(uint32_t place) const {
  const uint32_t offset = groups_[place / kTermsPerGroup];
  return TermWalk(offset < term_bytes_.size() ? term_bytes_.substr(offset) : std::string_view());
}

uint32_t Segment::group_before(std::string_view term) const {
  uint32_t low = 0;
  auto high = static_cast<uint32_t>(groups_.size());
  while (low < high) {  // the first group that begins at or above the term
    const uint32_t middle = low + (high - low) / 2;
    TermWalk terms = walk(middle * kTermsPerGroup);
    if (terms.next() && terms.term() < term) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return (low == 0 ? 0 : low - 1) * kTermsPerGroup;
}

std::span<const uint8_t> Segment::sequence(Row row) const {
  const uint64_t start = row == 0 ? 0 : sequence_ends_[row - 1];
  const uint64_t end = sequence_ends_[row];
  if (start > end || end > sequences_.size()) return {};
  return {reinterpret_cast<const uint8_t*>(sequences_.data()) + start, end - start};
}

}  // namespace tessera::index
