#include "index/embedding/static_token_matcher.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "base/random.h"
#include "index/embedding/embedded_model.h"

namespace tessera::index {
namespace {

const StaticModel& model() {
  static const StaticModel kModel = *StaticModel::open(embedded_static_model());
  return kModel;
}

std::vector<core::TokenMatch> match(std::string_view query, std::vector<std::string_view> texts) {
  return StaticTokenMatcher(model()).match(query, texts);
}

std::vector<uint16_t> rows_of(std::string_view text) {
  std::vector<uint16_t> ids(text.size() + text::WordPiece::kOutMin);
  ids.resize(model().tokenizer().encode(text, ids).ids);
  std::erase_if(ids, [](uint16_t id) { return id < model().first_row(); });
  for (uint16_t& id : ids) id = static_cast<uint16_t>(id - model().first_row());
  return ids;
}

double product(uint16_t a, uint16_t b) {
  const size_t size = model().dimensions();
  double sum = 0;
  for (size_t d = 0; d < size; ++d) sum += double{1} * model().rows()[a * size + d] * model().rows()[b * size + d];
  return sum * model().scales()[a] * model().scales()[b];
}

/// The definition, token by token.
double likeness(std::string_view query, std::string_view text) {
  auto tokens = rows_of(query);
  std::ranges::sort(tokens);
  tokens.erase(std::ranges::unique(tokens).begin(), tokens.end());
  double sum = 0;
  double whole = 0;
  for (const uint16_t token : tokens) {
    double best = -1;
    for (const uint16_t other : rows_of(text)) {
      best = std::max(best, product(token, other) / std::sqrt(product(token, token) * product(other, other)));
    }
    sum += product(token, token) * best;
    whole += product(token, token);
  }
  return sum / whole;
}

TEST(StaticTokenMatcher, LikenessIsItsDefinition) {
  const std::string_view query = "How does the heron catch its fish?";
  const std::vector<std::string_view> texts{"The heron catches fish in shallow water.", "A tax on imported steel.",
                                            "fish", "Herons and egrets; the fishery closed in 1998."};
  const auto found = match(query, texts);
  for (size_t i = 0; i < texts.size(); ++i) EXPECT_NEAR(found[i].likeness, likeness(query, texts[i]), 1e-4) << texts[i];
  EXPECT_GT(found[0].likeness, found[3].likeness);
  EXPECT_GT(found[3].likeness, found[1].likeness);
}

TEST(StaticTokenMatcher, TheQueryItselfIsAllOfIt) {
  const auto found = match("blue heron nest", {"blue heron nest"});
  EXPECT_NEAR(found[0].likeness, 1, 1e-4);
  EXPECT_NEAR(found[0].near, 1, 1e-6);
}

TEST(StaticTokenMatcher, NearnessFallsWithDistanceAndTurnedOrder) {
  const auto found = match(
      "blue heron", {"blue heron", "heron blue", "blue grey heron", "blue. Far away stood a heron", "blue", "heron"});
  EXPECT_NEAR(found[0].near, 1, 1e-6);
  EXPECT_NEAR(found[1].near, 0.5, 1e-6);
  EXPECT_NEAR(found[2].near, 0.5, 1e-6);
  EXPECT_LT(found[3].near, 0.3);
  EXPECT_EQ(found[4].near, 0);
  EXPECT_EQ(found[5].near, 0);
}

TEST(StaticTokenMatcher, NothingMatchesNothing) {
  for (const auto& each : match("", {"heron", ""})) EXPECT_EQ(each.likeness, 0);
  const auto found = match("heron", {"", "\xff\xfe"});
  for (const auto& each : found) {
    EXPECT_EQ(each.likeness, 0);
    EXPECT_EQ(each.near, 0);
  }
  EXPECT_TRUE(match("heron", {}).empty());
}

/// Any bytes, long queries and repeated words: values stay in their ranges and do not depend on the other texts.
TEST(StaticTokenMatcher, AnyBytes) {
  base::SeededRandom random(5);
  const std::string_view words[] = {"heron", "the", "\xc3\xa9", "42", ".", "\xff", "unbelievably", "fish", "\n"};
  const auto text = [&](size_t count) {
    std::string made;
    for (size_t i = 0; i < count; ++i)
      made += std::string(words[random.next() % std::size(words)]) + (random.next() % 4 ? " " : "");
    return made;
  };
  for (int round = 0; round < 100; ++round) {
    const std::string query = text(random.next() % (round == 0 ? 5000 : 30));
    const std::vector<std::string> texts{text(random.next() % 60), text(random.next() % 900)};
    const auto found = match(query, {texts[0], texts[1]});
    for (size_t i = 0; i < 2; ++i) {
      EXPECT_GE(found[i].likeness, -1.0001F);
      EXPECT_LE(found[i].likeness, 1.0001F);
      EXPECT_GE(found[i].near, 0);
      EXPECT_LE(found[i].near, 1.0001F);
      const auto alone = match(query, {texts[i]});
      EXPECT_EQ(alone[0].likeness, found[i].likeness);
      EXPECT_EQ(alone[0].near, found[i].near);
    }
  }
}

}  // namespace
}  // namespace tessera::index
