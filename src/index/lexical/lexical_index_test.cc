#include "index/lexical/lexical_index.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <array>
#include <map>
#include <random>
#include <unordered_map>

#include "index/collection_index.h"
#include "index/index_model.h"
#include "index/lexical/analyzer.h"

namespace tessera::index {
namespace {

TEST(Dictionary, NumbersTermsInOrderOfArrival) {
  Dictionary dictionary;
  std::unordered_map<std::string, uint32_t> model;
  std::mt19937_64 random(1);
  for (int i = 0; i < 30000; ++i) {
    const std::string term = fmt::format("t{}", random() % 9000);
    const auto expected = model.emplace(term, static_cast<uint32_t>(model.size())).first->second;
    ASSERT_EQ(dictionary.insert(term), expected);
  }
  ASSERT_EQ(dictionary.size(), model.size());
  for (const auto& [term, id] : model) {
    ASSERT_EQ(dictionary.find(term), id);
    ASSERT_EQ(dictionary.term(id), term);
  }
  EXPECT_EQ(dictionary.find("unknown"), Dictionary::kNone);
  EXPECT_EQ(dictionary.find(""), Dictionary::kNone);
}

TEST(PostingList, GivesBackWhatWasAppendedAtEveryWidth) {
  for (unsigned bits = 0; bits <= 31; ++bits) {
    std::mt19937_64 random(bits);
    PostingList list;
    std::vector<std::pair<Row, uint32_t>> model;
    uint64_t row = random() % 2;  // row 0 is legal
    const uint64_t span = uint64_t{1} << bits;
    while (model.size() < 1000 && row < 0x7FFFFFFF) {
      const auto tf = static_cast<uint32_t>(1 + random() % (bits == 31 ? 0xFFFFFFFF : span));
      list.append(static_cast<Row>(row), tf, 5);
      model.emplace_back(row, tf);
      row += 1 + random() % span;
    }
    ASSERT_EQ(list.size(), model.size());
    size_t at = 0;
    alignas(16) std::array<Row, kBlockPostings> rows;
    alignas(16) std::array<uint32_t, kBlockPostings> tfs;
    for (size_t block = 0; block < list.blocks(); ++block) {
      const size_t count = list.decode(block, rows.data(), tfs.data());
      for (size_t i = 0; i < count; ++i, ++at) {
        ASSERT_EQ(rows[i], model[at].first) << "bits " << bits << " at " << at;
        ASSERT_EQ(tfs[i], model[at].second) << "bits " << bits << " at " << at;
        ASSERT_LE(tfs[i], list.bound(block).tf_max);
      }
      ASSERT_EQ(list.last_row(block), model[at - 1].first);
    }
    ASSERT_EQ(at, model.size());
  }
}

TEST(PostingList, AssignTakesSoundListsOnly) {
  PostingList list;
  std::vector<uint32_t> lengths(1000, 7);
  for (Row row = 0; row < 600; row += 2) list.append(row, 1 + row % 5, 7);
  const std::vector<PostingList::Block> sealed(list.sealed().begin(), list.sealed().end());
  const std::vector<uint32_t> words(list.words().begin(), list.words().end());
  const std::vector<Posting> tail(list.tail().begin(), list.tail().end());
  ASSERT_TRUE(PostingList().assign(sealed, words, tail, lengths));
  EXPECT_FALSE(PostingList().assign(sealed, words, tail, std::span(lengths).first(500)));  // rows that do not exist
  EXPECT_FALSE(PostingList().assign(sealed, std::span(words).first(words.size() - 1), tail, lengths));
  auto bad = sealed;
  bad[1].gap_bits = 40;
  EXPECT_FALSE(PostingList().assign(bad, words, tail, lengths));
  bad = sealed;
  bad[0].tf_max = 2;  // a bound that would prune wrongly
  EXPECT_FALSE(PostingList().assign(bad, words, tail, lengths));
  auto unordered = tail;
  std::swap(unordered[0], unordered[1]);
  EXPECT_FALSE(PostingList().assign(sealed, words, unordered, lengths));
}

TEST(CollectionIndex, PruningChangesNoBitOfAnyHit) {
  for (const uint64_t seed : {11, 12, 13, 14}) {
    IndexWorld world(seed, 1);
    CollectionIndex index(false);
    int64_t document = 0;
    while (document < 400) {
      ++document;
      ASSERT_TRUE(index.put(document, *world.put(0, 1, document, 30, 5 + world.below(40)).document));
    }
    for (int64_t gone = 5; gone < document; gone += 7) index.remove(gone);
    for (int round = 0; round < 100; ++round) {
      const std::string text = world.words(1 + world.below(round % 10 == 0 ? 200 : 16));
      const core::Filter filter = world.filter();
      const core::IndexQuery query{1, text, {}, 1 + world.below(100), round % 3 == 0 ? &filter : nullptr};
      const auto pruned = index.search_lexical(query, Pruning::on);
      const auto plain = index.search_lexical(query, Pruning::off);
      ASSERT_EQ(pruned.size(), plain.size());
      for (size_t i = 0; i < plain.size(); ++i) {
        ASSERT_EQ(pruned[i].chunk_key, plain[i].chunk_key) << "seed " << seed << " round " << round << " place " << i;
        ASSERT_EQ(pruned[i].score, plain[i].score);
      }
    }
  }
}

TEST(CollectionIndex, EqualScoresComeByChunkKey) {
  CollectionIndex index(false);
  for (int64_t i = 0; i < 500; ++i) {
    core::DocumentWrite write;
    write.document.text = "same words everywhere";
    write.chunks.push_back({.key = 10000 - i * 3, .document_key = i, .end = 21, .heading_path = ""});
    ASSERT_TRUE(index.put(i, write));
  }
  const auto hits = index.search_lexical({1, "same words", {}, 7, nullptr});
  ASSERT_EQ(hits.size(), 7U);
  for (size_t i = 0; i < hits.size(); ++i) EXPECT_EQ(hits[i].chunk_key, 10000 - 499 * 3 + static_cast<int64_t>(i) * 3);
}

TEST(CollectionIndex, OneDocumentOfManyChunksAppearsAndGoesWhole) {
  IndexWorld world(5, 16);
  CollectionIndex index(false);
  ASSERT_TRUE(index.put(1, *world.put(0, 1, 1, 3000).document));
  EXPECT_EQ(index.stats().chunks, 3000);
  ASSERT_TRUE(index.put(1, *world.put(0, 1, 1, 700).document));
  EXPECT_EQ(index.stats().chunks, 700);
  const auto compact = index.compacted();
  EXPECT_EQ(compact->rows(), 700U);
  EXPECT_EQ(compact->stats().terms, index.stats().terms);
  EXPECT_LT(compact->stats().memory_bytes, index.stats().memory_bytes);
  index.remove(1);
  EXPECT_EQ(index.stats().chunks, 0);
  EXPECT_EQ(index.stats().terms, 0);
  EXPECT_TRUE(index.search_lexical({1, "w1", {}, 7, nullptr}).empty());
}

TEST(Analyzer, StemsWhenAsked) {
  std::vector<std::string> terms;
  const TermSink keep = [&](std::string_view term) { terms.emplace_back(term); };
  analyze("Running Caf\u00e9s", false, keep);
  analyze("Running Caf\u00e9s", true, keep);
  EXPECT_EQ(terms, (std::vector<std::string>{"running", "cafes", "run", "cafe"}));
}

}  // namespace
}  // namespace tessera::index
