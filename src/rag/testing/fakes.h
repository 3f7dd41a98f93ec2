#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/hash.h"
#include "core/embedder.h"
#include "core/index.h"
#include "core/parser.h"

namespace tessera::rag::testing {

inline std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words(1);
  for (const char c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0) {
      words.back() += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    } else if (!words.back().empty()) {
      words.emplace_back();
    }
  }
  if (words.back().empty()) words.pop_back();
  return words;
}

/// Counts of words in `size` hashed dimensions, normalised.
class FakeEmbedder final : public core::Embedder {
 public:
  explicit FakeEmbedder(std::string model = "tessera/static-256") : model_(std::move(model)) {}
  [[nodiscard]] std::string_view model() const override { return model_; }
  /// 0 until the first answer, if it has to be learned.
  [[nodiscard]] size_t dimensions() const override { return learned ? size.load() : 0; }
  core::Task<base::Result<core::Embeddings>> embed(const core::RequestContext& context,
                                                   std::span<const std::string_view> texts) override {
    ++calls;
    if (fail) co_return base::fail(base::Code::upstream, "EMBEDDER_DOWN", "The embedder is away.");
    if (on_embed) on_embed(context);
    learned = true;
    core::Embeddings rows{texts.size(), size, {}};
    for (const auto text : texts) {
      std::vector<float> row(size);
      for (const auto& word : words_of(text)) row[base::hash64(word) % size] += 1;
      float norm = 0;
      for (const float value : row) norm += value * value;
      for (float& value : row) value = norm > 0 ? value / std::sqrt(norm) : 0;
      rows.values.insert(rows.values.end(), row.begin(), row.end());
      embedded += texts.size();
    }
    co_return rows;
  }
  [[nodiscard]] size_t count_tokens(std::string_view text) const override { return words_of(text).size(); }
  [[nodiscard]] const core::TokenMatcher* token_matcher() const override { return matcher; }

  const core::TokenMatcher* matcher = nullptr;
  std::atomic<size_t> size{16};
  std::atomic<bool> learned{true};
  std::atomic<int> calls{0};
  std::atomic<size_t> embedded{0};
  std::atomic<bool> fail{false};
  std::function<void(const core::RequestContext&)> on_embed;

 private:
  std::string model_;
};

/// Text as it is; names ending in .md or .txt are documents. "%BROKEN" is unreadable.
class FakeParser final : public core::DocumentParser {
 public:
  [[nodiscard]] base::Result<core::ParsedDocument> parse(const core::RawDocument& raw) const override {
    ++calls;
    if (raw.bytes.starts_with("%BROKEN")) {
      return base::fail(base::Code::unreadable, "UNREADABLE_DOCUMENT", "The document cannot be read.");
    }
    core::ParsedDocument parsed;
    parsed.text = raw.bytes;
    parsed.content_type = "text/plain";
    parsed.metadata["lang"] = std::string("en");
    parsed.metadata["parsed"] = true;
    return parsed;
  }
  [[nodiscard]] bool knows(std::string_view name) const override {
    return name.ends_with(".md") || name.ends_with(".txt");
  }
  mutable std::atomic<int> calls{0};
};

