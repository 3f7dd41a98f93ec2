#include "llm/routing/schedule.h"

#include <algorithm>
#include <numeric>

namespace tessera::llm {
namespace {

constexpr size_t kScheduleMax = 256;

std::vector<uint8_t> schedule_of(const std::vector<Candidate>& candidates, const std::vector<uint8_t>& members) {
  int64_t divisor = 0;
  for (const uint8_t i : members) divisor = std::gcd(divisor, candidates[i].weight);
  std::vector<std::pair<int64_t, int64_t>> shares;  // weight, credit
  int64_t total = 0;
  for (const uint8_t i : members) {
    shares.emplace_back(divisor == 0 ? 1 : candidates[i].weight / divisor, 0);
    total += shares.back().first;
  }
  std::vector<uint8_t> schedule;
  const size_t length = std::min(static_cast<size_t>(total), kScheduleMax);
  while (schedule.size() < length) {
    size_t best = 0;
    for (size_t i = 0; i < shares.size(); ++i) {
      shares[i].second += shares[i].first;
      if (shares[i].second > shares[best].second) best = i;
    }
    shares[best].second -= total;
    schedule.push_back(members[best]);
  }
  return schedule;
}

}  // namespace

std::vector<std::vector<uint8_t>> make_schedules(std::vector<Candidate>& candidates) {
  std::vector<std::vector<uint8_t>> schedules;
  std::vector<uint8_t> members;
  for (size_t i = 0; i < candidates.size(); ++i) {
    members.push_back(static_cast<uint8_t>(i));
    const bool last = i + 1 == candidates.size() || candidates[i + 1].group != candidates[i].group;
    if (!last) continue;
    schedules.push_back(schedule_of(candidates, members));
    for (const uint8_t member : members) candidates[member].group = static_cast<int64_t>(schedules.size()) - 1;
    members.clear();
  }
  return schedules;
}

}  // namespace tessera::llm
