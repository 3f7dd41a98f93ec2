#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <filesystem>

#include "async/run_blocking.h"
#include "index/index_model.h"
#include "index/retrieval_index.h"
#include "rag/retriever.h"
#include "rag/testing/fakes.h"
#include "store/memory/memory_store.h"

// The whole way of a hybrid search (store, feed, index, fusion, selection) beside the plain model of the index and the
// definitions of fusion and selection. The engine's scores may differ from the model's in the last digits, which turns
// near-ties round; so the model works with intervals: a result is right if some scores within them make it so.
namespace tessera::index {
namespace {

using async::sync_wait;
using core::Fusion;
using core::IndexHit;
using core::SearchMode;

constexpr size_t kDimensions = 16;  // of the fake embedder
constexpr size_t kCandidates = 25;  // few, so that the engines' lists are cut

/// Tells the model what it tells the index; the index can be closed and opened beneath it.
class Recorder final : public core::RetrievalIndex {
 public:
  base::Result<> apply(const core::StoreChange& change) override {
    model.apply(change);
    return real->apply(change);
  }
  [[nodiscard]] int64_t applied_sequence() const override { return real->applied_sequence(); }
  [[nodiscard]] base::Result<std::vector<IndexHit>> search_lexical(const core::IndexQuery& query) const override {
    return real->search_lexical(query);
  }
  [[nodiscard]] base::Result<std::vector<IndexHit>> search_dense(const core::IndexQuery& query) const override {
    return real->search_dense(query);
  }
  [[nodiscard]] core::IndexStats stats(int64_t collection_id) const override { return real->stats(collection_id); }
  [[nodiscard]] core::IndexStats total_stats() const override { return real->total_stats(); }
  [[nodiscard]] size_t dimensions(int64_t collection_id) const override { return real->dimensions(collection_id); }
  base::Result<> save() override { return crashing ? base::Result<>() : real->save(); }
  void clear() override {
    model.clear();
    real->clear();
  }

  std::unique_ptr<core::RetrievalIndex> real;
  IndexModel model;
  std::atomic<bool> crashing = false;  ///< nothing is saved any more
};

struct Interval {
  double low = 0;
  double high = 0;
};

/// What a chunk can have come to.
struct Chance {
  Interval score;
  bool possible = false;  ///< may be in the ranking
  bool certain = false;   ///< must be
};

/// One engine's list, of which the first `cut` are given, as far as the tolerance leaves it open.
class ListModel {
 public:
  ListModel(std::vector<IndexHit> hits, size_t cut, double tolerance)
      : hits_(std::move(hits)), cut_(cut), tolerance_(tolerance) {
    for (size_t i = 0; i < hits_.size(); ++i) places_[hits_[i].chunk_key] = i;
  }
  [[nodiscard]] size_t size() const { return hits_.size(); }
  [[nodiscard]] const std::vector<IndexHit>& hits() const { return hits_; }
  [[nodiscard]] double tolerance() const { return tolerance_; }

  /// `score(value, rank)` for the intervals of both; what is beyond the cut gets nothing.
  template <class Score>
  [[nodiscard]] Chance chance(int64_t key, Score score) const {
    const auto at = places_.find(key);
    if (at == places_.end()) return {};
    const double value = hits_[at->second].score;
    size_t above = 0;
    size_t level = 0;
    for (const IndexHit& hit : hits_) {
      above += hit.score > value + tolerance_ ? 1 : 0;
      level += hit.score >= value - tolerance_ ? 1 : 0;
    }
    Chance chance{score(Interval{value - tolerance_, value + tolerance_}, above, level - 1), above < cut_,
                  level <= cut_};
    if (!chance.possible) chance.score.high = 0;
    if (!chance.certain) chance.score.low = 0;
    return chance;
  }

