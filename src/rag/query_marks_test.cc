#include "rag/query_marks.h"

#include <gtest/gtest.h>

#include "async/run_blocking.h"
#include "base/random.h"
#include "rag/testing/world.h"

namespace tessera::rag {
namespace {

using async::sync_wait;
using core::QuerySyntax;
using core::SearchMode;

TEST(QueryMarks, LeavesTheWordsThatAreLookedFor) {
  EXPECT_EQ(words_of_marked("coffee machine"), "coffee machine");
  EXPECT_EQ(words_of_marked("  +coffee\t-tea  \"the machine\" "), "coffee the machine");
  EXPECT_EQ(words_of_marked("+\"blue whale\" -\"white shark\" orca"), "blue whale orca");
  EXPECT_EQ(words_of_marked("coff* +mach* -te*"), "coff mach");
  EXPECT_EQ(words_of_marked("e-mail c++ - + a"), "e-mail c++ - + a");
  EXPECT_EQ(words_of_marked("one\"two three\"four"), "one two three four");
  EXPECT_EQ(words_of_marked("an \"open quote -not"), "an open quote");
  EXPECT_EQ(words_of_marked("an \"open \"quote\""), "an open  quote");  // the first two quotes are a phrase
  EXPECT_EQ(words_of_marked("-tea -\"green tea\""), "");
  EXPECT_EQ(words_of_marked(""), "");
}

/// Never longer than the query plus a space for each mark, and a query without marks is itself but for white space.
TEST(QueryMarks, AnyBytesAreRead) {
  base::SeededRandom random(5);
  constexpr std::string_view kBytes = "ab \t+-*\"\xC3\xA9\xFF";
  for (int round = 0; round < 20'000; ++round) {
    std::string query;
    const size_t size = random.next() % 24;
    for (size_t i = 0; i < size; ++i) query += kBytes[random.next() % kBytes.size()];
    EXPECT_LE(words_of_marked(query).size(), 2 * query.size());
    std::erase_if(query, [](char c) { return c == '+' || c == '-' || c == '*' || c == '"'; });
    std::string once = words_of_marked(query);
    EXPECT_EQ(words_of_marked(once), once);
    std::erase_if(once, [](char c) { return c == ' '; });
    std::erase_if(query, [](char c) { return c == ' ' || c == '\t'; });
    EXPECT_EQ(once, query);
  }
}

/// The fake index as a reader of -word, which keeps the queries it was asked.
class MarkedIndex final : public core::RetrievalIndex {
 public:
  explicit MarkedIndex(testing::FakeIndex& inner) : inner_(inner) {}
  base::Result<> apply(const core::StoreChange& change) override { return inner_.apply(change); }
  [[nodiscard]] int64_t applied_sequence() const override { return inner_.applied_sequence(); }
  [[nodiscard]] base::Result<std::vector<core::IndexHit>> search_lexical(const core::IndexQuery& query) const override {
    asked = query;
    text = query.text;
    if (!query.operators) return inner_.search_lexical(query);
    core::IndexQuery wanted = query;
    const std::string words = words_of_marked(query.text);
    wanted.text = words;
    auto hits = inner_.search_lexical(wanted);
    const size_t minus = query.text.find(" -");
    if (!hits || minus == std::string_view::npos) return hits;
    wanted.text = query.text.substr(minus + 2);
    TESSERA_TRY(const auto excluded, inner_.search_lexical(wanted));
    std::erase_if(*hits, [&](const core::IndexHit& hit) {
      return std::ranges::find(excluded, hit.chunk_key, &core::IndexHit::chunk_key) != excluded.end();
    });
    return hits;
  }
  [[nodiscard]] base::Result<std::vector<core::IndexHit>> search_dense(const core::IndexQuery& query) const override {
    asked = query;
    return inner_.search_dense(query);
  }
  [[nodiscard]] core::IndexStats stats(int64_t collection_id) const override { return inner_.stats(collection_id); }
  [[nodiscard]] core::IndexStats total_stats() const override { return inner_.total_stats(); }
  [[nodiscard]] size_t dimensions(int64_t collection_id) const override { return inner_.dimensions(collection_id); }
  base::Result<> save() override { return inner_.save(); }
  void clear() override { inner_.clear(); }

  mutable core::IndexQuery asked;
  mutable std::string text;

 private:
  testing::FakeIndex& inner_;
};

/// A request that says little.
struct Asked : core::RetrievalRequest {
  explicit Asked(std::string text, SearchMode how = SearchMode::hybrid) {
    query = std::move(text);
    mode = how;
  }
  Asked marked() && {
    syntax = QuerySyntax::marks;
    return std::move(*this);
  }
  Asked careful(std::optional<double> share, std::optional<size_t> candidates = {}) && {
    recall = share;
    ef = candidates;
    return std::move(*this);
  }
};

struct MarkedWorld : testing::RagWorld {
  MarkedIndex marked{index};
  HybridRetriever reader{{stores.documents(), marked, feed, embedders, pool, clock}};

