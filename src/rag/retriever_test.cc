#include "rag/retriever.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "async/run_blocking.h"
#include "rag/testing/world.h"

namespace tessera::rag {
namespace {

using async::sync_wait;
using core::SearchMode;

void add(testing::RagWorld& world, const std::string& id, const std::string& text, const std::string& tag = "") {
  IngestRequest request;
  request.document_id = id;
  request.bytes = text;
  if (!tag.empty()) request.metadata["tag"] = tag;
  ASSERT_TRUE(world.take_in(request));
}

TEST(Retriever, GivesExactlyTheSmallerOfTopKAndMatches) {
  testing::RagWorld world;
  for (int i = 0; i < 30; ++i) add(world, "d" + std::to_string(i), "common word number" + std::to_string(i));
  for (const auto mode : {SearchMode::hybrid, SearchMode::dense, SearchMode::lexical}) {
    for (const size_t k : {1U, 5U, 29U, 30U, 100U}) {
      const auto found = world.search("common", k, mode);
      ASSERT_TRUE(found);
      EXPECT_EQ(found->passages.size(), std::min<size_t>(k, 30));
      for (size_t i = 0; i < found->passages.size(); ++i) {
        EXPECT_GE(found->passages[i].score, 0);
        EXPECT_LE(found->passages[i].score, 1);
        if (i > 0) EXPECT_LE(found->passages[i].score, found->passages[i - 1].score);
      }
    }
  }
  EXPECT_TRUE(world.search("absent", 5, SearchMode::lexical)->passages.empty());
}

TEST(Retriever, FiltersAndMinimumScore) {
  testing::RagWorld world;
  add(world, "a", "heron one", "x");
  add(world, "b", "heron two", "y");
  core::RetrievalRequest request;
  request.collection = {world.context.tenant, "default"};
  request.query = "heron";
  core::Filter filter;
  filter.op = core::Filter::Op::eq;
  filter.field = "tag";
  filter.values = {std::string("y")};
  request.filter = filter;
  const auto found = sync_wait(world.retriever.retrieve(world.context, request));
  ASSERT_EQ(found->passages.size(), 1U);
  EXPECT_EQ(found->passages[0].document_id, "b");
  request.min_score = 1.01;
  EXPECT_TRUE(sync_wait(world.retriever.retrieve(world.context, request))->passages.empty());
}

/// The index still knows chunks that the store has deleted: what is missing is made up for.
TEST(Retriever, RefillsWhatWasDeletedBetweenSearchAndLoad) {
  testing::RagWorld world;
  for (int i = 0; i < 400; ++i) add(world, "d" + std::to_string(i), "heron");
  world.index.hold(true);
  // The feed waits in the index; deletes are committed but not applied. 300 exceed the first round of candidates.
  for (int i = 0; i < 200; ++i) {
    ASSERT_TRUE(sync_wait(world.stores.documents().delete_document(world.context.tenant, "d" + std::to_string(i))));
  }
  const auto found = world.search("heron", 150);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->passages.size(), 150U);
  for (const auto& passage : found->passages) EXPECT_GE(std::stoi(passage.document_id.substr(1)), 200);
  world.index.hold(false);
}

TEST(Retriever, OneEngineMayFailInHybridButNotAll) {
  testing::RagWorld world;
  add(world, "a", "heron");
  world.index.dense_down = true;
  ASSERT_EQ(world.search("heron", 5, SearchMode::hybrid)->passages.size(), 1U);
  EXPECT_EQ(world.trace.degraded(), std::vector<std::string>{"dense_search"});
  EXPECT_DOUBLE_EQ(world.search("heron", 5, SearchMode::hybrid)->passages[0].score, 1.0);
  world.index.lexical_down = true;
  EXPECT_EQ(world.search("heron", 5, SearchMode::hybrid).error().code, base::Code::unavailable);
  world.index.dense_down = false;
  ASSERT_EQ(world.search("heron", 5, SearchMode::hybrid)->passages.size(), 1U);
  EXPECT_EQ(world.search("heron", 5, SearchMode::lexical).error().name, "LEXICAL_DOWN");
}

TEST(Retriever, AFailingEmbedderDegradesHybridAndFailsDense) {
  testing::RagWorld world;
  add(world, "a", "heron");
  world.embedder.fail = true;
  EXPECT_EQ(world.search("heron", 5, SearchMode::hybrid)->passages.size(), 1U);
  EXPECT_EQ(world.trace.degraded(), std::vector<std::string>{"dense_search"});
  EXPECT_EQ(world.search("heron", 5, SearchMode::dense).error().name, "EMBEDDER_DOWN");
}

TEST(Retriever, WithoutTimeForDenseTheWordsAnswer) {
  testing::RagWorld world;
  add(world, "a", "heron");
  world.context.deadline = world.clock.now() + base::Millis(4);  // below the reserve
  const auto found = world.search("heron", 5, SearchMode::hybrid);
  ASSERT_TRUE(found) << found.error().name;
  EXPECT_EQ(found->passages.size(), 1U);
  EXPECT_EQ(world.trace.degraded(), std::vector<std::string>{"dense_search"});
  world.clock.advance(base::Millis(4));
  EXPECT_EQ(world.search("heron").error().code, base::Code::deadline);
}

TEST(Retriever, AnIndexThatDoesNotServeIsNoEmptyResult) {
  testing::RagWorld world;
  add(world, "a", "heron");
  {
    const std::lock_guard lock(world.index.mutex);
    world.index.fail_applies = 1000;
  }
  IngestRequest request;
  request.bytes = "stork";
  EXPECT_EQ(world.take_in(request).error().name, "INDEX_FAILED");
  EXPECT_EQ(world.search("heron").error().name, "INDEX_FAILED");
}

TEST(Retriever, RefusesBadRequestsAndForeignTenants) {
  testing::RagWorld world;
  add(world, "a", "heron");
  EXPECT_EQ(world.search(" ").error().name, "EMPTY_QUERY");
  EXPECT_TRUE(world.search("heron", 0)->passages.empty());
  EXPECT_EQ(world.search("heron", 100000).error().name, "INVALID_TOP_K");
  EXPECT_EQ(world.search(std::string(40000, 'x')).error().name, "QUERY_TOO_LARGE");
  world.context.tenant = {"other"};
  EXPECT_EQ(world.search("heron").error().name, "COLLECTION_NOT_FOUND");
}

TEST(Retriever, FusesAsItIsTold) {
  testing::RagWorld world;
  add(world, "a", "heron one");
  add(world, "b", "stork two");
  core::RetrievalRequest request;
  request.collection = {world.context.tenant, "default"};
  request.query = "heron";
  for (const auto kind : {Fusion::scores, Fusion::reciprocal_rank}) {
    RetrieverOptions options;
    options.fusion = {kind, 0, 60};  // words alone decide
    HybridRetriever retriever(
        {world.stores.documents(), world.index, world.feed, world.embedders, world.pool, world.clock}, options);
    const auto found = sync_wait(retriever.retrieve(world.context, request));
    ASSERT_TRUE(found);
    ASSERT_EQ(found->passages.size(), 2U);
    EXPECT_EQ(found->passages[0].document_id, "a");
    EXPECT_DOUBLE_EQ(found->passages[0].score, 1);
    EXPECT_DOUBLE_EQ(found->passages[1].score, 0);  // by meaning only, which weighs nothing
  }
}

TEST(Retriever, LargeCollectionsAreSearchedOnThePool) {
  testing::RagWorld world;
  add(world, "a", "heron");
  RetrieverOptions options;
  options.inline_chunks = 0;
  HybridRetriever pooled({world.stores.documents(), world.index, world.feed, world.embedders, world.pool, world.clock},
                         options);
  core::RetrievalRequest request;
  request.collection = {world.context.tenant, "default"};
  request.query = "heron";
  const auto found = sync_wait(pooled.retrieve(world.context, request));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->passages.size(), 1U);
  world.pool.stop();
  EXPECT_EQ(sync_wait(pooled.retrieve(world.context, request)).error().code, base::Code::unavailable);
}

