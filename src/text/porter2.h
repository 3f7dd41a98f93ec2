#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tessera::text {

/// One word on its way through Porter2, https://snowballstem.org/algorithms/english/stemmer.html. A value without
/// allocation: half the time of the library.
class Porter2 {
 public:
  static constexpr size_t kWordMax = 64;

  /// The stem of a word of 3 to kWordMax letters a-z; lives as long as this object and until the next run.
  std::string_view run(std::string_view word);

  /// A word's last letters, so that an ending is compared at once.
  struct Ending {
    template <size_t N>
    consteval Ending(const char (&letters)[N]);  // NOLINT(google-explicit-constructor): written as text in tables
    uint64_t bytes = 0;
    uint64_t mask = 0;
    size_t size = 0;
  };
  struct Rule;

 private:
  [[nodiscard]] char& at(size_t i) { return bytes_[kPadding + i]; }
  [[nodiscard]] char at(size_t i) const { return bytes_[kPadding + i]; }
  [[nodiscard]] std::string_view view() const { return {bytes_.data() + kPadding, size_}; }
  [[nodiscard]] uint64_t tail() const;
  [[nodiscard]] bool ends(const Ending& ending) const { return (tail() & ending.mask) == ending.bytes; }
  [[nodiscard]] bool has_vowel(size_t before) const;
  [[nodiscard]] bool short_syllable(size_t end) const;
  void replace(size_t cut, std::string_view by);
  void mark_consonants();
  void mark_regions();
  [[nodiscard]] size_t past_syllable(size_t from) const;
  void plural();
  void past_or_ing();
  void after_past_or_ing();
  void final_y();
  template <size_t N>
  const Rule* longest(const std::array<Rule, N>& rules) const;
  void double_suffixes();
  void suffixes();
  void last_suffixes();
  void final_e_or_l();

  static constexpr size_t kPadding = 8;  // of zeros, so that a tail can be read of any word
  std::array<char, kPadding + kWordMax + 8> bytes_{};
  size_t size_ = 0;
  size_t first_ = 0;   // where the region R1 begins
  size_t second_ = 0;  // R2
};

}  // namespace tessera::text
