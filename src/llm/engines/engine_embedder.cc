#include "llm/engines/engine_embedder.h"

#include <utility>

#include "llm/engines/engine_call.h"
#include "llm/providers/openai_embedder.h"
#include "llm/providers/provider_ports.h"

namespace tessera::llm {

EngineEmbedder::EngineEmbedder(EnginePool& pool, std::string name, size_t dimensions, size_t batch_size)
    : pool_(pool), name_(std::move(name)), dimensions_(dimensions), batch_size_(batch_size) {}

core::Task<base::Result<core::Embeddings>> EngineEmbedder::embed(const core::RequestContext& context,
                                                                 std::span<const std::string_view> texts) {
  auto call = [&](EnginePool::Lease& lease) -> core::Task<base::Result<core::Embeddings>> {
    OpenAiEmbedderOptions options;
    options.model = pool_.spec().name;
    options.dimensions = dimensions_.load();
    options.batch_size = batch_size_;
    OpenAiEmbedder embedder(std::move(options), make_provider_ports(lease.client()).embeddings);
    co_return co_await embedder.embed(context, texts);
  };
  auto again = [] { return true; };  // the same texts give the same vectors
  auto vectors = co_await call_engine(pool_, context, {}, call, again);
  if (vectors && vectors->dimensions > 0) dimensions_.store(vectors->dimensions);
  co_return vectors;
}

size_t EngineEmbedder::count_tokens(std::string_view text) const {
  return (text.size() + 3) / 4;
}

}  // namespace tessera::llm
