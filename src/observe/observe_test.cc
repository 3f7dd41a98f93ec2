#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <thread>

#include "observe/metrics.h"
#include "observe/process_stats.h"

namespace tessera::observe {
namespace {

using testing::HasSubstr;
using testing::Not;

// A strict reader of the Prometheus text format: the sample lines by their full name, or a failure.
std::map<std::string, double> read_exposition(const std::string& text) {
  static const std::regex help(R"(# HELP ([a-z_]+) [^\n]+)");
  static const std::regex type(R"(# TYPE ([a-z_]+) (counter|gauge|histogram))");
  static const std::regex sample(
      R"re(([a-z_]+)(\{[a-z_]+="([^"\\\n]|\\["\\n])*"(,[a-z_]+="([^"\\\n]|\\["\\n])*")*\})? ([0-9.e+-]+|\+Inf|NaN))re");
  std::map<std::string, double> samples;
  std::set<std::string> families;
  std::string family;
  std::istringstream lines(text);
  std::string line;
  std::smatch match;
  EXPECT_TRUE(text.ends_with('\n'));
  while (std::getline(lines, line)) {
    if (std::regex_match(line, match, help)) {
      EXPECT_TRUE(families.insert(match[1]).second) << "family twice: " << line;
      family = match[1];
    } else if (std::regex_match(line, match, type)) {
      EXPECT_EQ(match[1], family) << line;
    } else if (std::regex_match(line, match, sample)) {
      EXPECT_TRUE(match[1].str().starts_with(family)) << "sample outside its family: " << line;
      EXPECT_TRUE(samples.emplace(match[1].str() + match[2].str(), std::stod(match[6])).second) << "twice: " << line;
    } else {
      ADD_FAILURE() << "not of the format: " << line;
    }
  }
  return samples;
}

TEST(Metrics, EveryRowIsRenderedAndValid) {
  Metrics metrics;
  const std::string text = metrics.render();
  read_exposition(text);
  for (const MetricInfo& info : metrics_table()) {
    EXPECT_THAT(text, HasSubstr("# TYPE " + std::string(info.name) + " " + std::string(info.kind) + "\n"));
    EXPECT_EQ(info.kind == "counter", info.name.ends_with("_total")) << info.name;
    EXPECT_FALSE(info.help.empty()) << info.name;
  }
}

TEST(Metrics, CountersGaugesAndSumsShowTheirValues) {
  Metrics metrics;
  metrics.http_requests.with({"/health", "GET", "2xx"}).increment();
  metrics.http_requests.with({"/health", "GET", "2xx"}).increment(2);
  metrics.http_in_flight.increment();
  metrics.http_in_flight.increment();
  metrics.http_in_flight.decrement();
  metrics.cost_usd.with("gpt").add(0.25);
  metrics.cost_usd.with("gpt").add(-1);
  metrics.cost_usd.with("gpt").add(std::numeric_limits<double>::quiet_NaN());
  const auto samples = read_exposition(metrics.render());
  EXPECT_EQ(samples.at(R"(tessera_http_requests_total{route="/health",method="GET",status="2xx"})"), 3);
  EXPECT_EQ(samples.at("tessera_http_requests_in_flight"), 1);
  EXPECT_EQ(samples.at(R"(tessera_cost_usd_total{model="gpt"})"), 0.25);
}

TEST(Metrics, HostileLabelValuesAreEscaped) {
  Metrics metrics;
  metrics.errors.with("a\"b\\c\nd").increment();
  const auto samples = read_exposition(metrics.render());
  EXPECT_EQ(samples.at("tessera_errors_total{code=\"a\\\"b\\\\c\\nd\"}"), 1);
}

TEST(Metrics, HistogramBucketsAreCumulativeAndIgnoreNonsense) {
  Metrics metrics;
  Histogram& cell = metrics.search_duration.with("hybrid");
  cell.observe(0.0004);
  cell.observe(0.0005);  // on the bound: belongs to it
  cell.observe(3);
  cell.observe(1e9);
  cell.observe(-1);
  cell.observe(std::numeric_limits<double>::infinity());
  cell.observe(std::numeric_limits<double>::quiet_NaN());
  const auto samples = read_exposition(metrics.render());
  const auto bucket = [&](const std::string& bound) {
    return samples.at("tessera_search_duration_seconds_bucket{mode=\"hybrid\",le=\"" + bound + "\"}");
  };
  EXPECT_EQ(bucket("5e-05"), 1);
  EXPECT_EQ(bucket("0.0005"), 3);
  EXPECT_EQ(bucket("2"), 3);
  EXPECT_EQ(bucket("5"), 4);
  EXPECT_EQ(bucket("60"), 4);
  EXPECT_EQ(bucket("+Inf"), 5);
  EXPECT_EQ(samples.at("tessera_search_duration_seconds_count{mode=\"hybrid\"}"), 5);
  EXPECT_NEAR(samples.at("tessera_search_duration_seconds_sum{mode=\"hybrid\"}"), 1e9 + 3.0009, 1e-3);
}

TEST(Histogram, QuantilesInterpolateWithinTheirBucket) {
  Histogram cell(latency_bounds());
  EXPECT_EQ(cell.quantile(0.5), 0);
  for (int i = 0; i < 100; ++i) cell.observe(0.0015);  // bucket (0.001, 0.0025]
  EXPECT_NEAR(cell.quantile(0.5), 0.00175, 1e-9);
  EXPECT_NEAR(cell.quantile(1), 0.0025, 1e-9);
  for (int i = 0; i < 1000; ++i) cell.observe(100);
  EXPECT_EQ(cell.quantile(0.99), 60) << "beyond the last bound only the bound is known";
}

TEST(Metrics, SeriesAreBounded) {
  Metrics metrics;
  for (size_t i = 0; i < kSeriesMax + 500; ++i) metrics.errors.with(std::to_string(i)).increment();
  size_t series = 0;
  uint64_t other = 0;
  metrics.errors.each([&](const LabelValues& values, const Counter& cell) {
    ++series;
    if (values[0] == "other") other = cell.value();
  });
  EXPECT_EQ(series, kSeriesMax + 1);
  EXPECT_EQ(other, 500);
}

TEST(Metrics, CollectorsRunBeforeEachRenderUntilRemoved) {
  Metrics metrics;
  int runs = 0;
  metrics.add_collector([&] { metrics.index_lag.set(++runs); });
  EXPECT_EQ(read_exposition(metrics.render()).at("tessera_index_lag_changes"), 1);
  EXPECT_EQ(read_exposition(metrics.render()).at("tessera_index_lag_changes"), 2);
  metrics.remove_collectors();
  EXPECT_EQ(read_exposition(metrics.render()).at("tessera_index_lag_changes"), 2);
}

TEST(Metrics, NothingIsLostUnderConcurrencyAndHistogramsAlwaysAddUp) {
  Metrics metrics;
  constexpr int kThreads = 4;
  constexpr int kEach = 20000;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&metrics, t] {
      Counter& counter = metrics.chat_turns.with({"model", "complete"});
      Histogram& histogram = metrics.chat_duration.with(t % 2 == 0 ? "a" : "b");
      for (int i = 0; i < kEach; ++i) {
        counter.increment();
        histogram.observe(0.001 * (i % 100));
        metrics.http_in_flight.increment();
        metrics.http_in_flight.decrement();
        if (i % 1000 == 0) metrics.errors.with(std::to_string(i)).increment();
      }
    });
  }
  for (int i = 0; i < 20; ++i) {
    const auto samples = read_exposition(metrics.render());
    for (const std::string model : {"a", "b"}) {
      const auto count = samples.find("tessera_chat_turn_duration_seconds_count{model=\"" + model + "\"}");
      if (count == samples.end()) continue;
      EXPECT_EQ(count->second,
                samples.at("tessera_chat_turn_duration_seconds_bucket{model=\"" + model + "\",le=\"+Inf\"}"));
    }
  }
  for (auto& thread : threads) thread.join();
  const auto samples = read_exposition(metrics.render());
  EXPECT_EQ(samples.at(R"(tessera_chat_turns_total{model="model",outcome="complete"})"), kThreads * kEach);
  EXPECT_EQ(samples.at("tessera_http_requests_in_flight"), 0);
  EXPECT_EQ(samples.at(R"(tessera_chat_turn_duration_seconds_count{model="a"})"), kThreads / 2 * kEach);
  EXPECT_EQ(samples.at(R"(tessera_errors_total{code="19000"})"), kThreads);
}