 private:
  std::vector<IndexHit> hits_;
  size_t cut_;
  double tolerance_;
  std::map<int64_t, size_t> places_;
};

/// The scale of fusion by scores: 0 at the floor, 1 at the best.
Interval scaled(Interval value, Interval floor, Interval best) {
  const auto part = [](double x, double from, double to) {
    return to > from ? std::clamp((x - from) / (to - from), 0.0, 1.0) : 1.0;
  };
  if (best.low <= floor.high) return {0, 1};
  return {std::min(part(value.low, floor.low, best.high), part(value.low, floor.high, best.high)),
          std::max(part(value.high, floor.low, best.low), part(value.high, floor.high, best.low))};
}

/// All that a search has to do with, and its rules.
class SearchModel {
 public:
  SearchModel(const core::RetrievalRequest& request, const IndexModel& index, core::IndexQuery query, size_t cut)
      : request_(request), cut_(cut) {
    if (request.mode != SearchMode::dense) lexical_.emplace(index.lexical(query), cut, 1e-3);
    const bool aimless = std::ranges::all_of(query.vector, [](float x) { return x == 0; });
    const bool words = request.mode == SearchMode::hybrid && lexical_->size() > 0;
    if (request.mode != SearchMode::lexical && !(aimless && words)) dense_.emplace(index.dense(query), cut, 2e-4);
  }

  /// The engines had more to give than they were asked for.
  [[nodiscard]] bool cut_short() const {
    return (lexical_ && lexical_->size() >= cut_) || (dense_ && dense_->size() >= cut_);
  }

  [[nodiscard]] Chance chance(int64_t key) const {
    if (!lexical_ || !dense_) {
      const ListModel& only = lexical_ ? *lexical_ : *dense_;
      if (request_.mode == SearchMode::lexical)
        return only.chance(key, [](Interval s, size_t, size_t) {
          return Interval{std::max(0.0, s.low) / (std::max(0.0, s.low) + 5), s.high / (s.high + 5)};
        });
      if (request_.mode == SearchMode::dense)
        return only.chance(key, [](Interval s, size_t, size_t) {
          return Interval{std::clamp(s.low, 0.0, 1.0), std::clamp(s.high, 0.0, 1.0)};
        });
      return lexical_ ? lexical_chance(key) : dense_chance(key);
    }
    const double weight = request_.ranking.dense_weight.value_or(rag::FusionOptions().dense_weight);
    const Chance words = lexical_chance(key);
    const Chance meaning = dense_chance(key);
    return {{(words.score.low + weight * meaning.score.low) / (1 + weight),
             (words.score.high + weight * meaning.score.high) / (1 + weight)},
            words.possible || meaning.possible,
            words.certain || meaning.certain};
  }

  [[nodiscard]] std::map<int64_t, int64_t> documents_of_chunks() const {
    std::map<int64_t, int64_t> found;
    for (const auto* list : {&lexical_, &dense_}) {
      if (!*list) continue;
      for (const IndexHit& hit : (*list)->hits()) found[hit.chunk_key] = hit.document_key;
    }
    return found;
  }

 private:
  [[nodiscard]] Interval by_rank(size_t first, size_t last) const {
    const double constant = request_.ranking.rank_constant.value_or(rag::FusionOptions().rank_constant);
    const auto at = [&](size_t place) { return (constant + 1) / (constant + static_cast<double>(place) + 1); };
    return {at(last), at(first)};
  }
  [[nodiscard]] bool ranks() const { return request_.ranking.fusion == Fusion::reciprocal_rank; }

  [[nodiscard]] Chance lexical_chance(int64_t key) const {
    return lexical_->chance(key, [&](Interval value, size_t first, size_t last) {
      const double best = lexical_->hits().front().score;
      return ranks() ? by_rank(first, last)
                     : scaled(value, {0, 0}, {best - lexical_->tolerance(), best + lexical_->tolerance()});
    });
  }
  [[nodiscard]] Chance dense_chance(int64_t key) const {
    return dense_->chance(key, [&](Interval value, size_t first, size_t last) {
      if (ranks()) return by_rank(first, last);
      const auto& hits = dense_->hits();
      const double e = dense_->tolerance();
      const size_t depth = std::min<size_t>({hits.size(), cut_, 100});
      const double lowest = hits[depth - 1].score;
      const double floor = std::min(lowest, lowest * static_cast<double>(depth) / 100);
      return scaled(value, {floor - e, floor + e}, {hits.front().score - e, hits.front().score + e});
    });
  }

