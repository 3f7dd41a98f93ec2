#include "index/lexical/prepared_rows.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>

#include "base/hash.h"
#include "index/lexical/term_key.h"
#include "text/stem.h"
#include "text/words.h"

namespace tessera::index {

/// Numbers the terms of a slice by a small table of its own, which stays in the nearest caches.
class RowPreparer {
 public:
  explicit RowPreparer(size_t words) : slots_(std::bit_ceil(std::max<size_t>(256, words))) {
    out_.sequence_.reserve(words);
    out_.row_terms_.reserve(words);
  }

  void add_row(const RowText& row, text::Stemmer* stemmer) {
    const size_t terms_start = out_.row_terms_.size();
    const size_t start = out_.sequence_.size();
    uint32_t length = 0;
    for (const std::string_view part : row.parts) {
      if (part.empty()) continue;
      if (out_.sequence_.size() > start) out_.sequence_.push_back(PreparedRows::kPartEnd);
      text::WordReader reader(part);
      for (text::Word word; reader.next(word); ++length)
        add_term(stemmer == nullptr ? word.term : stemmer->stem(word.term));
    }
    while (out_.sequence_.size() > start && out_.sequence_.back() == PreparedRows::kPartEnd) out_.sequence_.pop_back();
    for (size_t i = terms_start; i < out_.row_terms_.size(); ++i) {
      PreparedRows::RowTerm& term = out_.row_terms_[i];
      term.tf = counts_[term.term];
      counts_[term.term] = 0;
    }
    out_.lengths_.push_back(length);
    out_.term_ends_.push_back(static_cast<uint32_t>(out_.row_terms_.size()));
    out_.sequence_ends_.push_back(static_cast<uint32_t>(out_.sequence_.size()));
  }

  PreparedRows take() {
    for (PreparedRows::Term& term : out_.terms_) term.hash = term_hash(out_.bytes(term));
    return std::move(out_);
  }

 private:
  struct Slot {
    uint64_t key = 0;
    uint32_t hash = 0;
    uint32_t number_plus_one = 0;  // 0: free
  };

  void add_term(std::string_view term) {
    const uint64_t key = term_key(term);
    const uint32_t hash = quick_hash(term, key);
    const size_t mask = slots_.size() - 1;
    for (size_t at = hash & mask;; at = (at + 1) & mask) {
      const Slot& slot = slots_[at];
      if (slot.number_plus_one == 0) {
        count(insert(at, term, key, hash));
        return;
      }
      if (slot.key == key && slot.hash == hash &&
          (term.size() <= sizeof key || out_.bytes(out_.terms_[slot.number_plus_one - 1]) == term)) {
        count(slot.number_plus_one - 1);
        return;
      }
    }
  }

  void count(uint32_t number) {
    out_.sequence_.push_back(number);
    if (counts_[number]++ == 0) out_.row_terms_.push_back({number, 0});
  }

  uint32_t insert(size_t at, std::string_view term, uint64_t key, uint32_t hash) {
    const auto number = static_cast<uint32_t>(out_.terms_.size());
    out_.terms_.push_back({0, static_cast<uint32_t>(out_.bytes_.size()), static_cast<uint32_t>(term.size())});
    out_.bytes_.insert(out_.bytes_.end(), term.begin(), term.end());
    counts_.push_back(0);
    slots_[at] = {key, hash, number + 1};
    if (out_.terms_.size() * 2 > slots_.size()) grow();
    return number;
  }

  void grow() {
    std::vector<Slot> old(slots_.size() * 2);
    old.swap(slots_);
    const size_t mask = slots_.size() - 1;
    for (const Slot& slot : old) {
      if (slot.number_plus_one == 0) continue;
      size_t at = slot.hash & mask;
      while (slots_[at].number_plus_one != 0) at = (at + 1) & mask;
      slots_[at] = slot;
    }
  }

  PreparedRows out_;
  std::vector<Slot> slots_;  // a power of two, at most half full
  std::vector<uint32_t> counts_;
};

PreparedRows prepare_rows(std::span<const RowText> rows, bool stemming) {
  constexpr size_t kBytesEachWord = 6;
  size_t bytes = 0;
  for (const RowText& row : rows) {
    for (const std::string_view part : row.parts) bytes += part.size();
  }
  RowPreparer preparer(bytes / kBytesEachWord);
  std::optional<text::Stemmer> stemmer;
  if (stemming) stemmer.emplace();
  for (const RowText& row : rows) preparer.add_row(row, stemming ? &*stemmer : nullptr);
  return preparer.take();
}

}  // namespace tessera::index
