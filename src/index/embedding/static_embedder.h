#pragma once

#include <span>
#include <string>
#include <string_view>

#include "core/embedder.h"
#include "index/embedding/static_model.h"
#include "index/embedding/static_token_matcher.h"

namespace tessera::index {

/// The built-in embedding model: a text's vector is the weighted sum of its tokens' vectors, L2-normalised. Runs on the
/// caller's thread, millions of tokens a second, no heap but the result; never fails. Thread-safe (immutable). The
/// model's bytes outlive it.
class StaticEmbedder final : public core::Embedder {
 public:
  explicit StaticEmbedder(const StaticModel& model);

  /// The embedder over the model inside the binary.
  static base::Result<StaticEmbedder> embedded();

  [[nodiscard]] std::string_view model() const override { return model_.name(); }
  [[nodiscard]] size_t dimensions() const override { return model_.dimensions(); }
  core::Task<base::Result<core::Embeddings>> embed(const core::RequestContext& context,
                                                   std::span<const std::string_view> texts) override;
  [[nodiscard]] size_t count_tokens(std::string_view text) const override { return model_.tokenizer().count(text); }
  [[nodiscard]] std::unique_ptr<core::TokenReader> token_reader() const override;
  [[nodiscard]] const core::TokenMatcher* token_matcher() const override { return &matcher_; }

  /// The vector of one text into `out` (dimensions() floats). Returns the tokens read; a text without known tokens
  /// gives zeros.
  size_t embed_one(std::string_view text, std::span<float> out) const;

 private:
  StaticModel model_;
  StaticTokenMatcher matcher_;
};

}  // namespace tessera::index
