#pragma once

#include <atomic>
#include <string>
#include <string_view>

#include "core/embedder.h"
#include "llm/engines/engine_pool.h"

namespace tessera::llm {

/// Embeds with a pool of llama-servers, in batches. Thread-safe; the pool outlives it. Errors as EnginePool::acquire
/// and OpenAiEmbedder.
class EngineEmbedder final : public core::Embedder {
 public:
  /// `name` is the model's for collections; `dimensions` 0: learned from the first answer.
  EngineEmbedder(EnginePool& pool, std::string name, size_t dimensions, size_t batch_size);

  [[nodiscard]] std::string_view model() const override { return name_; }
  [[nodiscard]] size_t dimensions() const override { return dimensions_.load(); }
  core::Task<base::Result<core::Embeddings>> embed(const core::RequestContext& context,
                                                   std::span<const std::string_view> texts) override;
  [[nodiscard]] size_t count_tokens(std::string_view text) const override;

 private:
  EnginePool& pool_;
  std::string name_;
  std::atomic<size_t> dimensions_;
  size_t batch_size_;
};

}  // namespace tessera::llm
