#pragma once

#include <cstddef>
#include <string_view>

namespace tessera::text {

/// Terms are cut to this many bytes (on a code point); the rest of the word is passed over.
inline constexpr size_t kTermBytesMax = 128;
/// So many bytes at a term's begin can be read at once: behind a shorter term there are zeros.
inline constexpr size_t kTermHead = 16;

/// A search term and the bytes [start, end) of the text it stands for. `term` is folded: lower case, compatibility
/// forms resolved, accents of Latin, Greek, Cyrillic, Hebrew and Arabic taken off. It lives until the reader's next
/// call, and zeros follow it up to kTermHead bytes.
struct Word {
  std::string_view term;
  size_t start = 0;
  size_t end = 0;
};

/// Reads the search terms of a text one by one: runs of letters, digits and marks. An English contraction's tail is
/// passed over ("Tessera's" is "tessera"); "3.14" stays whole, "1,000" is "1000"; "c++" and "c#" are terms; underscores
/// and hyphens divide. Scripts written without spaces (Chinese, Japanese, Korean, Thai, ...) give overlapping pairs of
/// characters, a lone one itself. Invalid UTF-8 divides words. No allocation; linear; one reader, one thread.
class WordReader {
 public:
  explicit WordReader(std::string_view text) : text_(text) {}

  /// The next term, or false at the end of the text.
  bool next(Word& word);

 private:
  bool read_plain(Word& word);
  bool read_ascii(Word& word);
  bool read_folded(Word& word, size_t from);
  bool read_pair(Word& word, size_t first_size);
  size_t extend_number(size_t end) const;
  void pass_contraction();
  void append(std::string_view folded);
  void append_digits(size_t start, size_t end);
  void give(Word& word, size_t start, size_t end);

  std::string_view text_;
  size_t pos_ = 0;
  bool paired_ = false;  ///< the character at pos_ was the second of a pair
  size_t size_ = 0;
  alignas(16) char buffer_[kTermBytesMax];
};

/// Calls f(const Word&) for each term of `text`, in order.
template <class F>
void for_each_word(std::string_view text, F&& f) {
  WordReader reader(text);
  for (Word word; reader.next(word);) f(static_cast<const Word&>(word));
}

}  // namespace tessera::text
