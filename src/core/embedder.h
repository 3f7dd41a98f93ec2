#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/context.h"
#include "core/token_matcher.h"

namespace tessera::core {

/// `rows` x `dimensions`, row-major, each row L2-normalised (a text without known tokens gives a row of zeros).
struct Embeddings {
  size_t rows = 0;
  size_t dimensions = 0;
  std::vector<float> values;
};

/// Turns texts into vectors. Thread-safe. The texts outlive the task. Errors: upstream, unavailable, deadline,
/// too_large.
class Embedder {
 public:
  virtual ~Embedder() = default;
  [[nodiscard]] virtual std::string_view model() const = 0;  ///< e.g. "tessera/static-256"
  [[nodiscard]] virtual size_t dimensions() const = 0;
  virtual Task<base::Result<Embeddings>> embed(const RequestContext& context,
                                               std::span<const std::string_view> texts) = 0;
  /// Tokens of a text as this model's tokenizer counts them (an estimate for remote models). Fast; for chunk sizes.
  [[nodiscard]] virtual size_t count_tokens(std::string_view text) const = 0;
  /// Compares texts by this model's token vectors; lives as long as the embedder. Null where a model has none to show.
  [[nodiscard]] virtual const TokenMatcher* token_matcher() const { return nullptr; }
};

}  // namespace tessera::core