  const core::RetrievalRequest& request_;
  size_t cut_;
  std::optional<ListModel> lexical_;
  std::optional<ListModel> dense_;
};

bool repeats(core::Duplicates kind, const std::string& before, const std::string& text) {
  rag::DuplicateFilter filter(kind);
  static_cast<void>(filter.repeats(before));
  return filter.repeats(text);
}

using Texts = std::map<int64_t, std::string>;  // of all chunks, by key

/// What is wrong with the passages by themselves: scores, order, shares, duplicates.
std::string wrong_inside(const core::RetrievalRequest& request, const SearchModel& model, const Texts& texts,
                         const std::vector<core::Passage>& got) {
  const core::Duplicates duplicates = request.ranking.duplicates.value_or(core::Duplicates::keep);
  const size_t share = request.ranking.per_document.value_or(0);
  if (got.size() > request.top_k) return "more than were asked for";
  std::map<int64_t, size_t> of_document;
  for (size_t i = 0; i < got.size(); ++i) {
    const core::Passage& each = got[i];
    const Chance chance = model.chance(each.chunk_key);
    if (!chance.possible) return fmt::format("place {} is no match", i);
    if (each.score < chance.score.low - 1e-6 || each.score > chance.score.high + 1e-6) {
      return fmt::format("place {} has {}, not {} to {}", i, each.score, chance.score.low, chance.score.high);
    }
    if (i > 0 && each.score > got[i - 1].score) return fmt::format("place {} is better than the one before", i);
    if (request.min_score && each.score < *request.min_score) return fmt::format("place {} is below the least", i);
    if (each.text != texts.at(each.chunk_key)) return fmt::format("place {} has another text", i);
    if (share > 0 && ++of_document[each.document_key] > share) return fmt::format("place {} is over its share", i);
    for (size_t before = 0; before < i; ++before) {
      if (got[before].chunk_key == each.chunk_key) return fmt::format("place {} comes twice", i);
      if (repeats(duplicates, got[before].text, each.text)) return fmt::format("place {} repeats {}", i, before);
    }
  }
  return {};
}

/// Whether a match is missing that had to be there.
std::string wrong_outside(const core::RetrievalRequest& request, const SearchModel& model, const Texts& texts,
                          const std::vector<core::Passage>& got) {
  const core::Duplicates duplicates = request.ranking.duplicates.value_or(core::Duplicates::keep);
  const size_t share = request.ranking.per_document.value_or(0);
  for (const auto& [key, document] : model.documents_of_chunks()) {
    const Chance chance = model.chance(key);
    const double low = chance.score.low - 1e-6;
    if (!chance.certain || (request.min_score && low < *request.min_score + 2e-6)) continue;
    if (got.size() == request.top_k && (got.empty() || low <= got.back().score)) continue;
    size_t siblings = 0;
    bool excused = false;
    for (const core::Passage& each : got) {
      if (each.score < low) continue;
      excused = excused || each.chunk_key == key || repeats(duplicates, each.text, texts.at(key));
      siblings += each.document_key == document ? 1 : 0;
    }
    if (excused || (share > 0 && siblings >= share)) continue;
    return fmt::format("chunk {} of at least {} is missing", key, low);
  }
  return {};
}

/// The engines are asked for more as long as too little comes of it; nothing if one of these rounds explains the
/// result.
std::string wrong(const core::RetrievalRequest& request, const IndexModel& index, const core::IndexQuery& query,
                  const Texts& texts, const std::vector<core::Passage>& got) {
  std::string why;
  size_t cut = std::max(kCandidates, 4 * request.top_k);
  for (int round = 0; round < 6; ++round, cut *= 4) {
    const SearchModel model(request, index, query, cut);
    std::string now = wrong_inside(request, model, texts, got);
    if (now.empty()) now = wrong_outside(request, model, texts, got);
    const bool more = model.cut_short();
    if (now.empty() && got.size() < request.top_k && more && !request.min_score) now = "there was more to look at";
    if (now.empty()) return {};
    why += fmt::format("of {}: {}\n", cut, now);
    if (!more) break;
  }
  return why;
}

class HybridWorld {
 public:
  explicit HybridWorld(uint64_t seed)
      : random(seed, kDimensions),
        directory_(std::filesystem::path(::testing::TempDir()) / fmt::format("hybrid_model_{}", seed)) {
    std::filesystem::remove_all(directory_);
    context.tenant = {"app"};
    for (const std::string& name : kNames) {
      core::CollectionSettings settings;
      settings.stemming = name == kNames[1];
      EXPECT_TRUE(sync_wait(documents().create_collection({context.tenant, name}, settings)));
    }
    open();
  }
  ~HybridWorld() {
    close();
    std::filesystem::remove_all(directory_);
  }

