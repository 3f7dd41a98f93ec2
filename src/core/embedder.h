#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
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

/// Reads texts into a model's tokens and makes vectors of tokens, so that what is counted and embedded is read once.
/// CPU work on the caller's thread; one thread at a time; the embedder outlives it. Never fails.
class TokenReader {
 public:
  virtual ~TokenReader() = default;
  /// Appends the tokens of `text` and returns their number, which is count_tokens(text). A text read in parts, cut
  /// where words end, has the same tokens.
  virtual size_t read(std::string_view text, std::vector<uint16_t>& tokens) = 0;
  /// Vectors as embed() gives them for the texts; text i's tokens end at `ends[i]`, where the next one's begin.
  /// `vectors`: ends.size() x dimensions().
  virtual void embed(std::span<const uint16_t> tokens, std::span<const size_t> ends, std::span<float> vectors) = 0;
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
  /// Null where a model is not in this process, or cannot part reading from embedding.
  [[nodiscard]] virtual std::unique_ptr<TokenReader> token_reader() const { return nullptr; }
  /// Compares texts by this model's token vectors; lives as long as the embedder. Null where a model has none to show.
  [[nodiscard]] virtual const TokenMatcher* token_matcher() const { return nullptr; }
};

}  // namespace tessera::core
