#pragma once

#include <memory>
#include <string_view>

namespace tessera::text {

/// The English stemmer Porter2 (snowballstem.org). Give it folded terms; what is not ASCII letters comes back as it is.
/// Not thread-safe: one for each thread or task; making one costs about a microsecond. One that has stemmed a hundred
/// words begins to remember them (64 KB), which saves most of the work on a text.
class Stemmer {
 public:
  Stemmer();
  ~Stemmer();
  Stemmer(Stemmer&&) noexcept;
  Stemmer& operator=(Stemmer&&) noexcept;

  /// The stem; a view into the stemmer (or of `term`) that lives until the next call.
  std::string_view stem(std::string_view term);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tessera::text