  void put(const std::string& collection, const std::string& id) {
    core::DocumentWrite write = *random.put(0, 0, 0, random.below(6)).document;
    write.collection = {context.tenant, collection};
    write.document.head.document_id = id;
    write.document.head.content_hash = fmt::format("hash{}", ++writes_);
    write.document.text.clear();
    std::vector<std::string> texts;
    for (core::Chunk& chunk : write.chunks) {
      texts.push_back(chunk_text());
      chunk.start = static_cast<int64_t>(write.document.text.size());
      write.document.text += texts.back();
      chunk.end = static_cast<int64_t>(write.document.text.size());
    }
    const std::vector<std::string_view> views(texts.begin(), texts.end());
    write.vectors = sync_wait(embedder.embed(context, views))->values;
    write.dimensions = kDimensions;
    ids[id] = collection;
    ASSERT_TRUE(sync_wait(documents().put_document(std::move(write))));
  }
  void remove(const std::string& id) {
    ASSERT_TRUE(sync_wait(documents().delete_document(context.tenant, id)));
    ids.erase(id);
  }
  void drop(const std::string& name) {
    ASSERT_TRUE(sync_wait(documents().drop_collection({context.tenant, name})));
    ASSERT_TRUE(sync_wait(documents().create_collection({context.tenant, name}, {})));
    std::erase_if(ids, [&](const auto& each) { return each.second == name; });
  }
  /// `crash`: as after a kill, with what was saved before.
  void reopen(bool crash) {
    index.crashing = crash;
    feed_->stop();
    for (uint64_t more = random.below(4); more > 0; --more) {  // told by the replay alone
      const std::string name = some_name();
      put(name, fmt::format("late{}_{}", random.below(9), name));
    }
    close();
    open();
  }
  void save() { ASSERT_TRUE(index.save()); }

  /// A search of any kind, compared; returns how many passages came.
  size_t search() {
    core::RetrievalRequest request = make_request();
    EXPECT_TRUE(sync_wait(feed_->wait_current()));
    const auto found = sync_wait(retriever_->retrieve(context, request));
    if (!found) {
      ADD_FAILURE() << found.error().name << " " << found.error().message;
      return 0;
    }
    const std::string_view text = request.query;
    const auto vector = sync_wait(embedder.embed(context, std::span(&text, 1)));
    core::IndexQuery query;
    query.collection_id = sync_wait(documents().find_collection(request.collection))->id;
    query.text = request.query;
    query.vector = vector->values;
    query.filter = request.filter ? &*request.filter : nullptr;
    EXPECT_EQ(wrong(request, index.model, query, all_texts(), found->passages), "") << "query " << request.query;
    return found->passages.size();
  }
  std::string some_name() { return kNames[random.below(kNames.size())]; }
  core::DocumentStore& documents() { return stores_.documents(); }

  IndexWorld random;
  Recorder index;
  rag::testing::FakeEmbedder embedder;
  core::RequestContext context;
  std::map<std::string, std::string> ids;  ///< live documents, and their collections

 private:
  static inline const std::vector<std::string> kNames = {"one", "two"};

  void open() {
    IndexOptions options;
    options.directory = directory_;
    options.compact_rows_min = 40;
    options.freeze_rows = 40;
    options.graph_rows = 100;
    options.scanned_rows_max = 50;
    index.crashing = false;
    index.real = create_retrieval_index(options, *log_).value();
    feed_ = std::make_unique<rag::IndexFeed>(documents(), index, *log_);
    rag::RetrieverOptions ranking;
    ranking.candidates_min = kCandidates;
    retriever_ = std::make_unique<rag::HybridRetriever>(
        rag::RetrieverParts{documents(), index, *feed_, embedders_, pool_, clock_}, ranking);
    EXPECT_TRUE(feed_->start());
    EXPECT_TRUE(sync_wait(feed_->wait_ready()));
  }
  void close() {
    feed_->stop();
    retriever_.reset();
    feed_.reset();
    index.real.reset();
  }