core::RetrievalRequest hybrid_request(const testing::RagWorld& world, const std::string& query, size_t top_k = 5) {
  core::RetrievalRequest request;
  request.collection = {world.context.tenant, "default"};
  request.query = query;
  request.top_k = top_k;
  return request;
}

std::vector<std::string> ids_of(const base::Result<core::RetrievalResult>& found) {
  std::vector<std::string> ids;
  if (!found) return {found.error().name};
  for (const auto& passage : found->passages) ids.push_back(passage.document_id);
  return ids;
}

/// Passages that hold the word "pearl" are all that is asked for.
class PearlMatcher final : public core::TokenMatcher {
 public:
  [[nodiscard]] core::MatchTokens read(std::string_view text) const override {
    ++reads;
    return {static_cast<uint16_t>(text.find("pearl") != std::string_view::npos)};
  }
  [[nodiscard]] std::vector<core::TokenMatch> match(std::string_view,
                                                    std::span<const core::MatchTokens* const> texts) const override {
    std::vector<core::TokenMatch> matches;
    for (const auto* text : texts) {
      const bool pearl = !text->empty() && text->front() == 1;
      matches.push_back({pearl ? 1.0F : 0.0F, pearl ? 1.0F : 0.0F});
    }
    return matches;
  }

  mutable std::atomic<int> reads{0};
};

