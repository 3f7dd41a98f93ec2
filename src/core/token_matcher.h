#pragma once

#include <span>
#include <string_view>
#include <vector>

namespace tessera::core {

/// What a text has of a query, token by token, each token weighing as much as its model gives it (words of grammar
/// little, names much); 1 is all of it.
struct TokenMatch {
  float likeness = 0;  ///< of each query token, the best cosine with a token of the text (late interaction), in [-1, 1]
  float near = 0;      ///< pairs of neighbours in the query that stand near each other in the text, in [0, 1]
};

/// Compares texts with a query by the tokens of a static embedding model. Thread-safe; never fails; CPU work on the
/// caller's thread, about 12 us a text of 200 words.
class TokenMatcher {
 public:
  virtual ~TokenMatcher() = default;
  /// One for each text. A query without known tokens matches nothing.
  [[nodiscard]] virtual std::vector<TokenMatch> match(std::string_view query,
                                                      std::span<const std::string_view> texts) const = 0;
};

}  // namespace tessera::core
