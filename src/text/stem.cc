#include "text/stem.h"

#include <libstemmer.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>

#include "base/assert.h"

namespace tessera::text {
namespace {

constexpr size_t kLongestWord = 64;  // longer "words" are identifiers or noise

bool is_english_word(std::string_view term) {
  return term.size() > 2 && term.size() <= kLongestWord &&
         std::all_of(term.begin(), term.end(), [](char c) { return c >= 'a' && c <= 'z'; });
}

/// Words of up to 16 letters and their stems, each at the place its hash names; a later word takes a former one's.
class Memo {
 public:
  struct Key {
    uint64_t low = 0, high = 0;
    bool operator==(const Key&) const = default;
  };
  struct Entry {
    Key word;  // zeros: none
    std::array<char, 15> stem;
    unsigned char size = 0;
  };
  static constexpr size_t kWordMax = sizeof(Key);

  static Key key_of(std::string_view word) {
    std::array<char, kWordMax> bytes{};
    std::memcpy(bytes.data(), word.data(), word.size());
    return std::bit_cast<Key>(bytes);
  }
  Entry& at(const Key& key) {
    const uint64_t mixed = (key.low ^ (key.high * kHigh)) * kSpread;
    return entries_[mixed >> (64 - kBits)];
  }

 private:
  static constexpr unsigned kBits = 11;
  static constexpr uint64_t kHigh = 0xff51afd7ed558ccdULL, kSpread = 0x9e3779b97f4a7c15ULL;
  std::array<Entry, size_t{1} << kBits> entries_{};
};
static_assert(sizeof(Memo::Entry) == 32);

}  // namespace

struct Stemmer::Impl {
  Impl() : stemmer(sb_stemmer_new("english", "UTF_8")) { TESSERA_ASSERT(stemmer != nullptr); }
  ~Impl() { sb_stemmer_delete(stemmer); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  std::string_view compute(std::string_view word) const {
    const auto* symbols = reinterpret_cast<const sb_symbol*>(word.data());
    const sb_symbol* out = sb_stemmer_stem(stemmer, symbols, static_cast<int>(word.size()));
    if (out == nullptr) return word;  // out of memory inside
    return {reinterpret_cast<const char*>(out), static_cast<size_t>(sb_stemmer_length(stemmer))};
  }

  sb_stemmer* stemmer;
  size_t stemmed = 0;
  std::unique_ptr<Memo> memo;  // none for a query's few words
};

Stemmer::Stemmer() : impl_(std::make_unique<Impl>()) {}
Stemmer::~Stemmer() = default;
Stemmer::Stemmer(Stemmer&&) noexcept = default;
Stemmer& Stemmer::operator=(Stemmer&&) noexcept = default;

std::string_view Stemmer::stem(std::string_view term) {
  if (!is_english_word(term)) return term;
  if (impl_->memo == nullptr) {
    constexpr size_t kUnremembered = 100;
    if (++impl_->stemmed > kUnremembered) impl_->memo = std::make_unique<Memo>();
    return impl_->compute(term);
  }
  if (term.size() > Memo::kWordMax) return impl_->compute(term);
  const Memo::Key key = Memo::key_of(term);
  Memo::Entry& entry = impl_->memo->at(key);
  if (entry.word != key) {
    const std::string_view stem = impl_->compute(term);
    if (stem.size() > entry.stem.size()) return stem;
    std::ranges::copy(stem, entry.stem.begin());
    entry.size = static_cast<unsigned char>(stem.size());
    entry.word = key;
  }
  return {entry.stem.data(), entry.size};
}

}  // namespace tessera::text
