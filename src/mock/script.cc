#include "mock/script.h"

#include "mock/draws.h"

namespace tessera::mock {
namespace {

bool matches(const Rule& rule, const Seen& seen) {
  if (!rule.model.empty() && !glob(rule.model, seen.ask->model)) return false;
  if (!rule.path.empty() && !glob(rule.path, seen.path)) return false;
  if (!rule.key.empty() && !glob(rule.key, seen.key)) return false;
  if (!rule.user.empty() && !glob(rule.user, seen.ask->user)) return false;
  return !rule.stream || *rule.stream == seen.ask->stream;
}

}  // namespace

bool glob(std::string_view pattern, std::string_view text) {
  size_t p = 0;
  size_t t = 0;
  size_t star = std::string_view::npos;
  size_t resume = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = t;
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

Script::Script(std::vector<Rule> rules, uint64_t seed)
    : rules_(std::move(rules)), seed_(seed), counts_(rules_.size()) {}

std::optional<Script::Choice> Script::choose(const Seen& seen) {
  if (rules_.empty()) return std::nullopt;
  const std::lock_guard lock(mutex_);
  for (size_t i = 0; i < rules_.size(); ++i) {
    const Rule& rule = rules_[i];
    if (!matches(rule, seen)) continue;
    Counts& counts = counts_[i];
    const int64_t nth = counts.matched++;
    if (nth < rule.skip || (nth - rule.skip) % rule.every != 0) continue;
    if (rule.times && counts.applied >= *rule.times) continue;
    if (rule.chance < 1 && Draws(seed_ + i, static_cast<uint64_t>(nth)).unit() >= rule.chance) continue;
    const auto turn = static_cast<size_t>(counts.applied++);
    return Choice{.rule = i, .directives = &rule.answers[turn % rule.answers.size()]};
  }
  return std::nullopt;
}

std::vector<Script::RuleState> Script::state() const {
  const std::lock_guard lock(mutex_);
  std::vector<RuleState> list;
  for (size_t i = 0; i < rules_.size(); ++i) {
    list.push_back({.name = rules_[i].name, .matched = counts_[i].matched, .applied = counts_[i].applied});
  }
  return list;
}

void Script::reset() {
  const std::lock_guard lock(mutex_);
  counts_.assign(rules_.size(), {});
}

}  // namespace tessera::mock
