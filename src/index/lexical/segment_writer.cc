#include "index/lexical/segment_writer.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <string>

#include "index/lexical/bm25.h"
#include "index/lexical/file_list.h"
#include "index/lexical/term_key.h"
#include "index/varint.h"

namespace tessera::index {
namespace {

using namespace segment_format;

constexpr uint32_t kNoTerm = 0xFFFFFFFF;

/// Walks the terms of one source in order of their bytes.
class TermCursor {
 public:
  explicit TermCursor(const SegmentSource& source)
      : source_(source), new_places_(source.live ? source.live->terms() : source.file->terms(), kNoTerm), walk_({}) {
    if (source.live) {
      sort_terms();
    } else {
      walk_ = source.file->terms() == 0 ? TermWalk({}) : source.file->walk(0);
    }
  }

  /// The next term; false at the end.
  bool next() {
    if (place_ == new_places_.size()) return false;
    if (source_.live) {
      number_ = sorted_[place_].second;
      term_ = source_.live->term(number_);
    } else {
      if (place_ > 0) before_.assign(term_);
      if (!walk_.next()) return damage();
      term_ = walk_.term();
      number_ = source_.file->number_at(static_cast<uint32_t>(place_));
      if (number_ == kNoTerm || (place_ > 0 && term_ <= before_)) return damage();
    }
    ++place_;
    return true;
  }
  [[nodiscard]] bool sound() const { return sound_; }
  [[nodiscard]] std::string_view term() const { return term_; }

  /// Adds the postings of the rows that go into the new segment; false if the source is damaged.
  bool collect(std::vector<LocalPosting>& out) {
    const auto add = [&](uint32_t row, uint32_t tf) {
      const uint32_t fresh = source_.new_rows[row];
      if (fresh != kGoneRow) out.push_back({fresh, tf});
    };
    if (source_.live) {
      const LiveSegment::List list = source_.live->list(number_);
      for (uint32_t i = 0; i < list.count; ++i) {
        const LocalPosting posting = source_.live->posting(number_, list.postings[i]);
        add(posting.row, posting.tf);
      }
      return true;
    }
    const FileList list(*source_.file, number_);
    for (uint32_t block = 0; block < list.blocks(); ++block) {
      const size_t count = list.decode_rows(block, block_);
      if (count == 0) return false;
      list.decode_tfs(block, block_);
      for (size_t i = 0; i < count; ++i) {
        if (block_.tfs[i] == 0) return false;
        add(block_.rows[i], block_.tfs[i]);
      }
    }
    return list.blocks() > 0;
  }
  void set_new_place(uint32_t place) { new_places_[number_] = place; }
  /// By the source's term number: the place in the new segment's order, or kNoTerm.
  std::vector<uint32_t> take_new_places() { return std::move(new_places_); }

 private:
  bool damage() {
    sound_ = false;
    return false;
  }

  /// By the first eight bytes, which decide nearly always, and then the rest.
  void sort_terms() {
    sorted_.reserve(new_places_.size());
    for (uint32_t number = 0; number < new_places_.size(); ++number) {
      sorted_.emplace_back(std::byteswap(term_key(source_.live->term(number))), number);
    }
    std::sort(sorted_.begin(), sorted_.end(), [&](const auto& a, const auto& b) {
      return a.first != b.first ? a.first < b.first : source_.live->term(a.second) < source_.live->term(b.second);
    });
  }

  const SegmentSource& source_;
  std::vector<uint32_t> new_places_;
  std::vector<std::pair<uint64_t, uint32_t>> sorted_;  // of a live source: key and number
  TermWalk walk_;
  size_t place_ = 0;
  uint32_t number_ = 0;
  bool sound_ = true;
  std::string_view term_;
  std::string before_;
  DecodedBlock block_;
};

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
    for (TermCursor& cursor : cursors) advance(cursor, open);
    begin(kPostings);
    writer_->put(uint32_t{0});  // so that the section is never empty
    constexpr size_t kTermsBetweenLooks = 1024;
    std::string term;
    for (size_t turn = 0; !open.empty() && !damaged_; ++turn) {
      if (turn % kTermsBetweenLooks == 0 && stop_.load(std::memory_order_relaxed)) return false;
      term = (*std::ranges::min_element(open, {}, [](const TermCursor* c) { return c->term(); }))->term();
      postings_.clear();
      std::vector<TermCursor*> still_open;  // few sources: order is kept, so rows ascend
      for (TermCursor* cursor : open) {
        if (cursor->term() != term) {
          still_open.push_back(cursor);
          continue;
        }
        damaged_ = damaged_ || !cursor->collect(postings_);
        cursor->set_new_place(static_cast<uint32_t>(infos_.size()));
        advance(*cursor, still_open);
      }
      open.swap(still_open);
      if (!postings_.empty()) add_term(term);
    }
    end(kPostings);
    for (TermCursor& cursor : cursors) new_places_.push_back(cursor.take_new_places());
    return !damaged_;
  }

