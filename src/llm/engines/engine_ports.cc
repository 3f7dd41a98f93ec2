#include "llm/engines/engine_ports.h"

#include "llm/engines/engine_call.h"
#include "llm/providers/provider_ports.h"

namespace tessera::llm {
namespace {

using core::Task;

constexpr auto kAlways = [] { return true; };  // nothing of such answers is seen before they are whole

class EngineEmbeddings final : public core::EmbeddingsRelay {
 public:
  explicit EngineEmbeddings(EnginePool& pool) : pool_(pool) {}
  Task<base::Result<std::string>> embeddings(const core::RequestContext& context, const core::RelayRequest& request,
                                             core::RelayReport& report) override {
    auto call = [&](EnginePool::Lease& lease) -> Task<base::Result<std::string>> {
      report = {};
      const core::ModelPorts ports = make_provider_ports(lease.client());
      co_return co_await ports.embeddings->embeddings(context, request, report);
    };
    co_return co_await call_engine(pool_, context, {}, call, kAlways);
  }

 private:
  EnginePool& pool_;
};

class EngineRerank final : public core::RerankRelay {
 public:
  explicit EngineRerank(EnginePool& pool) : pool_(pool) {}
  Task<base::Result<std::string>> rerank(const core::RequestContext& context, const core::RelayRequest& request,
                                         core::RelayReport& report) override {
    auto call = [&](EnginePool::Lease& lease) -> Task<base::Result<std::string>> {
      report = {};
      const core::ModelPorts ports = make_provider_ports(lease.client());
      co_return co_await ports.rerank->rerank(context, request, report);
    };
    co_return co_await call_engine(pool_, context, {}, call, kAlways);
  }

 private:
  EnginePool& pool_;
};

class EngineTranscription final : public core::TranscriptionRelay {
 public:
  explicit EngineTranscription(EnginePool& pool) : pool_(pool) {}
  Task<base::Result<std::string>> transcribe(const core::RequestContext& context, const core::RelayRequest& request,
                                             core::RelaySink* sink, core::RelayReport& report) override {
    auto call = [&](EnginePool::Lease& lease) -> Task<base::Result<std::string>> {
      report = {};
      const core::ModelPorts ports = make_provider_ports(lease.client());
      co_return co_await ports.transcription->transcribe(context, request, sink, report);
    };
    auto again = [&report] { return !report.started; };
    co_return co_await call_engine(pool_, context, {}, call, again);
  }

 private:
  EnginePool& pool_;
};

}  // namespace

core::ModelPorts engine_ports(const EnginePools& pools) {
  core::ModelPorts ports;
  if (pools.embedding != nullptr) ports.embeddings = std::make_shared<EngineEmbeddings>(*pools.embedding);
  if (pools.rerank != nullptr) ports.rerank = std::make_shared<EngineRerank>(*pools.rerank);
  if (pools.transcription != nullptr) ports.transcription = std::make_shared<EngineTranscription>(*pools.transcription);
  return ports;
}

}  // namespace tessera::llm
