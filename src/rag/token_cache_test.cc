#include "rag/token_cache.h"

#include <gtest/gtest.h>

#include <map>
#include <utility>

#include "base/random.h"

namespace tessera::rag {
namespace {

class NoMatcher final : public core::TokenMatcher {
 public:
  [[nodiscard]] core::MatchTokens read(std::string_view) const override { return {}; }
  [[nodiscard]] std::vector<core::TokenMatch> match(std::string_view,
                                                    std::span<const core::MatchTokens* const>) const override {
    return {};
  }
};

TokenCache::Tokens tokens(size_t count, uint16_t value) {
  return std::make_shared<const core::MatchTokens>(count, value);
}

/// What is kept is what was given last, for that matcher and key; the bytes stay within the bound.
TEST(TokenCache, RandomOperations) {
  base::SeededRandom random(3);
  const NoMatcher matchers[2];
  constexpr size_t kBytes = 40'000;
  TokenCache cache(kBytes);
  std::map<int64_t, std::pair<const core::TokenMatcher*, uint16_t>> given;
  size_t found = 0;
  for (int step = 0; step < 20'000; ++step) {
    const auto key = static_cast<int64_t>(random.next() % 400);
    const auto* matcher = &matchers[random.next() % 2];
    if (random.next() % 3 == 0) {
      const auto value = static_cast<uint16_t>(random.next());
      cache.keep(matcher, key, tokens(1 + random.next() % 50, value));
      given[key] = {matcher, value};
      ASSERT_LE(cache.bytes(), kBytes);
    } else if (const auto kept = cache.find(matcher, key)) {
      ++found;
      ASSERT_EQ(given.at(key), std::make_pair(static_cast<const core::TokenMatcher*>(matcher), kept->front()));
    }
  }
  EXPECT_GT(found, 1000U);
}

TEST(TokenCache, WhatIsUsedStays) {
  const NoMatcher matcher;
  TokenCache cache(16 * 10'000);  // a part holds some 40 of these
  cache.keep(&matcher, 0, tokens(32, 7));
  for (int64_t key = 16; key < 16 * 500; key += 16) {
    ASSERT_NE(cache.find(&matcher, 0), nullptr) << key;
    cache.keep(&matcher, key, tokens(32, 8));
  }
  EXPECT_EQ(cache.find(&matcher, 16), nullptr);
}

TEST(TokenCache, KeepsNothingLargerThanItself) {
  const NoMatcher matcher;
  TokenCache cache(1000);
  cache.keep(&matcher, 1, tokens(10'000, 1));
  EXPECT_EQ(cache.find(&matcher, 1), nullptr);
  EXPECT_EQ(cache.bytes(), 0U);
}

}  // namespace
}  // namespace tessera::rag