TEST(Metrics, DocumentationIsCurrent) {
  std::ifstream file(TESSERA_SOURCE_DIR "/docs/metrics.md");
  std::ostringstream text;
  text << file.rdbuf();
  EXPECT_EQ(text.str(), metrics_markdown()) << "write it anew: tessera config reference --metrics > docs/metrics.md";
}

TEST(ProcessStats, TellsOfThisProcess) {
  const ProcessStats before = read_process_stats();
  EXPECT_GT(before.resident_bytes, 1 << 20);
  EXPECT_GE(before.threads, 1);
  EXPECT_GE(before.open_fds, 3);
  EXPECT_GT(before.start_time_seconds, 1.6e9);
  const std::ifstream open("/proc/self/status");
  EXPECT_EQ(read_process_stats().open_fds, before.open_fds + 1);
}

TEST(SystemSampler, StaysWithinPercentAndSharesCloseSamples) {
  base::ManualClock clock;
  SystemSampler sampler(clock, "/tmp");
  for (int i = 0; i < 3; ++i) {
    const SystemStats stats = sampler.sample();
    for (const double percent : {stats.cpu_percent, stats.memory_percent, stats.disk_percent}) {
      EXPECT_GE(percent, 0);
      EXPECT_LE(percent, 100);
    }
    EXPECT_GT(stats.memory_percent, 0);
    EXPECT_EQ(sampler.sample().cpu_percent, stats.cpu_percent);
    clock.advance(base::Millis(100));
  }
  SystemSampler nowhere(clock, "/nonexistent");
  EXPECT_EQ(nowhere.sample().disk_percent, 0);
}

}  // namespace
}  // namespace tessera::observe
