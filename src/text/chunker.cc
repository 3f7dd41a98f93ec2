#include "text/chunker.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/assert.h"
#include "text/sentences.h"
#include "text/utf8.h"

namespace tessera::text {
namespace {

constexpr size_t kTitleBytesMax = 160;    // of one title in a heading path
constexpr size_t kBytesPerTokenMax = 64;  // no chunk is longer than this for each token of `size`
constexpr size_t kLevels = 6;

/// The smallest piece a chunk is built of: a sentence, a block, a line of a large block, words of a long sentence.
struct Atom {
  Range range;
  size_t tokens = 0;
  size_t first_token = 0;  ///< of those kept
  bool starts_paragraph = false;
  bool alone = false;    ///< part of a cut word: nothing may be joined to it, or the counts would not add up
  bool repeats = false;  ///< may be repeated as overlap
};

/// A run of the text under one heading.
struct Section {
  Range range;
  size_t heading_end = 0;  ///< end of the heading's line, or range.start
  std::string path;
};

Range trimmed(std::string_view text, Range range) {
  while (range.start < range.end && is_space(text[range.start])) ++range.start;
  while (range.end > range.start && is_space(text[range.end - 1])) --range.end;
  return range;
}

size_t line_end(std::string_view text, size_t from, size_t limit) {
  const size_t newline = text.find('\n', from);
  return newline == std::string_view::npos || newline >= limit ? limit : newline + 1;
}

/// Cuts the text at its headings. A heading with nothing under it but a deeper heading goes with that one.
class Sections {
 public:
  Sections(std::string_view text, const std::vector<Heading>& headings) : text_(text), headings_(headings) {}

  bool next(Section& section) {
    while (start_ < text_.size()) {
      const size_t start = start_;
      size_t heading_end = start;
      if (current_ != nullptr) {
        enter(*current_);
        heading_end = line_end(text_, start, text_.size());
      }
      const Heading* following = advance(start);
      const size_t end = following == nullptr ? text_.size() : offset(*following);
      heading_end = std::min(heading_end, end);
      const bool empty = trimmed(text_, {heading_end, end}).start == end;
      const bool deeper = following != nullptr && current_ != nullptr && following->level > current_->level;
      current_ = following;
      start_ = end;
      if (empty && deeper && !carries_) carried_ = start, carries_ = true;
      if (empty && deeper) continue;
      section.range = {std::exchange(carries_, false) ? carried_ : start, end};
      section.heading_end = heading_end;
      section.path = path();
      return true;
    }
    return false;
  }

 private:
  size_t offset(const Heading& heading) const { return boundary_before(text_, heading.offset); }

  /// The next heading beyond `start`; one that goes back or lies outside is passed over.
  const Heading* advance(size_t start) {
    while (next_ < headings_.size()) {
      const Heading& heading = headings_[next_];
      const size_t at = offset(heading);
      if (at >= text_.size()) return nullptr;
      if (at > start || (at == 0 && start == 0 && current_ == nullptr)) {
        ++next_;
        return &heading;
      }
      ++next_;
    }
    return nullptr;
  }

  void enter(const Heading& heading) {
    const auto level = static_cast<size_t>(std::clamp(heading.level, 1, static_cast<int>(kLevels)));
    titles_[level - 1] = prefix(heading.title, kTitleBytesMax);
    for (size_t i = level; i < kLevels; ++i) titles_[i] = {};
  }

  std::string path() const {
    std::string out;
    for (const std::string_view title : titles_) {
      if (title.empty()) continue;
      if (!out.empty()) out += " > ";
      out += title;
    }
    return out;
  }

  std::string_view text_;
  const std::vector<Heading>& headings_;
  size_t next_ = 0;
  const Heading* current_ = nullptr;  ///< the heading at start_
  size_t start_ = 0;
  size_t carried_ = 0;
  bool carries_ = false;
  std::array<std::string_view, kLevels> titles_;
};

/// Cuts ranges of the text into atoms that fit into a chunk.
class Cutter {
 public:
  Cutter(std::string_view text, const ChunkOptions& options, TokenKeeper& keeper)
      : text_(text), size_(options.size), keeper_(keeper) {}

  std::vector<Atom> atoms;

  /// Sentences; a sentence that is too large by its words.
  void add_prose(Range range) {
    SentenceReader reader(text_.substr(range.start, range.end - range.start));
    for (Sentence sentence; reader.next(sentence);) {
      const Range at{range.start + sentence.range.start, range.start + sentence.range.end};
      add(at, sentence.starts_paragraph, &Cutter::add_words);
    }
  }

