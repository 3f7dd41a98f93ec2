#include "rag/retriever.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "async/deadline.h"
#include "rag/query_marks.h"

namespace tessera::rag {

namespace {

using base::Code;
using core::SearchMode;

constexpr size_t kNeighboursMax = 8;
constexpr double kNumberMax = 1000;
constexpr int64_t kJoinBytesMax = 4 << 20;  // longer documents are not read for the white space between two chunks

bool all_zero(const std::vector<float>& vector) {
  return std::ranges::all_of(vector, [](float value) { return value == 0; });
}

base::Result<> check_number(std::optional<double> value, const char* field) {
  if (!value || (*value >= 0 && *value <= kNumberMax)) return {};
  return base::fail(Code::invalid, "INVALID_RANKING", fmt::format("{} is a number from 0 to {}.", field, kNumberMax),
                    "", field);
}

base::Result<> check_ranking(const core::RetrievalRequest& request) {
  const core::RankingChoice& ranking = request.ranking;
  TESSERA_CHECK(check_number(ranking.dense_weight, "dense_weight"));
  TESSERA_CHECK(check_number(ranking.rank_constant, "rank_constant"));
  if (ranking.neighbours.value_or(0) > kNeighboursMax) {
    return base::fail(Code::invalid, "INVALID_RANKING", fmt::format("neighbours is at most {}.", kNeighboursMax), "",
                      "neighbours");
  }
  const bool hybrid = request.mode == SearchMode::hybrid;
  const char* idle = hybrid                           ? nullptr
                     : ranking.fusion                 ? "fusion"
                     : ranking.dense_weight           ? "dense_weight"
                     : ranking.rank_constant          ? "rank_constant"
                     : ranking.rerank.value_or(false) ? "rerank"
                                                      : nullptr;
  if (idle == nullptr) return {};
  return base::fail(Code::invalid, "INVALID_RANKING",
                    fmt::format("{} is for hybrid search only; leave it out or ask for the mode hybrid.", idle), "",
                    idle);
}

}  // namespace

/// One retrieval in the making.
struct HybridRetriever::Plan {
  core::RetrievalRequest request;
  std::string words;  // of the query, without marks and what they exclude
  bool marked = false;
  int64_t collection_id = 0;
  std::string embedding_model;
  bool lexical = false;  // engines still wanted
  bool dense = false;
  bool on_pool = false;
  std::vector<float> vector;
  size_t k = 0;
  bool exhausted = false;  // the engines have no more than they gave
  std::optional<base::Error> failure;
  std::vector<Ranked> ranked;
  FusionOptions fusion;
  SelectionOptions selection;
  const core::TokenMatcher* matcher = nullptr;  ///< set: the first of the ranking are to be re-ranked
  std::vector<TokenCache::Tokens> tokens;       ///< of the first of the ranking; null: not read yet
  bool reranked = false;
  std::unordered_map<int64_t, core::Passage> loaded;  ///< by chunk
  std::unordered_set<int64_t> gone;                   ///< asked for, but no longer stored