  void add(const std::string& id, const std::string& text) {
    IngestRequest request;
    request.document_id = id;
    request.bytes = text;
    ASSERT_TRUE(take_in(request));
  }
  /// The documents found, or the error's field.
  std::vector<std::string> find(core::RetrievalRequest request) {
    request.collection = {context.tenant, "default"};
    const auto found = sync_wait(reader.retrieve(context, request));
    if (!found) return {found.error().name + ":" + found.error().param};
    std::vector<std::string> ids;
    for (const auto& passage : found->passages) ids.push_back(passage.document_id);
    return ids;
  }
};

/// Meaning brings back nothing that the marks exclude, also when every other passage is near in meaning.
TEST(QueryMarks, ResultsOfHybridSearchMatchTheMarks) {
  MarkedWorld world;
  world.add("a", "heron");
  world.add("b", "heron pearl");
  world.add("c", "stork");
  using Ids = std::vector<std::string>;
  EXPECT_EQ(world.find(Asked("heron -pearl")).size(), 3U);
  EXPECT_EQ(world.find(Asked("heron -pearl").marked()), Ids{"a"});
  EXPECT_EQ(world.find(Asked("heron -pearl", SearchMode::lexical).marked()), Ids{"a"});
  EXPECT_EQ(world.find(Asked("swan").marked()), Ids{});
  world.index.dense_down = true;
  EXPECT_EQ(world.find(Asked("heron -pearl").marked()), Ids{"a"});
  world.index.dense_down = false;
  world.index.lexical_down = true;
  EXPECT_EQ(world.find(Asked("heron -pearl").marked()), Ids{"LEXICAL_DOWN:"});
  EXPECT_EQ(world.find(Asked("heron")).size(), 3U);
}

TEST(QueryMarks, TheEnginesAreToldWhatTheRequestSays) {
  MarkedWorld world;
  world.add("a", "heron");
  static_cast<void>(world.find(Asked("heron", SearchMode::dense).careful(0.8)));
  EXPECT_EQ(world.marked.asked.recall, 0.8);
  EXPECT_EQ(world.marked.asked.ef, 0U);
  static_cast<void>(world.find(Asked("heron").careful(std::nullopt, 77)));
  EXPECT_EQ(world.marked.asked.recall, 0);
  EXPECT_EQ(world.marked.asked.ef, 77U);
  EXPECT_FALSE(world.marked.asked.operators);
  static_cast<void>(world.find(Asked("her*", SearchMode::lexical).marked()));
  EXPECT_TRUE(world.marked.asked.operators);
  EXPECT_EQ(world.marked.text, "her*");
}

TEST(QueryMarks, RefusesWhatCannotBe) {
  MarkedWorld world;
  world.add("a", "heron");
  const auto refused = [&](core::RetrievalRequest request) { return world.find(std::move(request)).front(); };
  EXPECT_EQ(refused(Asked("heron", SearchMode::dense).marked()), "INVALID_FIELD:syntax");
  EXPECT_EQ(refused(Asked("-heron").marked()), "NOTHING_TO_LOOK_FOR:query");
  EXPECT_EQ(refused(Asked("-heron ++ \"?\"").marked()), "NOTHING_TO_LOOK_FOR:query");
  EXPECT_EQ(refused(Asked("-heron")), "a");
  EXPECT_EQ(refused(Asked("heron", SearchMode::lexical).careful(0.9)), "INVALID_FIELD:recall");
  EXPECT_EQ(refused(Asked("heron", SearchMode::lexical).careful(std::nullopt, 9)), "INVALID_FIELD:ef_search");
  EXPECT_EQ(refused(Asked("heron").careful(0.9, 9)), "INVALID_FIELD:ef_search");
  EXPECT_EQ(refused(Asked("heron").careful(0.4)), "INVALID_FIELD:recall");
  EXPECT_EQ(refused(Asked("heron").careful(1.1)), "INVALID_FIELD:recall");
  EXPECT_EQ(refused(Asked("heron").careful(std::numeric_limits<double>::quiet_NaN())), "INVALID_FIELD:recall");
  EXPECT_EQ(refused(Asked("heron").careful(std::nullopt, 0)), "INVALID_FIELD:ef_search");
  EXPECT_EQ(refused(Asked("heron").careful(std::nullopt, 10'001)), "INVALID_FIELD:ef_search");
  EXPECT_EQ(refused(Asked("heron").careful(1)), "a");
}

}  // namespace
}  // namespace tessera::rag
