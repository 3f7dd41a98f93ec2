#include "index/lexical/segment_writer.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <numeric>
#include <string>

#include "index/lexical/bm25.h"
#include "index/lexical/file_list.h"
#include "index/lexical/term_cursor.h"
#include "index/lexical/term_key.h"
#include "index/varint.h"

namespace tessera::index {
namespace {

using namespace segment_format;

class SegmentMaker {
 public:
  SegmentMaker(FileStore& files, std::span<const SegmentSource> sources, Row rows, const std::atomic<bool>& stop)
      : sources_(sources), rows_(rows), stop_(stop), writer_(files.create("lexical")) {}

  base::Result<std::shared_ptr<const Segment>> make() {
    read_lengths();
    if (!write_lists()) return interrupted();
    number_terms();
    write_dictionary();
    if (!write_sequences()) return interrupted();
    begin(kLengths);
    writer_->put_array(std::span<const uint32_t>(lengths_));
    end(kLengths);
    writer_->align(8);
    trailer_.rows = rows_;
    trailer_.terms = static_cast<uint32_t>(infos_.size());
    trailer_.version = kVersion;
    trailer_.magic = kMagic;
    writer_->put_array(std::span<const Trailer>(&trailer_, 1));
    TESSERA_TRY(std::shared_ptr<const IndexFile> file, writer_->finish());
    return Segment::open(std::move(file));
  }

 private:
  base::Result<std::shared_ptr<const Segment>> interrupted() const {
    if (!damaged_) return std::shared_ptr<const Segment>();
    return files_damaged("segments", "a lexical segment that was to be merged is not sound");
  }
  void begin(Section section) {
    writer_->align(8);
    trailer_.sections[section].offset = writer_->position();
  }
  void end(Section section) {
    trailer_.sections[section].bytes = writer_->position() - trailer_.sections[section].offset;
  }

  void read_lengths() {
    lengths_.resize(rows_);
    uint64_t kept = 0;
    for (const SegmentSource& source : sources_) {
      for (Row row = 0; row < source.rows(); ++row) {
        if (source.new_rows[row] == kGoneRow) continue;
        ++kept;
        lengths_[source.new_rows[row]] = source.length(row);
        trailer_.length_sum += source.length(row);
      }
    }
    trailer_.reference_length = std::max(1.0F, static_cast<float>(static_cast<double>(trailer_.length_sum) /
                                                                  static_cast<double>(std::max<uint64_t>(kept, 1))));
  }

  /// Merges the sources' terms and writes each one's list.
  bool write_lists() {
    std::vector<TermCursor> cursors;
    cursors.reserve(sources_.size());
    for (const SegmentSource& source : sources_) cursors.emplace_back(source);
    std::vector<TermCursor*> open;
    for (TermCursor& cursor : cursors) {
      if (advance(cursor)) open.push_back(&cursor);
    }
    begin(kPostings);
    writer_->put(uint32_t{0});  // so that the section is never empty
    constexpr size_t kTermsBetweenLooks = 1024;
    std::string term;
    for (size_t turn = 0; !open.empty() && !damaged_; ++turn) {
      if (turn % kTermsBetweenLooks == 0 && stop_.load(std::memory_order_relaxed)) return false;
      const TermCursor& least =
          **std::ranges::min_element(open, [](const auto* a, const auto* b) { return a->before(*b); });
      const uint64_t head = least.head();
      term = least.term();
      postings_.clear();
      size_t kept = 0;
      for (TermCursor* cursor : open) {  // few sources: order is kept, so rows ascend
        if (cursor->head() == head && cursor->term() == term) {
          damaged_ = damaged_ || !cursor->collect(postings_);
          cursor->set_new_place(static_cast<uint32_t>(infos_.size()));
          if (!advance(*cursor)) continue;
        }
        open[kept++] = cursor;
      }
      open.resize(kept);
      if (postings_.size() > 0) add_term(term);
    }
    end(kPostings);
    for (TermCursor& cursor : cursors) new_places_.push_back(cursor.take_new_places());
    return !damaged_;
  }

  bool advance(TermCursor& cursor) {
    if (cursor.next()) return true;
    if (!cursor.sound()) damaged_ = true;
    return false;
  }

  void add_term(const std::string& term) {
    const size_t place = infos_.size();
    if (place % kTermsPerGroup == 0) {
      groups_.push_back(static_cast<uint32_t>(term_bytes_.size()));
      last_term_.clear();
    }
    const auto shared = static_cast<size_t>(std::ranges::mismatch(last_term_, term).in1 - last_term_.begin());
    term_bytes_.push_back(static_cast<char>(shared));
    term_bytes_.push_back(static_cast<char>(term.size() - shared));
    term_bytes_.append(term, shared);
    last_term_ = term;
    hashes_.push_back(term_hash(term));
    infos_.push_back(write_list());
  }