TEST(Retriever, ReadsAChunkOnceToRerankIt) {
  testing::RagWorld world;
  const PearlMatcher matcher;
  world.embedder.matcher = &matcher;
  add(world, "a", "heron heron heron");
  add(world, "b", "heron pearl and many other words besides");
  const auto request = hybrid_request(world, "heron");
  const std::vector<std::string> expected{"b", "a"};
  EXPECT_EQ(ids_of(sync_wait(world.retriever.retrieve(world.context, request))), expected);
  EXPECT_EQ(ids_of(sync_wait(world.retriever.retrieve(world.context, request))), expected);
  EXPECT_EQ(matcher.reads, 2);
  add(world, "b", "heron without it");
  add(world, "a", "heron pearl");
  EXPECT_EQ(ids_of(sync_wait(world.retriever.retrieve(world.context, request))), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(matcher.reads, 4);
}

TEST(Retriever, ReranksHybridSearchOnly) {
  testing::RagWorld world;
  const PearlMatcher matcher;
  add(world, "a", "heron heron heron");
  add(world, "b", "heron pearl and many other words besides");
  auto request = hybrid_request(world, "heron");
  EXPECT_EQ(ids_of(sync_wait(world.retriever.retrieve(world.context, request))).front(), "a");
  request.ranking.rerank = true;
  EXPECT_EQ(ids_of(sync_wait(world.retriever.retrieve(world.context, request))),
            std::vector<std::string>{"RERANK_NOT_AVAILABLE"});
  world.embedder.matcher = &matcher;
  EXPECT_EQ(ids_of(sync_wait(world.retriever.retrieve(world.context, request))), (std::vector<std::string>{"b", "a"}));
  request.ranking.rerank = false;
  EXPECT_EQ(ids_of(sync_wait(world.retriever.retrieve(world.context, request))).front(), "a");
  request.ranking.rerank.reset();
  request.mode = SearchMode::lexical;
  EXPECT_EQ(ids_of(sync_wait(world.retriever.retrieve(world.context, request))).front(), "a");
}

TEST(Retriever, RerankingIsLeftOutWhenTheTimeIsShort) {
  testing::RagWorld world;
  const PearlMatcher matcher;
  world.embedder.matcher = &matcher;
  add(world, "a", "heron");
  world.embedder.on_embed = [&](const core::RequestContext&) { world.clock.advance(base::Millis(97)); };
  world.context.deadline = world.clock.now() + base::Millis(100);
  EXPECT_EQ(world.search("heron", 5, SearchMode::hybrid)->passages.size(), 1U);
  EXPECT_THAT(world.trace.degraded(), ::testing::Contains("rerank"));
}

TEST(Retriever, RefusesRankingsThatMakeNoSense) {
  testing::RagWorld world;
  add(world, "a", "heron");
  const auto refused = [&](auto change) {
    auto request = hybrid_request(world, "heron");
    change(request);
    const auto found = sync_wait(world.retriever.retrieve(world.context, request));
    return found ? "accepted" : found.error().param;
  };
  EXPECT_EQ(refused([](auto& request) { request.ranking.dense_weight = -1; }), "dense_weight");
  EXPECT_EQ(refused([](auto& request) { request.ranking.dense_weight = std::nan(""); }), "dense_weight");
  EXPECT_EQ(refused([](auto& request) { request.ranking.rank_constant = 1e9; }), "rank_constant");
  EXPECT_EQ(refused([](auto& request) { request.ranking.neighbours = 9; }), "neighbours");
  EXPECT_EQ(refused([](auto& request) {
              request.mode = SearchMode::dense;
              request.ranking.fusion = core::Fusion::scores;
            }),
            "fusion");
  EXPECT_EQ(refused([](auto& request) {
              request.mode = SearchMode::lexical;
              request.ranking.rerank = true;
            }),
            "rerank");
  EXPECT_EQ(refused([](auto& request) {
              request.ranking.fusion = core::Fusion::reciprocal_rank;
              request.ranking.rank_constant = 10;
            }),
            "accepted");
}

/// What is left out is made up for by the next best, also beyond the first candidates.
TEST(Retriever, DuplicatesAreReplacedByTheNextBest) {
  testing::RagWorld world;
  for (int i = 0; i < 150; ++i) add(world, "copy" + std::to_string(i), "heron heron heron");
  for (int i = 0; i < 6; ++i) add(world, "other" + std::to_string(i), "heron among others " + std::to_string(i));
  auto request = hybrid_request(world, "heron", 5);
  request.mode = SearchMode::lexical;
  EXPECT_EQ(sync_wait(world.retriever.retrieve(world.context, request))->passages.size(), 5U);
  for (const auto kind : {core::Duplicates::same, core::Duplicates::near}) {
    request.ranking.duplicates = kind;
    const auto ids = ids_of(sync_wait(world.retriever.retrieve(world.context, request)));
    ASSERT_EQ(ids.size(), 5U);
    EXPECT_TRUE(ids[0].starts_with("copy"));
    for (size_t i = 1; i < 5; ++i) EXPECT_TRUE(ids[i].starts_with("other")) << ids[i];
  }
  request.ranking.duplicates.reset();
  request.reader = core::Reader::model;
  EXPECT_EQ(ids_of(sync_wait(world.retriever.retrieve(world.context, request)))[1].substr(0, 5), "other");
}

/// A long document of which every chunk matches.
void add_long(testing::RagWorld& world, const std::string& id, int sentences) {
  std::string text;
  for (int i = 0; i < sentences; ++i) {
    text += "The heron of " + id + " waits at place number " + std::to_string(i) + " of the river and fishes.\n\n";
  }
  add(world, id, text);
}

TEST(Retriever, ADocumentsShareIsBounded) {
  testing::RagWorld world;
  add_long(world, "long", 400);
  for (int i = 0; i < 4; ++i)
    add(world, "d" + std::to_string(i), "a heron among many other birds " + std::to_string(i));
  auto request = hybrid_request(world, "heron place river", 5);
  request.ranking.per_document = 2;
  const auto ids = ids_of(sync_wait(world.retriever.retrieve(world.context, request)));
  EXPECT_EQ(ids.size(), 5U);
  EXPECT_EQ(std::ranges::count(ids, "long"), 2);
}

TEST(Retriever, NeighboursJoinIntoPassagesOfTheDocument) {
  testing::RagWorld world;
  add_long(world, "long", 200);
  const auto document = *sync_wait(world.stores.documents().load_document(world.context.tenant, "long"));
  auto request = hybrid_request(world, "place number 100", 3);
  const auto plain = *sync_wait(world.retriever.retrieve(world.context, request));
  for (const size_t neighbours : {1U, 2U, 8U}) {
    request.ranking.neighbours = neighbours;
    const auto found = *sync_wait(world.retriever.retrieve(world.context, request));
    EXPECT_GT(found.passages[0].text.size(), plain.passages[0].text.size());
    for (const auto& passage : found.passages) {
      EXPECT_EQ(passage.text, document.text.substr(static_cast<size_t>(passage.start), passage.text.size()));
      EXPECT_EQ(passage.end - passage.start, static_cast<int64_t>(passage.text.size()));
    }
  }
}

}  // namespace
}  // namespace tessera::rag
