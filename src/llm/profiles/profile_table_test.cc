#include "llm/profiles/profile_table.h"

#include <gtest/gtest.h>

namespace tessera::llm {
namespace {

using core::ModelProfile;

TEST(ProfileTable, HasTheReferencePriceTable) {
  const ProfileTable table;
  struct Row {
    std::string_view model;
    int64_t prompt;
    int64_t completion;
    int64_t latency_ms;
  };
  for (const Row& row : {Row{"gpt-4o-mini", 150'000, 600'000, 500}, Row{"gpt-4o", 5'000'000, 15'000'000, 2000},
                         Row{"gpt-4", 30'000'000, 60'000'000, 3000}}) {
    const ModelProfile* profile = table.find("openai", row.model);
    ASSERT_NE(profile, nullptr) << row.model;
    EXPECT_TRUE(profile->price_known);
    EXPECT_EQ(profile->price.prompt.pico_usd, row.prompt);
    EXPECT_EQ(profile->price.completion.pico_usd, row.completion);
    EXPECT_EQ(profile->batch_price.prompt.pico_usd, row.prompt / 2);
    EXPECT_EQ(profile->usual_latency, base::Millis(row.latency_ms));
  }
}

TEST(ProfileTable, HasPricesOfCacheWritesAndServiceTiers) {
  const ProfileTable table;
  const ModelProfile* sonnet = table.find("anthropic", "claude-sonnet-4-5-20250929");
  ASSERT_NE(sonnet, nullptr);
  EXPECT_EQ(sonnet->price.cache_write.pico_usd, 3'750'000);
  EXPECT_EQ(sonnet->price.cache_write_long.pico_usd, 6'000'000);
  EXPECT_EQ(sonnet->price_at(core::PriceTier::batch).cache_write.pico_usd, 1'875'000);
  EXPECT_EQ(sonnet->price_at(core::PriceTier::priority), sonnet->price) << "nothing is known of it";
  const ModelProfile* mini = table.find("openai", "gpt-5-mini");
  EXPECT_EQ(mini->price_at(core::PriceTier::batch).completion.pico_usd, 1'000'000);
  EXPECT_EQ(mini->price_at(core::PriceTier::priority).completion.pico_usd, 3'600'000);
}

TEST(ProfileTable, HasTheReferenceProfiles) {
  const ProfileTable table;
  struct Row {
    std::string_view model;
    int64_t max_tokens;
    double temperature;
    int64_t timeout_s;
    int64_t chunk;
  };
  for (const Row& row : {Row{"deepseek/deepseek-chat-v3.1", 1500, 0.6, 30, 50}, Row{"openai/gpt-5", 2000, 0.7, 45, 100},
                         Row{"google/gemini-2.5-pro", 1500, 0.6, 60, 75}}) {
    const ModelProfile* profile = table.find("openrouter", row.model);
    ASSERT_NE(profile, nullptr) << row.model;
    EXPECT_EQ(profile->max_tokens, row.max_tokens);
    EXPECT_EQ(profile->temperature, row.temperature);
    EXPECT_EQ(profile->first_token_timeout, std::chrono::seconds(row.timeout_s));
    EXPECT_EQ(profile->idle_timeout, std::chrono::seconds(row.timeout_s));
    EXPECT_EQ(profile->stream_chunk_size, row.chunk);
  }
}

TEST(ProfileTable, FindsNamesWithProviderAndWithDate) {
  const ProfileTable table;
  const ModelProfile* mini = table.find("openai", "gpt-4o-mini");
  EXPECT_EQ(table.find("openai", "openai/gpt-4o-mini"), mini);
  EXPECT_EQ(table.find("mine", "mine/gpt-4o-mini"), mini);
  EXPECT_EQ(table.find("openrouter", "openai/gpt-4o-mini"), mini);
  EXPECT_EQ(table.find("", "gpt-4o-mini-2024-07-18"), mini);
  EXPECT_EQ(table.find("anthropic", "claude-sonnet-4-5-20250929"), table.find("anthropic", "claude-sonnet-4-5"));
  EXPECT_EQ(table.find("openai", "gpt-4o-2024-08-06")->price.prompt.pico_usd, 2'500'000);
  EXPECT_EQ(table.find("openai", "gpt-4o-mini-realtime"), nullptr);
  EXPECT_EQ(table.find("openai", "gpt-9-2030-01-01"), nullptr);
  EXPECT_EQ(table.find("openai", "2024-07-18"), nullptr);
  EXPECT_EQ(table.find("openai", ""), nullptr);
  EXPECT_EQ(table.find("openai", "openai/"), nullptr);
}

TEST(ProfileTable, ChangesKeepWhatTheyDoNotName) {
  ModelProfile dear;
  dear.id = "gpt-4o-mini";
  dear.price = {{1}, {1}, {2}};
  dear.price_known = true;
  dear.aliases = {"fast"};
  ModelProfile own;
  own.id = "house-7b";
  own.context_window = 4096;
  ModelProfile everywhere;
  everywhere.id = "gpt-4";
  everywhere.temperature = 0.1;
  std::vector<ProfileChange> changes(3);
  changes[0] = {.provider = "azure", .like = {}, .profile = dear};
  changes[1] = {.provider = "", .like = {}, .profile = own};
  changes[2] = {.provider = "", .like = {}, .profile = everywhere};
  const ProfileTable table(std::move(changes));

  EXPECT_EQ(table.find("azure", "gpt-4o-mini")->price.completion.pico_usd, 2);
  EXPECT_EQ(table.find("azure", "azure/fast")->price.completion.pico_usd, 2);
  EXPECT_EQ(table.find("azure", "gpt-4o-mini")->context_window, 128'000);
  EXPECT_EQ(table.find("openai", "gpt-4o-mini")->price.completion.pico_usd, 600'000);
  EXPECT_EQ(table.find("openai", "fast"), nullptr);
  EXPECT_EQ(table.find("openai", "house-7b")->context_window, 4096);
  EXPECT_FALSE(table.find("openai", "house-7b")->price_known);
  EXPECT_EQ(table.find("openai", "gpt-4")->temperature, 0.1);
  EXPECT_EQ(table.find("openai", "gpt-4")->price.prompt.pico_usd, 30'000'000);
}

TEST(ProfileTable, ListsEachProfileOnceInOrder) {
  const ProfileTable table;
  const auto all = table.list();
  EXPECT_TRUE(std::ranges::is_sorted(all, {}, &ModelProfile::id));
  EXPECT_EQ(std::ranges::count(all, "gpt-4o-mini", &ModelProfile::id), 1);
  for (const ModelProfile* profile : all) {
    const std::string_view cheaper = table.cheaper_than(profile->id);
    EXPECT_TRUE(cheaper.empty() || table.find("", cheaper) != nullptr) << profile->id;
  }
}

TEST(ParsePrice, IsExactOrRefuses) {
  EXPECT_EQ(parse_price("0.15")->pico_usd, 150'000);
  EXPECT_EQ(parse_price("0.000001")->pico_usd, 1);
  EXPECT_EQ(parse_price("60")->pico_usd, 60'000'000);
  EXPECT_EQ(parse_price("9000000")->pico_usd, 9'000'000'000'000);
  for (const std::string_view bad : {"", ".", "-1", "1e3", "0.0000001", "9000001", "1.2.3", "99999999999999999999"}) {
    EXPECT_EQ(parse_price(bad).error().name, "BAD_PRICE") << bad;
  }
}

}  // namespace
}  // namespace tessera::llm