  TermInfo write_list() {
    const uint32_t df = postings_.size();
    const uint32_t* const rows = postings_.rows();
    const uint32_t* const tfs = postings_.tfs();
    if (df == 1) return {1, rows[0], tfs[0]};
    writer_->align(4);
    TermInfo info{df, static_cast<uint32_t>((writer_->position() - trailer_.sections[kPostings].offset) / 4), 0};
    tail_.clear();
    if (df < kListBlock) {
      append_short_block(rows, tfs, df, kNoTerm, tail_);
      info.more = bound_of(rows, tfs, df);
      writer_->put_array(std::span<const uint8_t>(tail_));
      return info;
    }
    header_rows_.clear();
    header_offsets_.clear();
    header_bounds_.clear();
    header_widths_.clear();
    words_.clear();
    const size_t blocks = (size_t{df} + kListBlock - 1) / kListBlock;
    uint32_t before = kNoTerm;
    for (size_t first = 0; first < df; first += kListBlock) {
      const size_t count = std::min(kListBlock, df - first);
      header_offsets_.push_back(static_cast<uint32_t>(blocks * FileList::kHeaderBytes + words_.size() * 4));
      header_bounds_.push_back(bound_of(rows + first, tfs + first, count));
      info.more = std::max<uint32_t>(info.more, header_bounds_.back());
      BlockWidths widths;
      if (count == kListBlock) {
        widths = pack_block(rows + first, tfs + first, before, words_);
      } else {
        append_short_block(rows + first, tfs + first, count, before, tail_);
      }
      header_widths_.push_back(static_cast<uint16_t>(widths.gap_bits | widths.tf_bits << 8));
      before = rows[first + count - 1];
      header_rows_.push_back(before);
    }
    writer_->put_array(std::span<const uint32_t>(header_rows_));
    writer_->put_array(std::span<const uint32_t>(header_offsets_));
    writer_->put_array(std::span<const ImpactBound>(header_bounds_));
    writer_->put_array(std::span<const uint16_t>(header_widths_));
    writer_->put_array(std::span<const uint32_t>(words_));
    writer_->put_array(std::span<const uint8_t>(tail_));
    return info;
  }

  /// Among rows of one frequency the shortest has the greatest impact, to the last bit: rounding keeps the order.
  [[nodiscard]] ImpactBound bound_of(const uint32_t* rows, const uint32_t* tfs, size_t count) const {
    constexpr uint32_t kNoLength = 0xFFFFFFFF;
    std::array<uint32_t, 8> shortest;
    shortest.fill(kNoLength);
    float best = 0;
    for (size_t i = 0; i < count; ++i) {
      const uint32_t length = lengths_[rows[i]];
      if (tfs[i] < shortest.size()) {
        if (length < shortest[tfs[i]]) shortest[tfs[i]] = length;
      } else {
        best = std::max(best, Bm25::impact(tfs[i], length, trailer_.reference_length));
      }
    }
    for (uint32_t tf = 1; tf < shortest.size(); ++tf) {
      if (shortest[tf] != kNoLength) best = std::max(best, Bm25::impact(tf, shortest[tf], trailer_.reference_length));
    }
    return impact_bound(best);
  }

  /// Numbers by falling frequency, by place among equals.
  void number_terms() {
    std::vector<uint64_t> order;  // what frequency lacks to the greatest possible one, then place
    order.reserve(infos_.size());
    for (uint32_t place = 0; place < infos_.size(); ++place) {
      if (infos_[place].df > 1) order.push_back(uint64_t{~infos_[place].df} << 32 | place);
    }
    std::ranges::sort(order);
    for (uint32_t place = 0; place < infos_.size(); ++place) {
      if (infos_[place].df == 1) order.push_back(place);
    }
    numbers_.resize(order.size());
    std::vector<TermInfo> sorted(order.size());
    for (size_t number = 0; number < order.size(); ++number) {
      const auto place = static_cast<uint32_t>(order[number]);
      numbers_[place] = static_cast<uint32_t>(number);
      sorted[number] = infos_[place];
    }
    begin(kInfos);
    writer_->put_array(std::span<const TermInfo>(sorted));
    end(kInfos);
  }

