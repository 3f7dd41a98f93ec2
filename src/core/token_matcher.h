#pragma once

#include <cstdint>
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

/// A text as a matcher reads it; for that matcher only. May be kept: the same text always reads the same.
using MatchTokens = std::vector<uint16_t>;

/// Compares texts with a query by the tokens of a static embedding model. Thread-safe; never fails; CPU work on the
/// caller's thread, about 12 us to read a text of 200 words and 2 us to compare it.
class TokenMatcher {
 public:
  virtual ~TokenMatcher() = default;
  /// The tokens of a text.
  [[nodiscard]] virtual MatchTokens read(std::string_view text) const = 0;
  /// One for each text. A query without known tokens matches nothing.
  [[nodiscard]] virtual std::vector<TokenMatch> match(std::string_view query,
                                                      std::span<const MatchTokens* const> texts) const = 0;
  /// The same of texts that were not read before.
  [[nodiscard]] std::vector<TokenMatch> match(std::string_view query, std::span<const std::string_view> texts) const {
    std::vector<MatchTokens> tokens;
    for (const std::string_view text : texts) tokens.push_back(read(text));
    std::vector<const MatchTokens*> read;
    for (const MatchTokens& each : tokens) read.push_back(&each);
    return match(query, std::span<const MatchTokens* const>(read));
  }
};

}  // namespace tessera::core