/// Everything by brute force; keeps what a real index would be asked about and can be made to fail or wait.
class FakeIndex final : public core::RetrievalIndex {
 public:
  base::Result<> apply(const core::StoreChange& change) override {
    std::unique_lock lock(mutex);
    gate.wait(lock, [this] { return !held; });
    const bool broken = change.sequence == broken_sequence;
    if (broken) broken_sequence = 0;
    if (broken || fail_applies > 0) {
      if (!broken) --fail_applies;
      return base::fail(base::Code::internal, "APPLY_BROKEN", "The index broke.");
    }
    if (change.document != nullptr && change.document->document.text.starts_with("%SHAPE")) {
      applied = change.sequence;
      return base::fail(base::Code::invalid, "VECTOR_SHAPE", "These are no vectors.");
    }
    if (change.sequence <= applied) return {};
    if (change.kind == core::StoreChange::Kind::put) {
      documents[change.document_key] = change.document;
    } else if (change.kind == core::StoreChange::Kind::remove) {
      documents.erase(change.document_key);
    } else {
      std::erase_if(documents,
                    [&](const auto& item) { return item.second->document.head.collection_id == change.collection_id; });
    }
    applied = change.sequence;
    ++applies;
    return {};
  }
  [[nodiscard]] int64_t applied_sequence() const override {
    const std::lock_guard lock(mutex);
    return applied;
  }
  [[nodiscard]] base::Result<std::vector<core::IndexHit>> search_lexical(const core::IndexQuery& query) const override {
    if (lexical_down) return base::fail(base::Code::unavailable, "LEXICAL_DOWN", "Lexical search is away.");
    const auto wanted = words_of(query.text);
    return search(
        query,
        [&](const core::DocumentWrite& write, size_t i) {
          float score = 0;
          for (const auto& word : words_of(chunk_text(write, i))) {
            score += std::ranges::count(wanted, word) > 0 ? 1.0F : 0.0F;
          }
          return score;
        },
        0);
  }
  [[nodiscard]] base::Result<std::vector<core::IndexHit>> search_dense(const core::IndexQuery& query) const override {
    if (dense_down) return base::fail(base::Code::unavailable, "DENSE_DOWN", "Dense search is away.");
    return search(
        query,
        [&](const core::DocumentWrite& write, size_t i) {
          float score = 0;
          for (size_t d = 0; d < write.dimensions; ++d)
            score += query.vector[d] * write.vectors[i * write.dimensions + d];
          return score;
        },
        -2);
  }
  [[nodiscard]] core::IndexStats stats(int64_t collection_id) const override {
    const std::lock_guard lock(mutex);
    core::IndexStats stats;
    for (const auto& [key, write] : documents) {
      if (write->document.head.collection_id != collection_id) continue;
      ++stats.documents;
      stats.chunks += static_cast<int64_t>(write->chunks.size());
    }
    return stats;
  }
  [[nodiscard]] core::IndexStats total_stats() const override { return {}; }
  /// Of the latest document.
  [[nodiscard]] size_t dimensions(int64_t collection_id) const override {
    const std::lock_guard lock(mutex);
    size_t found = 0;
    for (const auto& [key, write] : documents) {
      if (write->document.head.collection_id == collection_id) found = write->dimensions;
    }
    return found;
  }
  base::Result<> save() override {
    if (on_save) on_save();
    const std::lock_guard lock(mutex);
    ++saves;
    saved.notify_all();
    return {};
  }
  void clear() override {
    const std::lock_guard lock(mutex);
    documents.clear();
    applied = 0;
    ++clears;
  }

  void hold(bool on) {
    const std::lock_guard lock(mutex);
    held = on;
    gate.notify_all();
  }
  std::map<int64_t, int64_t> versions() const {
    const std::lock_guard lock(mutex);
    std::map<int64_t, int64_t> found;
    for (const auto& [key, write] : documents) found[key] = write->document.head.version;
    return found;
  }

  mutable std::mutex mutex;
  std::condition_variable gate;
  std::condition_variable saved;
  bool held = false;
  int fail_applies = 0;
  int64_t broken_sequence = 0;  ///< the change of this number fails once
  int64_t applied = 0;
  int64_t applies = 0;
  int clears = 0;
  int saves = 0;
  std::function<void()> on_save;
  std::map<int64_t, std::shared_ptr<const core::DocumentWrite>> documents;
  std::atomic<bool> lexical_down{false};
  std::atomic<bool> dense_down{false};

 private:
  static std::string chunk_text(const core::DocumentWrite& write, size_t i) {
    const auto& chunk = write.chunks[i];
    return write.document.text.substr(static_cast<size_t>(chunk.start), static_cast<size_t>(chunk.end - chunk.start));
  }
  template <class Score>
  std::vector<core::IndexHit> search(const core::IndexQuery& query, Score score, float above) const {
    const std::lock_guard lock(mutex);
    std::vector<core::IndexHit> hits;
    for (const auto& [key, write] : documents) {
      if (write->document.head.collection_id != query.collection_id) continue;
      if (query.filter != nullptr && !core::matches(*query.filter, write->document.head.metadata)) continue;
      for (size_t i = 0; i < write->chunks.size(); ++i) {
        const float value = score(*write, i);
        if (value > above) hits.push_back({write->chunks[i].key, key, value});
      }
    }
    std::ranges::sort(hits, [](const auto& a, const auto& b) {
      return a.score != b.score ? a.score > b.score : a.chunk_key < b.chunk_key;
    });
    if (hits.size() > query.k) hits.resize(query.k);
    return hits;
  }
};

}  // namespace tessera::rag::testing
