#include "rag/selection.h"

#include <gtest/gtest.h>

namespace tessera::rag {
namespace {

/// Document 1: sentences of ten bytes; chunks of two sentences that share one, but the third and fourth are a blank
/// line apart.
const std::string kText = "aaaaaaaa. bbbbbbbb. cccccccc. dddddddd.\n\neeeeeeee. ffffffff.";

core::Passage chunk(int64_t ordinal, int64_t start, int64_t end, const std::string& heading = "H") {
  core::Passage passage;
  passage.chunk_key = 100 + ordinal;
  passage.document_key = 1;
  passage.document_id = "d";
  passage.heading_path = heading;
  passage.ordinal = ordinal;
  passage.start = start;
  passage.end = end;
  passage.text = kText.substr(static_cast<size_t>(start), static_cast<size_t>(end - start));
  return passage;
}

std::vector<core::Passage> chunks() {
  return {chunk(0, 0, 19), chunk(1, 10, 29), chunk(2, 20, 39), chunk(3, 41, 60)};
}

std::vector<core::Passage> join_all(Selection& selection, const std::string* text = &kText) {
  std::vector<core::Passage> joined;
  for (auto& each : selection.take()) joined.push_back(join_parts(std::move(each), text));
  return joined;
}

void expect_of_the_text(const core::Passage& passage) {
  EXPECT_EQ(passage.text, kText.substr(static_cast<size_t>(passage.start), passage.text.size()));
  EXPECT_EQ(passage.end - passage.start, static_cast<int64_t>(passage.text.size()));
}

TEST(Selection, HitsBesideABetterOneJoinIt) {
  Selection selection({.top_k = 2, .neighbours = 1});
  selection.offer(chunks()[1]);
  selection.offer(chunks()[2]);
  EXPECT_EQ(selection.missing(), 1U);
  selection.offer(chunks()[0]);
  EXPECT_EQ(selection.missing(), 1U);
  const auto joined = join_all(selection);
  ASSERT_EQ(joined.size(), 1U);
  EXPECT_EQ(joined[0].chunk_key, 101);
  EXPECT_EQ(joined[0].start, 0);
  EXPECT_EQ(joined[0].end, 39);
  expect_of_the_text(joined[0]);
}

TEST(Selection, NeighboursAreGuessedAndChecked) {
  Selection selection({.top_k = 1, .neighbours = 1});
  selection.offer(chunks()[1]);
  EXPECT_EQ(selection.neighbour_keys(), (std::vector<int64_t>{100, 102}));
  auto stranger = chunk(0, 0, 19);
  stranger.document_key = 2;
  selection.add_neighbours({stranger, chunk(2, 20, 39, "Another heading")});
  auto joined = join_all(selection);
  EXPECT_EQ(joined[0].start, 10);
  EXPECT_EQ(joined[0].end, 29);

  Selection again({.top_k = 1, .neighbours = 1});
  again.offer(chunks()[1]);
  again.add_neighbours({chunks()[0], chunks()[2]});
  joined = join_all(again);
  EXPECT_EQ(joined[0].text, kText.substr(0, 39));
}

TEST(Selection, WhiteSpaceBetweenComesFromTheDocument) {
  const auto make = [] {
    Selection selection({.top_k = 1, .neighbours = 1});
    selection.offer(chunks()[2]);
    selection.add_neighbours({chunks()[3]});
    return selection.take();
  };
  EXPECT_TRUE(has_gaps(make()[0]));
  const auto joined = join_parts(std::move(make()[0]), &kText);
  EXPECT_EQ(joined.end, 60);
  expect_of_the_text(joined);
  // Without the document, or with another version of it, the hit stays as it is.
  EXPECT_EQ(join_parts(std::move(make()[0]), nullptr).text, chunks()[2].text);
  const std::string changed = "x" + kText;
  EXPECT_EQ(join_parts(std::move(make()[0]), &changed).text, chunks()[2].text);
  const std::string none;
  EXPECT_EQ(join_parts(std::move(make()[0]), &none).text, chunks()[2].text);
}

TEST(Selection, OneChunkIsGivenOnce) {
  Selection selection({.top_k = 2, .neighbours = 1});
  selection.offer(chunks()[0]);
  selection.offer(chunks()[2]);  // two away: a passage of its own
  EXPECT_EQ(selection.missing(), 0U);
  selection.add_neighbours({chunks()[1], chunks()[3]});
  const auto joined = join_all(selection);
  EXPECT_EQ(joined[0].text, kText.substr(0, 29));
  EXPECT_EQ(joined[1].text, kText.substr(20, 40));
}

TEST(Selection, WithoutNeighboursHitsStayApart) {
  Selection selection({.top_k = 3});
  for (const auto& each : chunks()) selection.offer(each);
  EXPECT_TRUE(selection.neighbour_keys().empty());
  const auto joined = join_all(selection);
  ASSERT_EQ(joined.size(), 3U);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(joined[i].text, chunks()[i].text);
}

TEST(Selection, LeavesOutDuplicatesAndWhatIsOverTheShare) {
  Selection selection({.top_k = 4, .duplicates = core::Duplicates::same, .per_document = 2});
  selection.offer(chunks()[0]);
  auto copy = chunks()[0];
  copy.document_key = 2;
  selection.offer(copy);
  EXPECT_EQ(selection.missing(), 3U);
  selection.offer(chunks()[1]);
  EXPECT_FALSE(selection.wants(1));
  selection.offer(chunks()[2]);
  EXPECT_EQ(selection.missing(), 2U);
  EXPECT_TRUE(selection.wants(2));
}

}  // namespace
}  // namespace tessera::rag
