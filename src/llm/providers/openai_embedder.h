#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <string_view>

#include "async/limiter.h"
#include "core/embedder.h"
#include "core/model_ports.h"

namespace tessera::llm {

struct OpenAiEmbedderOptions {
  std::string model = "text-embedding-3-small";
  std::string asked_model;          ///< what requests call it, where that differs
  size_t dimensions = 0;            ///< asked for and checked when request_dimensions; 0: learned from the first answer
  bool request_dimensions = false;  ///< say `dimensions` in requests (models that can shorten their vectors)
  size_t batch_size = 64;           ///< texts of one request
  size_t batch_bytes_max = 400'000;
  bool base64 = false;         ///< ask for base64 vectors (a quarter of the bytes); either kind is read
  size_t concurrent_max = 64;  ///< requests at once; more wait in order, however long
};

/// Embeds through an `/embeddings` of OpenAI's dialect, in batches, one after the other. Empty texts are not sent:
/// their rows are zeros. Thread-safe. Errors as the port; deadline DEADLINE, upstream BAD_RESPONSE,
/// EMBEDDING_DIMENSIONS (not the length that was configured or learned).
class OpenAiEmbedder final : public core::Embedder {
 public:
  OpenAiEmbedder(OpenAiEmbedderOptions options, std::shared_ptr<core::EmbeddingsRelay> port);

  [[nodiscard]] std::string_view model() const override { return options_.model; }
  /// 0 until configured or learned.
  [[nodiscard]] size_t dimensions() const override { return dimensions_.load(); }
  core::Task<base::Result<core::Embeddings>> embed(const core::RequestContext& context,
                                                   std::span<const std::string_view> texts) override;
  [[nodiscard]] size_t count_tokens(std::string_view text) const override;

 private:
  OpenAiEmbedderOptions options_;
  std::shared_ptr<core::EmbeddingsRelay> port_;
  async::Limiter limiter_;
  std::atomic<size_t> dimensions_;
};

}  // namespace tessera::llm