  /// One atom if it fits, else its lines.
  void add_block(Range range) { add(trimmed(text_, range), true, &Cutter::add_lines); }

 private:
  using Split = void (Cutter::*)(Range, bool);

  size_t bytes_max() const { return size_ * kBytesPerTokenMax; }
  size_t kept() const { return keeper_.tokens.size(); }
  /// Of a piece that becomes an atom, or a part of one; else drop() follows.
  size_t tokens(Range range) {
    return keeper_.read(text_.substr(range.start, range.end - range.start), keeper_.tokens);
  }
  void drop(size_t first_token) { keeper_.tokens.resize(first_token); }

  void add(Range range, bool paragraph, Split split) {
    if (range.start >= range.end) return;
    if (range.end - range.start <= bytes_max()) {
      const size_t first = kept();
      const size_t n = tokens(range);
      if (n <= size_) {
        atoms.push_back({range, n, first, paragraph, false, true});
        return;
      }
      drop(first);
    }
    (this->*split)(range, paragraph);
  }

  void add_lines(Range range, bool paragraph) {
    for (size_t pos = range.start; pos < range.end;) {
      const size_t end = line_end(text_, pos, range.end);
      const Range line = trimmed(text_, {pos, end});
      add(line, std::exchange(paragraph, false), &Cutter::add_words);
      pos = end;
    }
  }

  /// Words in runs of about a quarter of a chunk, so that the packing can fill chunks and still overlap.
  void add_words(Range range, bool paragraph) {
    const size_t run_max = std::max<size_t>(size_ / 4, 1);
    Atom run{{range.start, range.start}, 0, kept(), paragraph, false, true};
    // The next run's tokens are those from `first` on.
    const auto flush = [&](size_t first) {
      if (run.range.end > run.range.start) atoms.push_back(run);
      run.tokens = 0;
      run.first_token = first;
      run.starts_paragraph = false;
    };
    for (size_t pos = range.start; pos < range.end;) {
      while (pos < range.end && is_space(text_[pos])) ++pos;
      size_t end = pos;
      while (end < range.end && !is_space(text_[end])) ++end;
      if (end == pos) break;
      const Range word{pos, end};
      const bool large = end - pos > bytes_max();
      const size_t first = kept();
      const size_t n = large ? size_ + 1 : tokens(word);
      const bool full = run.tokens + n > run_max || end - run.range.start > bytes_max() / 4;
      if (run.range.end > run.range.start && full) {
        flush(first);
        run.range = {pos, pos};
      }
      if (n > size_) {
        drop(first);
        cut_word(word, n);
        run.range = {end, end};
        run.first_token = kept();
      } else {
        if (run.range.end == run.range.start) run.range.start = pos;
        run.range.end = end;
        run.tokens += n;
      }
      pos = end;
    }
    flush(kept());
  }

  /// Bytes of one word, each piece as large as its count allows: guess from the tokens per byte so far, halve until it
  /// fits.
  void cut_word(Range word, size_t n) {
    size_t guess = std::min(bytes_max(), std::max<size_t>((word.end - word.start) * size_ / std::max<size_t>(n, 1), 1));
    for (size_t pos = word.start; pos < word.end;) {
      size_t step = std::min(guess, word.end - pos);
      Range piece{pos, piece_end(pos, step, word.end)};
      const size_t first = kept();
      size_t piece_tokens = tokens(piece);
      while (piece_tokens > size_ && step > 1) {
        drop(first);
        step /= 2;
        guess = std::max<size_t>(step, 4);
        piece.end = piece_end(pos, step, word.end);
        piece_tokens = tokens(piece);
      }
      atoms.push_back({piece, piece_tokens, first, false, true, false});
      pos = piece.end;
    }
  }

  /// A boundary about `step` bytes after `pos`, but after it.
  size_t piece_end(size_t pos, size_t step, size_t limit) const {
    const size_t end = boundary_before(text_, pos + step);
    return std::min(limit, end > pos ? end : boundary_after(text_, pos + 1));
  }

  std::string_view text_;
  size_t size_;
  TokenKeeper& keeper_;
};

/// Fills chunks with the atoms of one section.
class Packer {
 public:
  Packer(const ChunkOptions& options, std::vector<ChunkSpan>& out) : options_(options), out_(out) {}