  void write_dictionary() {
    const auto array = [&]<class T>(Section section, const std::vector<T>& values) {
      begin(section);
      writer_->put_array(std::span<const T>(values));
      end(section);
    };
    array(kTermGroups, groups_);
    begin(kTermBytes);
    writer_->put_array(std::span<const char>(term_bytes_));
    end(kTermBytes);
    array(kNumbers, numbers_);
    std::vector<uint32_t> slots(std::bit_ceil(hashes_.size() * 4 / 3 + 8));
    std::vector<uint8_t> tags(slots.size());
    const size_t mask = slots.size() - 1;
    for (size_t number = 0; number < 2; ++number) {  // first the terms of several rows, so that they are found sooner
      for (uint32_t place = 0; place < hashes_.size(); ++place) {
        if ((infos_[place].df > 1) != (number == 0)) continue;
        size_t at = hashes_[place] & mask;
        while (tags[at] != 0) at = (at + 1) & mask;
        slots[at] = place;
        tags[at] = tag_of(hashes_[place]);
      }
    }
    array(kSlots, slots);
    array(kTags, tags);
  }

  bool write_sequences() {
    std::vector<uint32_t> ends(rows_);
    uint64_t written = 0;
    Row next = 0;
    begin(kSequences);
    for (size_t s = 0; s < sources_.size(); ++s) {
      const SegmentSource& source = sources_[s];
      const std::vector<uint32_t> codes = codes_of(new_places_[s]);
      for (Row row = 0; row < source.rows(); ++row) {
        const Row fresh = source.new_rows[row];
        if (fresh == kGoneRow) continue;
        while (next < fresh) ends[next++] = static_cast<uint32_t>(written);
        if (!translate(source.sequence(row), codes)) damaged_ = true;
        if (damaged_ || stop_.load(std::memory_order_relaxed)) return false;
        writer_->put_array(std::span<const uint8_t>(sequence_));
        written += sequence_.size();
        ends[next++] = static_cast<uint32_t>(written);
      }
    }
    while (next < rows_) ends[next++] = static_cast<uint32_t>(written);
    end(kSequences);
    begin(kSequenceEnds);
    writer_->put_array(std::span<const uint32_t>(ends));
    end(kSequenceEnds);
    return true;
  }

  /// By a source's code (term number + 1, or 0 between parts) the new segment's; kNoTerm for a term that is not there.
  [[nodiscard]] std::vector<uint32_t> codes_of(const std::vector<uint32_t>& places) const {
    std::vector<uint32_t> codes(places.size() + 1);
    for (size_t number = 0; number < places.size(); ++number) {
      const uint32_t place = places[number];  // of the next term, if this one's rows are all gone
      codes[number + 1] = place < numbers_.size() ? numbers_[place] + 1 : kNoTerm;
    }
    return codes;
  }

  /// Puts a source's sequence into sequence_ with the new codes; false if it names a term it should not.
  bool translate(std::span<const uint8_t> from, const std::vector<uint32_t>& codes) {
    sequence_.resize(from.size() * kVarintMax);
    uint8_t* out = sequence_.data();
    VarintReader reader(from);
    while (!reader.at_end()) {
      const uint32_t code = reader.next();
      const uint32_t fresh = code < codes.size() ? codes[code] : kNoTerm;
      if (fresh == kNoTerm) return false;
      out = put_varint(out, fresh);
    }
    sequence_.resize(static_cast<size_t>(out - sequence_.data()));
    return true;
  }

  std::span<const SegmentSource> sources_;
  Row rows_;
  const std::atomic<bool>& stop_;
  std::unique_ptr<FileWriter> writer_;
  Trailer trailer_{};
  bool damaged_ = false;
  std::vector<uint32_t> lengths_;
  // By place.
  std::vector<TermInfo> infos_;
  std::vector<uint32_t> hashes_;
  std::vector<uint32_t> numbers_;
  std::vector<uint32_t> groups_;
  std::string term_bytes_;
  std::string last_term_;
  std::vector<std::vector<uint32_t>> new_places_;  // by source, by its term number
  // Of the term in hand.
  PostingList postings_;
  std::vector<uint32_t> header_rows_;
  std::vector<uint32_t> header_offsets_;
  std::vector<ImpactBound> header_bounds_;
  std::vector<uint16_t> header_widths_;
  std::vector<uint32_t> words_;
  std::vector<uint8_t> tail_;
  std::vector<uint8_t> sequence_;  // of the row in hand
};

}  // namespace

base::Result<std::shared_ptr<const Segment>> write_segment(FileStore& files, std::span<const SegmentSource> sources,
                                                           Row rows, const std::atomic<bool>& stop) {
  return SegmentMaker(files, sources, rows, stop).make();
}

}  // namespace tessera::index
