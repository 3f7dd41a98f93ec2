#include "text/stem.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <type_traits>

#include "text/porter2.h"

namespace tessera::text {
namespace {

/// Up to 16 letters, the rest zeros.
struct Key {
  uint64_t low = 0, high = 0;
  bool operator==(const Key&) const = default;
};
constexpr size_t kKeyMax = sizeof(Key);

static_assert(std::endian::native == std::endian::little);

template <class T>
uint64_t load(const char* from) {
  T value = 0;
  std::memcpy(&value, from, sizeof value);
  return value;
}

/// Of 3 to 16 bytes; two loads that may overlap instead of a copy of unknown length.
Key key_of(std::string_view word) {
  const char* const begin = word.data();
  const char* const end = begin + word.size();
  Key key;
  if (word.size() > 8) {
    key.low = load<uint64_t>(begin);
    key.high = load<uint64_t>(end - 8) >> (8 * (kKeyMax - word.size()));
  } else if (word.size() >= 4) {
    key.low = load<uint32_t>(begin) | load<uint32_t>(end - 4) << (8 * (word.size() - 4));
  } else {
    key.low = load<uint16_t>(begin) | load<uint8_t>(begin + 2) << 16U;
  }
  return key;
}

/// Whether each byte is a letter a-z or zero.
bool is_letters(uint64_t bytes) {
  constexpr uint64_t kOnes = 0x0101010101010101ULL, kTops = kOnes * 0x80;
  const uint64_t low = bytes & ~kTops;
  const uint64_t from_a = low + kOnes * (0x80 - 'a');        // top bit: 'a' or above
  const uint64_t beyond_z = low + kOnes * (0x80 - 'z' - 1);  // top bit: beyond 'z'
  const uint64_t letter = from_a & ~beyond_z & kTops & ~bytes;
  const uint64_t present = (low + kOnes * 0x7F) | bytes;  // top bit: not zero
  return letter == (present & kTops);
}

bool is_letters(std::string_view word) {
  return std::ranges::all_of(word, [](char c) { return c >= 'a' && c <= 'z'; });
}

}  // namespace

/// Words of up to 16 letters and their stems, each at the place its hash names; a later word takes a former one's.
class Stemmer::Memo {
 public:
  struct Entry {
    Key word;  // zeros: none
    std::array<char, 15> stem;
    unsigned char size = 0;
  };
  static_assert(sizeof(Entry) == 32);

  Entry& at(const Key& key) {
    const uint64_t mixed = (key.low ^ (key.high * kHigh)) * kSpread;
    return entries_[mixed >> (64 - kBits)];
  }

 private:
  static constexpr unsigned kBits = 9;  // 16 KB: one stemmer may live for a single document only
  static constexpr uint64_t kHigh = 0xff51afd7ed558ccdULL, kSpread = 0x9e3779b97f4a7c15ULL;
  std::array<Entry, size_t{1} << kBits> entries_{};
};

Stemmer::Stemmer() = default;
Stemmer::~Stemmer() = default;
Stemmer::Stemmer(Stemmer&&) noexcept = default;
Stemmer& Stemmer::operator=(Stemmer&&) noexcept = default;

std::string_view Stemmer::stem(std::string_view term) {
  if (term.size() < 3 || term.size() > Porter2::kWordMax) return term;
  const auto compute = [&] {
    Porter2 word;
    const std::string_view stem = word.run(term);
    std::memcpy(buffer_.data(), stem.data(), stem.size());
    return std::string_view(buffer_.data(), stem.size());
  };
  if (term.size() > kKeyMax) return is_letters(term) ? compute() : term;
  const Key key = key_of(term);
  if (!is_letters(key.low) || !is_letters(key.high)) return term;
  if (memo_ == nullptr) {
    constexpr size_t kUnremembered = 100;
    if (++stemmed_ > kUnremembered) memo_ = std::make_unique<Memo>();
    return compute();
  }
  Memo::Entry& entry = memo_->at(key);
  if (entry.word != key) {
    const std::string_view stem = compute();
    if (stem.size() > entry.stem.size()) return stem;
    std::ranges::copy(stem, entry.stem.begin());
    entry.size = static_cast<unsigned char>(stem.size());
    entry.word = key;
  }
  return {entry.stem.data(), entry.size};
}

}  // namespace tessera::text
