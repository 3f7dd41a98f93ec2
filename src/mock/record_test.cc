#include "mock/record.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

namespace tessera::mock {
namespace {

namespace json = boost::json;

std::vector<json::value> parse_lines(const std::string& text) {
  std::vector<json::value> values;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) values.push_back(json::parse(line));
  return values;
}

TEST(Record, RandomEntriesSumUpAsInTheModel) {
  constexpr Outcome kAll[] = {Outcome::complete, Outcome::error, Outcome::invalid, Outcome::broken,
                              Outcome::client_gone};
  for (uint64_t seed = 0; seed < 50; ++seed) {
    std::mt19937_64 random(seed);
    auto record = *Record::create({.path = "", .keep_max = 20});
    std::vector<Entry> all;
    for (int i = 0; i < 100; ++i) {
      Entry entry;
      entry.seq = record->begin();
      entry.model = random() % 2 == 0 ? "a" : "b\xff";
      entry.outcome = kAll[random() % std::size(kAll)];
      entry.status = random() % 2 == 0 ? 200 : 429;
      entry.usage = {.prompt = static_cast<int64_t>(random() % 1000),
                     .cached = 0,
                     .completion = static_cast<int64_t>(random() % 1000)};
      entry.cost = static_cast<int64_t>(random() % 5'000'000);
      all.push_back(entry);
      record->end(std::move(entry));
      if (random() % 60 == 0) {
        record->reset();
        all.clear();
      }
    }
    int64_t billed = 0;
    int64_t exact = 0;
    int64_t cut = 0;
    for (const Entry& entry : all) {
      if (entry.outcome == Outcome::complete) billed += to_microdollars(entry.cost);
      if (entry.outcome == Outcome::complete) exact += entry.cost;
      if (entry.outcome == Outcome::broken || entry.outcome == Outcome::client_gone) cut += entry.usage.completion;
    }
    const json::value totals = json::parse(record->totals());
    ASSERT_EQ(totals.at("seen").as_int64(), static_cast<int64_t>(all.size()));
    ASSERT_EQ(totals.at("in_flight").as_int64(), 0);
    ASSERT_EQ(totals.at("microdollars").as_int64(), billed);
    const std::string digits(totals.at("exact_microdollars").as_string());
    ASSERT_EQ(std::stoll(digits.substr(0, digits.find('.')) + digits.substr(digits.find('.') + 1)), exact);
    ASSERT_EQ(totals.at("cut").at("completion_tokens").as_int64(), cut);
    const auto lines = parse_lines(record->lines(0, 1000));
    ASSERT_EQ(lines.size(), std::min<size_t>(20, all.size()));
    for (size_t i = 0; i < lines.size(); ++i) {
      ASSERT_EQ(lines[i].at("seq").as_int64(), static_cast<int64_t>(all[all.size() - lines.size() + i].seq));
    }
  }
}

TEST(Record, LinesCanBeAskedForInParts) {
  auto record = *Record::create({});
  for (int i = 0; i < 5; ++i) {
    Entry entry;
    entry.seq = record->begin();
    record->end(std::move(entry));
  }
  EXPECT_EQ(parse_lines(record->lines(3, 10)).size(), 2U);
  EXPECT_EQ(parse_lines(record->lines(0, 2)).back().at("seq"), 2);
}

TEST(Record, TheFileHasOneLineForEachRequest) {
  const auto path = std::filesystem::temp_directory_path() / ("mock-record-" + std::to_string(::getpid()));
  {
    auto record = *Record::create({.path = path.string()});
    for (int i = 0; i < 3; ++i) {
      Entry entry;
      entry.seq = record->begin();
      entry.model = "line\nbreak";
      entry.text = R"({"model": "x"})";
      record->end(std::move(entry));
    }
  }
  std::ifstream file(path);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const auto lines = parse_lines(text);
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_EQ(lines[2].at("seq"), 3);
  EXPECT_EQ(lines[0].at("model"), "line\nbreak");
  EXPECT_EQ(lines[0].at("body"), R"({"model": "x"})");
  std::filesystem::remove(path);
}

TEST(Record, AFileThatCannotBeOpenedIsSaid) {
  const auto record = Record::create({.path = "/nowhere/at/all"});
  ASSERT_FALSE(record);
  EXPECT_EQ(record.error().name, "TRANSCRIPT_FAILED");
}

TEST(Record, MicrodollarsAreRoundedHalfUp) {
  EXPECT_EQ(to_microdollars(499'999), 0);
  EXPECT_EQ(to_microdollars(500'000), 1);
  EXPECT_EQ(to_microdollars(2'400'000), 2);
}

}  // namespace
}  // namespace tessera::mock