  /// New words, or what was said before, as it was or nearly.
  std::string chunk_text() {
    if (random.below(30) == 0) return "?! ";
    if (random.below(3) != 0 || said_.empty()) return said_.emplace_back(random.words(5 + random.below(40)));
    std::string text = said_[random.below(said_.size())];
    if (random.below(2) == 0) std::ranges::transform(text, text.begin(), [](char c) { return std::toupper(c); });
    if (random.below(3) == 0) text = random.words(1) + text;
    return text;
  }

  core::RetrievalRequest make_request() {
    core::RetrievalRequest request;
    request.collection = {context.tenant, some_name()};
    request.query = random.below(30) == 0 ? "?!" : random.words(1 + random.below(6));
    constexpr size_t kSome[] = {0, 1, 3, 5, 10, 40, 1000};
    request.top_k = kSome[random.below(std::size(kSome))];
    const uint64_t mode = random.below(6);
    request.mode = mode == 0 ? SearchMode::lexical : mode == 1 ? SearchMode::dense : SearchMode::hybrid;
    if (request.mode != SearchMode::lexical) request.recall = 1;  // a walk may miss some
    if (random.below(2) == 0) request.filter = random.filter();
    if (random.below(5) == 0) request.min_score = static_cast<double>(random.below(10)) / 10;
    if (request.mode == SearchMode::hybrid) {
      request.ranking.fusion = random.below(2) == 0 ? Fusion::scores : Fusion::reciprocal_rank;
      if (random.below(2) == 0) request.ranking.dense_weight = static_cast<double>(random.below(5)) / 2;
      if (random.below(3) == 0) request.ranking.rank_constant = static_cast<double>(random.below(80));
    }
    constexpr core::Duplicates kKinds[] = {core::Duplicates::keep, core::Duplicates::same, core::Duplicates::near};
    request.ranking.duplicates = kKinds[random.below(3)];
    request.ranking.per_document = random.below(4);
    return request;
  }

  Texts all_texts() {
    Texts texts;
    for (const auto& [id, collection] : ids) {
      const std::string all = sync_wait(documents().load_document(context.tenant, id))->text;
      for (const core::Chunk& chunk : *sync_wait(documents().load_chunks(context.tenant, id))) {
        texts[chunk.key] = all.substr(static_cast<size_t>(chunk.start), static_cast<size_t>(chunk.end - chunk.start));
      }
    }
    return texts;
  }

  std::filesystem::path directory_;
  base::ManualClock clock_;
  store::MemoryStore stores_{clock_};
  std::unique_ptr<base::Logger> log_ = base::silent_logger();
  rag::EmbedderTable embedders_{{&embedder}};
  async::BlockingPool pool_{{.name = "test", .threads = 1}};
  std::unique_ptr<rag::IndexFeed> feed_;
  std::unique_ptr<rag::HybridRetriever> retriever_;
  std::vector<std::string> said_;
  int writes_ = 0;
};

/// Another seed: --gtest_random_seed=N.
std::vector<uint64_t> seeds() {
  const int given = GTEST_FLAG_GET(random_seed);
  if (given > 0) return {static_cast<uint64_t>(given)};
  return {1, 2, 3, 4};
}

TEST(HybridSearch, RandomOperationsAgreeWithTheModel) {
  for (const uint64_t seed : seeds()) {
    if (HasFailure()) break;
    SCOPED_TRACE("seed " + std::to_string(seed));
    HybridWorld world(seed);
    size_t passages = 0;
    for (int step = 0; step < 700 && !HasFailure(); ++step) {
      const auto some_id = [&] { return std::next(world.ids.begin(), world.random.below(world.ids.size()))->first; };
      const uint64_t dice = world.random.below(100);
      if (dice < 25 || world.ids.empty()) {
        world.put(world.some_name(), "d" + std::to_string(step));
      } else if (dice < 35) {
        const std::string id = some_id();
        world.put(world.ids.at(id), id);
      } else if (dice < 45) {
        world.remove(some_id());
      } else if (dice == 45 && world.random.below(4) == 0) {
        world.drop(world.some_name());
      } else if (dice < 49) {
        world.save();
      } else if (dice < 52) {
        world.reopen(world.random.below(2) == 0);
      } else {
        passages += world.search();
      }
    }
    EXPECT_GT(passages, 1000U);
  }
}

}  // namespace
}  // namespace tessera::index