  [[nodiscard]] core::IndexQuery query() const {
    return {.collection_id = collection_id,
            .text = request.query,
            .vector = vector,
            .k = k,
            .filter = request.filter ? &*request.filter : nullptr,
            .operators = marked,
            .recall = request.recall.value_or(0),
            .ef = request.ef.value_or(0)};
  }
};

HybridRetriever::HybridRetriever(RetrieverParts parts, RetrieverOptions options)
    : parts_(parts), options_(options), tokens_(options.token_cache_bytes) {}

base::Result<> HybridRetriever::check_request(const core::RetrievalRequest& request) const {
  if (request.query.find_first_not_of(" \t\r\n") == std::string::npos) {
    return base::fail(Code::invalid, "EMPTY_QUERY", "The query is empty; say what to look for.", "", "query");
  }
  if (request.query.size() > options_.query_bytes_max) {
    return base::fail(Code::too_large, "QUERY_TOO_LARGE",
                      fmt::format("The query has over {} bytes (search.query_bytes_max).", options_.query_bytes_max),
                      "", "query");
  }
  if (request.top_k > options_.top_k_max) {
    return base::fail(Code::invalid, "INVALID_TOP_K", fmt::format("top_k is at most {}.", options_.top_k_max), "",
                      "top_k");
  }
  TESSERA_CHECK(check_engine_choice(request));
  return check_ranking(request);
}

bool HybridRetriever::is_late(const core::RequestContext& context) const {
  return context.deadline != base::SteadyTime::max() && parts_.clock.now() + options_.reserve >= context.deadline;
}

base::Result<> HybridRetriever::plan_ranking(Plan& plan) const {
  const core::RankingChoice& choice = plan.request.ranking;
  plan.fusion = options_.fusion;
  plan.fusion.kind = choice.fusion.value_or(plan.fusion.kind);
  plan.fusion.dense_weight = choice.dense_weight.value_or(plan.fusion.dense_weight);
  plan.fusion.rank_constant = choice.rank_constant.value_or(plan.fusion.rank_constant);
  const ReaderDefaults& defaults = plan.request.reader == core::Reader::model ? options_.model : options_.client;
  plan.selection.top_k = plan.request.top_k;
  plan.selection.duplicates = choice.duplicates.value_or(defaults.duplicates);
  plan.selection.per_document = choice.per_document.value_or(defaults.per_document);
  plan.selection.neighbours = choice.neighbours.value_or(defaults.neighbours);
  if (plan.request.mode != SearchMode::hybrid || !choice.rerank.value_or(options_.rerank)) return {};
  if (const auto embedder = parts_.embedders.find(plan.embedding_model)) plan.matcher = (*embedder)->token_matcher();
  if (plan.matcher != nullptr || !choice.rerank.value_or(false)) return {};
  return base::fail(Code::invalid, "RERANK_NOT_AVAILABLE",
                    "The collection's embedding model has no token vectors to re-rank by; leave rerank out.", "",
                    "rerank");
}

core::Task<base::Result<core::RetrievalResult>> HybridRetriever::retrieve(const core::RequestContext& context,
                                                                          core::RetrievalRequest request) {
  const auto began = parts_.clock.now();
  TESSERA_CO_CHECK(check_request(request));
  TESSERA_CO_CHECK(context.check(parts_.clock));
  core::CollectionName name = request.collection;
  TESSERA_CO_TRY(const auto collection, co_await parts_.store.find_collection(std::move(name)));
  TESSERA_CO_CHECK(parts_.feed.check_serving());

  Plan plan;
  plan.request = std::move(request);
  plan.marked = plan.request.syntax == core::QuerySyntax::marks;
  plan.words = plan.marked ? words_of_marked(plan.request.query) : plan.request.query;
  plan.collection_id = collection.id;
  plan.embedding_model = collection.settings.embedding_model;
  plan.lexical = plan.request.mode != SearchMode::dense;
  plan.dense = plan.request.mode != SearchMode::lexical;
  plan.on_pool = parts_.index.stats(collection.id).chunks > options_.inline_chunks;
  plan.k = std::max(options_.candidates_min, 4 * plan.request.top_k);
  TESSERA_CO_CHECK(plan_ranking(plan));
  if (plan.dense) TESSERA_CO_CHECK(co_await embed_query(context, plan));

  // Chunks may be deleted between search and load; then ask the engines for more, until they have no more.
  constexpr int kRounds = 6;
  core::RetrievalResult result;
  for (int round = 0; round < kRounds; ++round) {
    TESSERA_CO_CHECK(co_await search(context, plan));
    if (plan.matcher != nullptr && !plan.reranked) {
      TESSERA_CO_CHECK(co_await rerank_first(context, plan));
    }
    TESSERA_CO_TRY(result.passages, co_await load(context, plan));
    if (result.passages.size() >= plan.request.top_k || plan.exhausted) break;
    // Below min_score nothing better follows.
    if (plan.request.min_score && !plan.ranked.empty() && plan.ranked.back().score < *plan.request.min_score) break;
    plan.k *= 4;
  }
  result.took_ms = std::chrono::duration<double, std::milli>(parts_.clock.now() - began).count();
  co_return result;
}

core::Task<base::Result<>> HybridRetriever::embed_query(const core::RequestContext& context, Plan& plan) {
  core::StageTimer timer(context, "embed");
  base::Result<core::Embeddings> rows;
  auto embedder = parts_.embedders.find(plan.embedding_model);
  if (!embedder) {
    rows = std::unexpected(std::move(embedder).error());
  } else {
    core::RequestContext inner = context;
    const bool bounded = context.deadline != base::SteadyTime::max();
    if (bounded && plan.lexical) inner.deadline = context.deadline - options_.reserve;
    const std::string_view text = plan.words;
    if (bounded && parts_.clock.now() >= inner.deadline) {
      rows = base::fail(Code::deadline, "DEADLINE_EXCEEDED", "The request's time was over before it was done.");
    } else {
      rows = co_await (*embedder)->embed(inner, std::span(&text, 1));
    }
  }
  if (rows && (rows->rows != 1 || rows->values.size() != rows->dimensions)) {
    rows = base::fail(Code::upstream, "EMBEDDING_SHAPE", "The embedding model answered with an unexpected shape.");
  }
  if (rows) {
    plan.vector = std::move(rows->values);
    co_return base::Result<>{};
  }
  if (!plan.lexical || rows.error().code == Code::cancelled) co_return std::unexpected(std::move(rows).error());
  plan.failure = std::move(rows).error();
  plan.dense = false;
  if (context.trace != nullptr) context.trace->add_degraded("dense_search");
  co_return base::Result<>{};
}

core::Task<base::Result<>> HybridRetriever::search(const core::RequestContext& context, Plan& plan) {
  if (!plan.on_pool) co_return search_now(context, plan);
  const auto work = [this, &context, &plan]() -> base::Result<> { return search_now(context, plan); };
  co_return co_await parts_.pool.run(work, context.cancel);
}

/// Searches; re-ranks at once when nothing is missing for that.
base::Result<> HybridRetriever::search_now(const core::RequestContext& context, Plan& plan) {
  TESSERA_CHECK(search_engines(context, plan));
  plan.reranked = false;
  if (plan.matcher == nullptr) return {};
  core::StageTimer timer(context, "rerank");
  find_tokens(plan);
  if (std::ranges::find(plan.tokens, nullptr) == plan.tokens.end() && !is_late(context)) rerank_now(plan);
  return {};
}

// Lexical first: it is the part that is left when the time is short.
base::Result<> HybridRetriever::search_engines(const core::RequestContext& context, Plan& plan) const {
  const auto query = plan.query();
  const auto degrade = [&](std::string_view part, base::Error error) {
    if (context.trace != nullptr) context.trace->add_degraded(part);
    plan.failure = std::move(error);
  };
  std::optional<std::vector<core::IndexHit>> lexical;
  std::optional<std::vector<core::IndexHit>> dense;
  plan.exhausted = true;
  if (plan.lexical) {
    core::StageTimer timer(context, "lexical");
    auto hits = parts_.index.search_lexical(query);
    if (hits) {
      plan.exhausted = plan.exhausted && hits->size() < plan.k;
      lexical = *std::move(hits);
    } else if (plan.marked) {
      return std::unexpected(std::move(hits).error());  // nothing else knows what is excluded
    } else {
      plan.lexical = false;
      degrade("lexical_search", std::move(hits).error());
    }
  }
  const bool late = plan.lexical && is_late(context);
  // A query without a known token has no direction: every chunk is equally far, which is worth nothing beside words.
  const bool aimless = plan.dense && plan.lexical && all_zero(plan.vector) && !lexical->empty();
  if (plan.dense && late) {
    if (context.trace != nullptr) context.trace->add_degraded("dense_search");
    plan.dense = false;
  } else if (plan.dense && !aimless) {
    core::StageTimer timer(context, "dense");
    auto hits = parts_.index.search_dense(query);
    if (hits) {
      plan.exhausted = plan.exhausted && (plan.marked || hits->size() < plan.k);
      dense = *std::move(hits);
    } else {
      plan.dense = false;
      degrade("dense_search", std::move(hits).error());
    }
  }
  if (!lexical && !dense) {
    return std::unexpected(plan.failure.value_or(
        base::make_error(Code::unavailable, "SEARCH_FAILED", "Search is not available now; try again.")));
  }
  core::StageTimer timer(context, "fuse");
  if (plan.request.mode == SearchMode::hybrid) {
    plan.ranked = fuse({lexical, dense}, plan.fusion);
    if (plan.marked) keep_matches(plan.ranked, *lexical);
  } else {
    plan.ranked = lexical ? rank_lexical(*lexical) : rank_dense(*dense);
  }
  return {};
}

/// Brings the passages into plan.loaded; what is no longer stored into plan.gone.
core::Task<base::Result<>> HybridRetriever::fetch(const core::RequestContext& context, Plan& plan,
                                                  std::vector<int64_t> keys) {
  std::erase_if(keys, [&](int64_t key) { return plan.loaded.contains(key) || plan.gone.contains(key); });
  if (keys.empty()) co_return base::Result<>{};
  TESSERA_CO_TRY(auto passages, co_await parts_.store.load_passages(context.tenant, keys));
  plan.gone.insert(keys.begin(), keys.end());
  for (auto& passage : passages) {
    plan.gone.erase(passage.chunk_key);
    plan.loaded.emplace(passage.chunk_key, std::move(passage));
  }
  co_return base::Result<>{};
}

core::Task<base::Result<>> HybridRetriever::rerank_first(const core::RequestContext& context, Plan& plan) {
  core::StageTimer timer(context, "rerank");
  if (is_late(context)) {
    if (context.trace != nullptr) context.trace->add_degraded("rerank");
    co_return base::Result<>{};
  }
  std::vector<int64_t> keys;
  for (size_t i = 0; i < plan.tokens.size(); ++i) {
    if (plan.tokens[i] == nullptr) keys.push_back(plan.ranked[i].chunk_key);
  }
  TESSERA_CO_CHECK(co_await fetch(context, plan, std::move(keys)));
  const auto work = [this, &plan] {
    read_tokens(plan);
    rerank_now(plan);
  };
  if (plan.on_pool) co_return co_await parts_.pool.run(work, context.cancel);
  work();
  co_return base::Result<>{};
}

void HybridRetriever::find_tokens(Plan& plan) {
  plan.tokens.assign(std::min(options_.rerank_candidates, plan.ranked.size()), nullptr);
  for (size_t i = 0; i < plan.tokens.size(); ++i) {
    plan.tokens[i] = tokens_.find(plan.matcher, plan.ranked[i].chunk_key);
  }
}

/// Of the passages fetched; what is no longer stored has no tokens.
void HybridRetriever::read_tokens(Plan& plan) {
  for (size_t i = 0; i < plan.tokens.size(); ++i) {
    if (plan.tokens[i] != nullptr) continue;
    const auto found = plan.loaded.find(plan.ranked[i].chunk_key);
    if (found == plan.loaded.end()) {
      plan.tokens[i] = std::make_shared<const core::MatchTokens>();
      continue;
    }
    auto read = plan.matcher->read(read_for_ranking(found->second));
    read.shrink_to_fit();
    plan.tokens[i] = std::make_shared<const core::MatchTokens>(std::move(read));
    tokens_.keep(plan.matcher, plan.ranked[i].chunk_key, plan.tokens[i]);
  }
}

void HybridRetriever::rerank_now(Plan& plan) const {
  std::vector<const core::MatchTokens*> texts;
  texts.reserve(plan.tokens.size());
  for (const auto& each : plan.tokens) texts.push_back(each.get());
  plan.ranked = rerank(std::move(plan.ranked), plan.matcher->match(plan.words, texts), options_.rerank_weights);
  plan.reranked = true;
}

core::Task<base::Result<std::vector<core::Passage>>> HybridRetriever::load(const core::RequestContext& context,
                                                                           Plan& plan) {
  core::StageTimer timer(context, "load");
  const double floor = plan.request.min_score.value_or(-1);
  Selection selection(plan.selection);
  size_t next = 0;
  while (selection.missing() > 0 && next < plan.ranked.size() && plan.ranked[next].score >= floor) {
    std::vector<int64_t> keys;
    const size_t begin = next;
    for (; next < plan.ranked.size() && keys.size() < selection.missing() && plan.ranked[next].score >= floor; ++next) {
      if (selection.wants(plan.ranked[next].document_key)) keys.push_back(plan.ranked[next].chunk_key);
    }
    const std::vector<int64_t> wanted = keys;
    TESSERA_CO_CHECK(co_await fetch(context, plan, std::move(keys)));
    size_t at = begin;
    for (const int64_t key : wanted) {
      while (plan.ranked[at].chunk_key != key) ++at;
      const auto found = plan.loaded.find(key);
      if (found == plan.loaded.end()) continue;
      found->second.score = plan.ranked[at].score;
      selection.offer(found->second);
    }
  }
  co_return co_await join(context, selection);
}

core::Task<base::Result<std::vector<core::Passage>>> HybridRetriever::join(const core::RequestContext& context,
                                                                           Selection& selection) {
  if (auto keys = selection.neighbour_keys(); !keys.empty()) {
    TESSERA_CO_TRY(auto around, co_await parts_.store.load_passages(context.tenant, std::move(keys)));
    selection.add_neighbours(std::move(around));
  }
  std::vector<core::Passage> passages;
  for (SelectedPassage& each : selection.take()) {
    std::string text;
    const bool gaps = has_gaps(each);
    if (gaps) {
      TESSERA_CO_TRY(text, co_await text_of(context, each.best));
    }
    passages.push_back(join_parts(std::move(each), gaps ? &text : nullptr));
  }
  co_return passages;
}

/// The text of the passage's document; empty when it is gone or too long.
core::Task<base::Result<std::string>> HybridRetriever::text_of(const core::RequestContext& context,
                                                               const core::Passage& passage) {
  const auto head = co_await parts_.store.find_document(context.tenant, passage.document_id);
  if (!head && head.error().code != Code::not_found) co_return std::unexpected(head.error());
  if (!head || head->text_bytes > kJoinBytesMax) co_return std::string();
  auto document = co_await parts_.store.load_document(context.tenant, passage.document_id);
  if (!document && document.error().code != Code::not_found) co_return std::unexpected(std::move(document).error());
  co_return document ? std::move(document->text) : std::string();
}

}  // namespace tessera::rag
