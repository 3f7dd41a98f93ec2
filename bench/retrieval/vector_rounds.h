#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

using Clock = std::chrono::steady_clock;
using Truth = std::vector<std::vector<uint32_t>>;
inline constexpr size_t kTop = 10;
inline constexpr double kRecall = 0.95;

inline double since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// An engine under test: answers query number q with this ef.
struct Engine {
  std::string name;
  std::function<void(size_t, size_t, std::vector<uint32_t>&)> search;
  size_t queries = 0;
  size_t ef = 0;
  std::vector<double> rates;

  double recall(const Truth& best, size_t with_ef) const {
    size_t hits = 0;
    size_t wanted = 0;
    std::vector<uint32_t> found;
    for (size_t q = 0; q < queries; ++q) {
      search(q, with_ef, found);
      for (const uint32_t row : best[q]) hits += std::ranges::count(found, row) > 0 ? 1 : 0;
      wanted += best[q].size();
    }
    return static_cast<double>(hits) / static_cast<double>(wanted);
  }
  /// The smallest ef that reaches the recall.
  double settle(const Truth& best) {
    size_t low = kTop;
    size_t high = 16;
    while (recall(best, high) < kRecall && high < 4096) {
      low = high + 1;
      high *= 2;
    }
    while (low < high) {
      const size_t middle = (low + high) / 2;
      if (recall(best, middle) >= kRecall) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    ef = high;
    return recall(best, ef);
  }
  void run() {
    std::vector<uint32_t> found;
    const auto start = Clock::now();
    for (size_t q = 0; q < queries; ++q) search(q, ef, found);
    rates.push_back(static_cast<double>(queries) / since(start));
  }
  [[nodiscard]] double rate() const {
    std::vector<double> sorted = rates;
    std::ranges::sort(sorted);
    return sorted[sorted.size() / 2];
  }
  /// Of each round, in their order.
  [[nodiscard]] std::string all_rates() const {
    std::string list;
    for (const double rate : rates) list += (list.empty() ? "" : ",") + std::to_string(static_cast<long>(rate));
    return list;
  }
};

/// Lets engines of other processes have their round.
inline void give_turn() {
  std::printf("turn\n");
  std::fflush(stdout);
  char line[16];
  if (std::fgets(line, sizeof line, stdin) == nullptr) return;  // nobody there: go on
}