  void advance(TermCursor& cursor, std::vector<TermCursor*>& open) {
    if (cursor.next()) {
      open.push_back(&cursor);
    } else if (!cursor.sound()) {
      damaged_ = true;
    }
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
    const auto df = static_cast<uint32_t>(postings_.size());
    if (df == 1) return {1, postings_[0].row, postings_[0].tf};
    writer_->align(4);
    TermInfo info{df, static_cast<uint32_t>((writer_->position() - trailer_.sections[kPostings].offset) / 4), 0};
    tail_.clear();
    if (df < kListBlock) {
      append_short_block(postings_.data(), df, kNoTerm, tail_);
      info.more = bound_of(postings_);
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
    for (size_t block = 0; block < blocks; ++block) {
      const auto part =
          std::span(postings_).subspan(block * kListBlock, std::min<size_t>(kListBlock, df - block * kListBlock));
      header_offsets_.push_back(static_cast<uint32_t>(blocks * FileList::kHeaderBytes + words_.size() * 4));
      header_bounds_.push_back(bound_of(part));
      info.more = std::max<uint32_t>(info.more, header_bounds_.back());
      if (part.size() == kListBlock) {
        const BlockWidths widths = block_widths(part.data(), before);
        header_widths_.push_back(static_cast<uint16_t>(widths.gap_bits | widths.tf_bits << 8));
        pack_block(part.data(), before, widths, words_);
      } else {
        header_widths_.push_back(0);
        append_short_block(part.data(), part.size(), before, tail_);
      }
      before = part.back().row;
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

  [[nodiscard]] ImpactBound bound_of(std::span<const LocalPosting> postings) const {
    float best = 0;
    for (const LocalPosting& posting : postings) {
      best = std::max(best, Bm25::impact(posting.tf, lengths_[posting.row], trailer_.reference_length));
    }
    return impact_bound(best);
  }

  /// Numbers by falling frequency, by place among equals.
  void number_terms() {
    std::vector<uint32_t> places;
    places.reserve(infos_.size());
    for (uint32_t place = 0; place < infos_.size(); ++place) {
      if (infos_[place].df > 1) places.push_back(place);
    }
    std::ranges::sort(places, [&](uint32_t a, uint32_t b) {
      return infos_[a].df != infos_[b].df ? infos_[a].df > infos_[b].df : a < b;
    });
    for (uint32_t place = 0; place < infos_.size(); ++place) {
      if (infos_[place].df == 1) places.push_back(place);
    }
    numbers_.resize(places.size());
    for (size_t number = 0; number < places.size(); ++number) numbers_[places[number]] = static_cast<uint32_t>(number);
    begin(kInfos);
    for (const uint32_t place : places) writer_->put_array(std::span<const TermInfo>(&infos_[place], 1));
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
    std::vector<uint8_t> buffer;
    uint64_t written = 0;
    Row next = 0;
    begin(kSequences);
    for (size_t s = 0; s < sources_.size(); ++s) {
      const SegmentSource& source = sources_[s];
      for (Row row = 0; row < source.rows(); ++row) {
        const Row fresh = source.new_rows[row];
        if (fresh == kGoneRow) continue;
        while (next < fresh) ends[next++] = static_cast<uint32_t>(written);
        buffer.clear();
        VarintReader reader(source.sequence(row));
        while (!reader.at_end()) {
          const uint32_t code = reader.next();
          const uint32_t place = code == 0 || code > new_places_[s].size() ? kNoTerm : new_places_[s][code - 1];
          if (code != 0 && place == kNoTerm) damaged_ = true;
          append_varint(buffer, code == 0 || damaged_ ? 0 : numbers_[place] + 1);
        }
        if (damaged_ || stop_.load(std::memory_order_relaxed)) return false;
        writer_->put_array(std::span<const uint8_t>(buffer));
        written += buffer.size();
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
  std::vector<LocalPosting> postings_;
  std::vector<uint32_t> header_rows_;
  std::vector<uint32_t> header_offsets_;
  std::vector<ImpactBound> header_bounds_;
  std::vector<uint16_t> header_widths_;
  std::vector<uint32_t> words_;
  std::vector<uint8_t> tail_;
};

}  // namespace

base::Result<std::shared_ptr<const Segment>> write_segment(FileStore& files, std::span<const SegmentSource> sources,
                                                           Row rows, const std::atomic<bool>& stop) {
  return SegmentMaker(files, sources, rows, stop).make();
}

}  // namespace tessera::index
