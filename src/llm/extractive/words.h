#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace tessera::llm::extractive {

/// A word of a text: bytes [start, end) of it, folded and as an English stem, so that "starts" meets "starting".
struct Term {
  std::string text;
  std::string stem;
  size_t start = 0;
  size_t end = 0;
  bool capital = false;  ///< begins with an upper-case letter
  bool digit = false;    ///< holds a digit
};

/// The words of a text in order, as text::WordReader reads them (`chunk_size` is two). Linear time.
std::vector<Term> terms_of(std::string_view text);

/// Words that say nothing about what a sentence is about ("the", "does").
bool is_stop_word(std::string_view lower);
/// Words that say little: what questions are made of ("name", "many", "called").
bool is_weak_word(std::string_view lower);
/// "one" to "ten", "dozen", "million", "first" to "tenth", "half", ...
bool is_number_word(std::string_view lower);
/// Month and weekday names, "century", "decade", "yesterday".
bool is_time_word(std::string_view lower);

/// How far two stems speak of the same thing by their letters alone: 1 equal, about 0.8 for a shared long beginning or
/// one slip of the pen, else 0.
double stem_likeness(std::string_view a, std::string_view b);

}  // namespace tessera::llm::extractive
