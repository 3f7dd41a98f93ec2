#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <string_view>

#include "core/embedder.h"
#include "llm/providers/provider_client.h"

namespace tessera::llm {

struct OpenAiEmbedderOptions {
  std::string model = "text-embedding-3-small";
  size_t dimensions = 0;            ///< asked for and checked when request_dimensions; 0: learned from the first answer
  bool request_dimensions = false;  ///< say `dimensions` in requests (models that can shorten their vectors)
  size_t batch_size = 64;           ///< texts of one request
  size_t batch_bytes_max = 400'000;
  bool base64 = false;  ///< ask for base64 vectors (a quarter of the bytes); either kind is read
};

/// Embeds through an OpenAI-compatible `/embeddings`, in batches, one after the other. Empty texts are not sent: their
/// rows are zeros. Thread-safe. Errors as ProviderClient; upstream BAD_RESPONSE, EMBEDDING_DIMENSIONS (not the length
/// that was configured or learned).
class OpenAiEmbedder final : public core::Embedder {
 public:
  OpenAiEmbedder(OpenAiEmbedderOptions options, std::shared_ptr<ProviderClient> client);

  [[nodiscard]] std::string_view model() const override { return options_.model; }
  /// 0 until configured or learned.
  [[nodiscard]] size_t dimensions() const override { return dimensions_.load(); }
  core::Task<base::Result<core::Embeddings>> embed(const core::RequestContext& context,
                                                   std::span<const std::string_view> texts) override;
  [[nodiscard]] size_t count_tokens(std::string_view text) const override;

  /// Asks for one vector to learn its length; for start-up.
  core::Task<base::Result<size_t>> discover(const core::RequestContext& context);

 private:
  OpenAiEmbedderOptions options_;
  std::shared_ptr<ProviderClient> client_;
  std::atomic<size_t> dimensions_;
};

}  // namespace tessera::llm