  void pack(const std::vector<Atom>& atoms, const std::string& path) {
    size_t first = 0;  // of the chunk being filled
    size_t fresh = 0;  // the first atom that is in no chunk yet
    while (first < atoms.size()) {
      const size_t last = fill(atoms, first, fresh);  // one past
      size_t tokens = 0;
      for (size_t i = first; i < last; ++i) tokens += atoms[i].tokens;
      out_.push_back({atoms[first].range.start, atoms[last - 1].range.end, tokens, atoms[first].first_token, path});
      first = last < atoms.size() ? overlap_start(atoms, first, last) : last;
      fresh = last;
    }
  }

 private:
  bool joins(const std::vector<Atom>& atoms, size_t first, size_t i, size_t tokens) const {
    return !atoms[i].alone && !atoms[i - 1].alone && tokens + atoms[i].tokens <= options_.size &&
           atoms[i].range.end - atoms[first].range.start <= options_.size * kBytesPerTokenMax;
  }

  /// How far a chunk that starts at `first` goes. It stops early, before a paragraph that would be cut although it
  /// fits into one chunk, if it is more than half full by then.
  size_t fill(const std::vector<Atom>& atoms, size_t first, size_t fresh) const {
    size_t tokens = atoms[first].tokens;
    size_t last = first + 1;
    size_t paragraph = 0, before_paragraph = 0;
    for (; last < atoms.size() && joins(atoms, first, last, tokens); ++last) {
      if (atoms[last].starts_paragraph && last > fresh) paragraph = last, before_paragraph = tokens;
      tokens += atoms[last].tokens;
    }
    const bool cuts_paragraph = last < atoms.size() && !atoms[last].starts_paragraph && paragraph > first;
    if (!cuts_paragraph || before_paragraph * 2 <= options_.size) return last;
    size_t whole = tokens - before_paragraph;
    for (size_t i = last; i < atoms.size() && !atoms[i].starts_paragraph; ++i) {
      whole += atoms[i].tokens;
      if (whole > options_.size) return last;
    }
    return paragraph;
  }

  /// Where the next chunk starts: at `last`, or earlier by whole atoms of at most `overlap` tokens, as long as the atom
  /// at `last` still fits behind them.
  size_t overlap_start(const std::vector<Atom>& atoms, size_t first, size_t last) const {
    const size_t overlap_max = std::min(options_.overlap, options_.size / 2);  // more would only repeat
    size_t start = last, tokens = 0;
    while (start > first + 1 && atoms[start - 1].repeats && !atoms[last].alone) {
      const size_t more = tokens + atoms[start - 1].tokens;
      const bool too_long = atoms[last].range.end - atoms[start - 1].range.start > options_.size * kBytesPerTokenMax;
      if (more > overlap_max || more + atoms[last].tokens > options_.size || too_long) break;
      tokens = more;
      --start;
    }
    return start;
  }

  const ChunkOptions& options_;
  std::vector<ChunkSpan>& out_;
};

/// The atoms of a section: its heading's line, then blocks and the prose between them.
void cut_section(const Section& section, const std::vector<Block>& blocks, size_t& next_block, std::string_view text,
                 Cutter& cutter) {
  cutter.atoms.clear();
  cutter.add_prose({section.range.start, section.heading_end});
  size_t pos = section.heading_end;
  while (next_block < blocks.size()) {
    const Block& block = blocks[next_block];
    const size_t start = std::max(boundary_before(text, block.start), pos);
    const size_t end = std::min(boundary_after(text, block.end), section.range.end);
    if (start >= section.range.end) break;
    if (start < end) {
      cutter.add_prose({pos, start});
      cutter.add_block({start, end});
      pos = end;
    }
    if (block.end > section.range.end) break;  // goes on in the next section
    ++next_block;
  }
  cutter.add_prose({pos, section.range.end});
}

}  // namespace

std::vector<ChunkSpan> chunk_text(std::string_view text, const Structure& structure, const ChunkOptions& options,
                                  TokenKeeper& keeper) {
  TESSERA_ASSERT(options.size >= 16 && options.overlap < options.size);
  std::vector<ChunkSpan> out;
  Sections sections(text, structure.headings);
  Cutter cutter(text, options, keeper);
  Packer packer(options, out);
  size_t next_block = 0;
  for (Section section; sections.next(section);) {
    cut_section(section, structure.blocks, next_block, text, cutter);
    packer.pack(cutter.atoms, section.path);
  }
  return out;
}

std::vector<ChunkSpan> chunk_text(std::string_view text, const Structure& structure, const ChunkOptions& options,
                                  const TokenCounter& count) {
  TokenKeeper nothing{.read = [&count](std::string_view piece, std::vector<uint16_t>&) { return count(piece); }};
  return chunk_text(text, structure, options, nothing);
}

}  // namespace tessera::text
