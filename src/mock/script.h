#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "config/yaml_tree.h"
#include "mock/ask.h"
#include "mock/plan.h"

namespace tessera::mock {

/// What a model costs, in millionths of a micro-dollar for a token, so that sums are exact. (A dollar for a million
/// tokens is a micro-dollar for a token.)
struct Price {
  int64_t input = 0;
  int64_t output = 0;
  int64_t cached_input = 0;
};

/// What a rule looks at. Views valid during the call.
struct Seen {
  std::string_view path;
  std::string_view key;  ///< the API key as sent
  const Ask* ask = nullptr;
};

/// When a rule applies and what it does. Empty patterns match everything; "*" stands for any text.
struct Rule {
  std::string name;
  std::string model;
  std::string path;
  std::string key;
  std::string user;
  std::optional<bool> stream;
  int64_t skip = 0;                             ///< lets that many matching requests pass first
  std::optional<int64_t> times;                 ///< and applies at most so often
  int64_t every = 1;                            ///< to each n-th of them
  double chance = 1;                            ///< and of those to this share
  std::vector<std::vector<Directive>> answers;  ///< taken in turn
};

/// Text against a pattern in which "*" stands for any text. Linear in both but for the stars.
bool glob(std::string_view pattern, std::string_view text);

/// A script of answers: the first rule that applies decides. Which requests a rule applies to depends on the seed and
/// on how many matched it before, on nothing else. Thread-safe.
class Script {
 public:
  struct Choice {
    size_t rule;
    const std::vector<Directive>* directives;  ///< valid as long as the script
  };
  struct RuleState {
    std::string name;
    int64_t matched;
    int64_t applied;
  };
  /// The parts of a script file.
  struct File {
    std::optional<uint64_t> seed;
    std::vector<Directive> defaults;
    std::vector<std::pair<std::string, Price>> prices;  ///< by pattern of the model's name; the first that fits
    std::vector<std::string> models;
    std::vector<Rule> rules;
  };

  Script(std::vector<Rule> rules, uint64_t seed);

  /// Counts the request with the rules that match it, up to the one that applies.
  std::optional<Choice> choose(const Seen& seen);
  [[nodiscard]] std::vector<RuleState> state() const;
  void reset();

  /// Reads YAML or JSON. Errors: invalid CONFIG_INVALID, naming the line.
  static base::Result<File> parse(const std::string& name, const std::string& text);

 private:
  struct Counts {
    int64_t matched = 0;
    int64_t applied = 0;
  };
  std::vector<Rule> rules_;
  uint64_t seed_;
  mutable std::mutex mutex_;
  std::vector<Counts> counts_;  // guarded by mutex_
};

/// Dollars for a million tokens. Error: invalid CONFIG_INVALID.
base::Result<int64_t> parse_price(std::string_view text);

}  // namespace tessera::mock
