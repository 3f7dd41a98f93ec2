#include "text/stem.h"

#include <libstemmer.h>

#include <algorithm>

#include "base/assert.h"

namespace tessera::text {
namespace {

constexpr size_t kLongestWord = 64;  // longer "words" are identifiers or noise

bool is_english_word(std::string_view term) {
  return term.size() > 2 && term.size() <= kLongestWord &&
         std::all_of(term.begin(), term.end(), [](char c) { return c >= 'a' && c <= 'z'; });
}

}  // namespace

struct Stemmer::Impl {
  Impl() : stemmer(sb_stemmer_new("english", "UTF_8")) { TESSERA_ASSERT(stemmer != nullptr); }
  ~Impl() { sb_stemmer_delete(stemmer); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  sb_stemmer* stemmer;
};

Stemmer::Stemmer() : impl_(std::make_unique<Impl>()) {}
Stemmer::~Stemmer() = default;
Stemmer::Stemmer(Stemmer&&) noexcept = default;
Stemmer& Stemmer::operator=(Stemmer&&) noexcept = default;

std::string_view Stemmer::stem(std::string_view term) {
  if (!is_english_word(term)) return term;
  const auto* symbols = reinterpret_cast<const sb_symbol*>(term.data());
  const sb_symbol* out = sb_stemmer_stem(impl_->stemmer, symbols, static_cast<int>(term.size()));
  if (out == nullptr) return term;  // out of memory inside
  return {reinterpret_cast<const char*>(out), static_cast<size_t>(sb_stemmer_length(impl_->stemmer))};
}

}  // namespace tessera::text
