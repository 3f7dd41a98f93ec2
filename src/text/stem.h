#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

namespace tessera::text {

/// The English stemmer Porter2 (snowballstem.org, as in version 2.2): the same stems as the library of that name, in
/// half the time. Give it folded terms; what is not 3 to 64 ASCII letters comes back as it is. Not thread-safe: one
/// for each thread or task; making one costs next to nothing. One that has stemmed some words begins to remember them.
class Stemmer {
 public:
  Stemmer();
  ~Stemmer();
  Stemmer(Stemmer&&) noexcept;
  Stemmer& operator=(Stemmer&&) noexcept;

  /// The stem; a view into the stemmer (or of `term`) that lives until the next call.
  std::string_view stem(std::string_view term);

 private:
  class Memo;
  std::array<char, 80> buffer_{};
  size_t stemmed_ = 0;
  std::unique_ptr<Memo> memo_;  // none for a query's few words
};

}  // namespace tessera::text
