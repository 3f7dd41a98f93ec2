#include "index/lexical/prepared_rows.h"

#include <optional>

#include "text/stem.h"
#include "text/words.h"

namespace tessera::index {

static_assert(sizeof(TermKey) == text::kTermHead);

void PreparedRows::clear() {
  constexpr size_t kKeptTokens = size_t{1} << 16;
  if (tokens_.capacity() > kKeptTokens) *this = {};  // a large slice's memory is not kept for small ones
  lengths_.clear();
  part_ends_.clear();
  tokens_.clear();
  long_terms_.clear();
  bytes_.clear();
}

inline void PreparedRows::add(std::string_view term, const TermKey& key) {
  Token& token = tokens_.emplace_back();  // in place: its halves are not put together again
  token.key = key;
  token.hash = key_hash(key, term);
  if (!key.whole()) keep_bytes(token, term);
}

void PreparedRows::keep_bytes(Token& token, std::string_view term) {
  token.rest = static_cast<uint32_t>(long_terms_.size());
  long_terms_.push_back({static_cast<uint32_t>(bytes_.size()), static_cast<uint32_t>(term.size())});
  bytes_.insert(bytes_.end(), term.begin(), term.end());
}

void PreparedRows::prepare(std::span<const RowText> rows, bool stemming) {
  clear();
  std::optional<text::Stemmer> stemmer;
  if (stemming) stemmer.emplace();
  for (const RowText& row : rows) {
    const size_t start = tokens_.size();
    std::array<uint32_t, 3>& ends = part_ends_.emplace_back();
    for (size_t part = 0; part < ends.size(); ++part) {
      text::WordReader reader(row.parts[part]);
      text::Word word;
      if (stemmer) {
        while (reader.next(word)) {
          const std::string_view stem = stemmer->stem(word.term);
          add(stem, term_key(stem));
        }
      } else {
        while (reader.next(word)) add(word.term, key_at(word.term.data()));
      }
      ends[part] = static_cast<uint32_t>(tokens_.size());
    }
    lengths_.push_back(static_cast<uint32_t>(tokens_.size() - start));
  }
}

PreparedRows prepare_rows(std::span<const RowText> rows, bool stemming) {
  PreparedRows prepared;
  prepared.prepare(rows, stemming);
  return prepared;
}

}  // namespace tessera::index
