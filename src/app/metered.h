#pragma once

#include <map>
#include <memory>
#include <shared_mutex>
#include <string>

#include "base/clock.h"
#include "core/chat_model.h"
#include "core/embedder.h"
#include "core/model_ports.h"
#include "core/retriever.h"
#include "observe/metrics.h"

namespace tessera::app {

/// A retriever that counts its searches by mode, their time and what was left out. Thread-safe.
class MeteredRetriever final : public core::Retriever {
 public:
  /// All outlive it.
  MeteredRetriever(core::Retriever& inner, observe::Metrics& metrics, const base::Clock& clock);
  core::Task<base::Result<core::RetrievalResult>> retrieve(const core::RequestContext& context,
                                                           core::RetrievalRequest request) override;

 private:
  core::Retriever& inner_;
  observe::Metrics& metrics_;
  const base::Clock& clock_;
  std::array<observe::Histogram*, 3> by_mode_;
};

/// An embedder that measures its batches. Thread-safe.
class MeteredEmbedder final : public core::Embedder {
 public:
  MeteredEmbedder(std::shared_ptr<core::Embedder> inner, observe::Metrics& metrics, const base::Clock& clock);
  [[nodiscard]] std::string_view model() const override { return inner_->model(); }
  [[nodiscard]] size_t dimensions() const override { return inner_->dimensions(); }
  core::Task<base::Result<core::Embeddings>> embed(const core::RequestContext& context,
                                                   std::span<const std::string_view> texts) override;
  [[nodiscard]] size_t count_tokens(std::string_view text) const override { return inner_->count_tokens(text); }
  [[nodiscard]] std::unique_ptr<core::TokenReader> token_reader() const override;
  [[nodiscard]] const core::TokenMatcher* token_matcher() const override { return inner_->token_matcher(); }

 private:
  std::shared_ptr<core::Embedder> inner_;
  observe::Histogram& duration_;
  const base::Clock& clock_;
};

/// A catalogue whose models count their calls, time, tokens and cost. Thread-safe.
class MeteredCatalog final : public core::ModelCatalog {
 public:
  MeteredCatalog(const core::ModelCatalog& inner, observe::Metrics& metrics, const base::Clock& clock);
  ~MeteredCatalog() override;
  [[nodiscard]] base::Result<std::shared_ptr<core::ChatModel>> find(std::string_view id) const override;
  [[nodiscard]] std::optional<core::ModelInfo> info(std::string_view id) const override { return inner_.info(id); }
  [[nodiscard]] std::vector<core::ModelInfo> list() const override { return inner_.list(); }
  [[nodiscard]] std::string default_model() const override { return inner_.default_model(); }
  [[nodiscard]] std::string default_for(const core::RequestContext& context, core::ModelUse use) const override {
    return inner_.default_for(context, use);
  }
  [[nodiscard]] core::ModelPorts ports(std::string_view id) const override;

 private:
  static constexpr size_t kKnownMax = 1000;

  const core::ModelCatalog& inner_;
  observe::Metrics& metrics_;
  const base::Clock& clock_;
  mutable std::shared_mutex mutex_;
  mutable std::map<std::string, core::ModelPorts, std::less<>> known_ports_;  // guarded by mutex_
  // Models by the names they were asked for. guarded by mutex_
  mutable std::map<std::string, std::shared_ptr<core::ChatModel>, std::less<>> known_;
};

}  // namespace tessera::app
