#include "chat/history.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace tessera::chat {
namespace {

size_t count_bytes(std::string_view text) {
  return text.size();
}

core::StoredMessage message(core::Role role, std::string content, std::string state = "complete") {
  core::StoredMessage stored;
  stored.role = role;
  stored.content = std::move(content);
  stored.state = std::move(state);
  return stored;
}

TEST(History, TheTighterBoundWins) {
  std::vector<core::StoredMessage> stored;
  for (int i = 0; i < 6; ++i) {
    stored.push_back(message(core::Role::user, "question" + std::to_string(i)));
    stored.push_back(message(core::Role::assistant, "answer" + std::to_string(i)));
  }
  EXPECT_EQ(history_window(stored, {.messages_max = 4, .tokens_max = 1000}, count_bytes).size(), 4U);
  const auto tight = history_window(stored, {.messages_max = 100, .tokens_max = 40}, count_bytes);
  ASSERT_EQ(tight.size(), 2U);
  EXPECT_EQ(tight[0].content, "question5");
  EXPECT_TRUE(history_window(stored, {.messages_max = 0, .tokens_max = 1000}, count_bytes).empty());
  EXPECT_TRUE(history_window(stored, {.messages_max = 10, .tokens_max = 3}, count_bytes).empty());
}

TEST(History, FailedTurnsAreLeftOutAndPartialAnswersKept) {
  const std::vector<core::StoredMessage> stored{
      message(core::Role::user, "lost", "failed"), message(core::Role::assistant, "", "failed"),
      message(core::Role::user, "stopped", "cancelled"), message(core::Role::assistant, "half an", "cancelled")};
  const auto window = history_window(stored, {}, count_bytes);
  ASSERT_EQ(window.size(), 2U);
  EXPECT_EQ(window[0].content, "stopped");
  EXPECT_EQ(window[1].content, "half an");
}

// Against the definition: the longest allowed tail, then without leading answers.
TEST(History, RandomConversationsFollowTheDefinition) {
  base::SeededRandom random(3);
  for (int round = 0; round < 3000; ++round) {
    std::vector<core::StoredMessage> stored;
    for (uint64_t i = random.below(12); i > 0; --i) {
      stored.push_back(message(random.below(2) == 0 ? core::Role::user : core::Role::assistant,
                               std::string(random.below(20), 'x'), random.below(5) == 0 ? "failed" : "complete"));
    }
    const HistoryBounds bounds{.messages_max = random.below(6), .tokens_max = random.below(60)};
    std::vector<core::StoredMessage> usable;
    for (const auto& m : stored) {
      if (m.state != "failed" && !m.content.empty()) usable.push_back(m);
    }
    size_t first = usable.size();
    size_t tokens = 0;
    while (first > 0 && usable.size() - first < bounds.messages_max) {
      tokens += usable[first - 1].content.size() + kMessageOverheadTokens;
      if (tokens > bounds.tokens_max) break;
      --first;
    }
    while (first < usable.size() && usable[first].role != core::Role::user) ++first;
    const auto window = history_window(stored, bounds, count_bytes);
    ASSERT_EQ(window.size(), usable.size() - first);
    for (size_t i = 0; i < window.size(); ++i) EXPECT_EQ(window[i].content, usable[first + i].content);
  }
}

}  // namespace
}  // namespace tessera::chat
