#include "mock/script.h"

#include <gtest/gtest.h>

#include <random>

namespace tessera::mock {
namespace {

Ask asking(std::string model, bool stream = false) {
  Ask ask;
  ask.model = std::move(model);
  ask.stream = stream;
  return ask;
}

TEST(Glob, StarsStandForAnything) {
  EXPECT_TRUE(glob("gpt-*", "gpt-4o"));
  EXPECT_TRUE(glob("*", ""));
  EXPECT_TRUE(glob("*mini*", "gpt-4o-mini-2024"));
  EXPECT_TRUE(glob("a*b*c", "a--b--b--c"));
  EXPECT_FALSE(glob("gpt-*", "claude"));
  EXPECT_FALSE(glob("a*b*c", "a--b--b--"));
  EXPECT_FALSE(glob("", "x"));
  const std::string many(2000, 'a');
  EXPECT_FALSE(glob("*a*a*a*a*a*a*a*b", many));
}

TEST(Script, TheFirstRuleThatAppliesDecides) {
  const auto file = Script::parse("s.yaml", R"(
seed: 9
defaults: {tokens: 20, rate: 50}
models: [house-model]
prices:
  - {model: "gpt-4o-mini", input: 0.15, output: 0.6, cached-input: 0.075}
  - {model: "*", input: 1, output: 2}
rules:
  - name: slow start
    match: {model: "gpt-*", stream: true}
    times: 2
    answer: {first: 500}
  - match: {key: "sk-a*"}
    skip: 1
    answers:
      - {status: 429, retry-after: 2}
      - reset-after=5
  - match: {path: "*/embeddings"}
    answer: hang
)");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->seed, 9U);
  EXPECT_EQ(file->defaults, (std::vector<Directive>{{"tokens", "20"}, {"rate", "50"}}));
  EXPECT_EQ(file->prices.front().second.input, 150'000);
  EXPECT_EQ(file->prices.front().second.cached_input, 75'000);
  EXPECT_EQ(file->prices.back().second.cached_input, 1'000'000);
  Script script(file->rules, 9);
  const auto rule = [&](const Ask& ask, std::string_view key, std::string_view path) {
    const auto choice = script.choose({.path = path, .key = key, .ask = &ask});
    return choice ? static_cast<int>(choice->rule) : -1;
  };
  const Ask gpt = asking("gpt-4o", true);
  const Ask other = asking("x");
  EXPECT_EQ(rule(gpt, "sk-a1", "/v1/chat/completions"), 0);
  EXPECT_EQ(rule(gpt, "sk-a1", "/v1/chat/completions"), 0);
  EXPECT_EQ(rule(gpt, "sk-a1", "/v1/chat/completions"), -1);  // the second rule lets one pass
  EXPECT_EQ(script.choose({.path = "/v1/embeddings", .key = "sk-a1", .ask = &other})->directives->front().first,
            "status");
  EXPECT_EQ(script.choose({.path = "/v1/embeddings", .key = "sk-a1", .ask = &other})->directives->front().first,
            "reset-after");
  EXPECT_EQ(script.choose({.path = "/v1/embeddings", .key = "sk-a1", .ask = &other})->directives->front().first,
            "status");
  EXPECT_EQ(rule(other, "sk-b", "/v1/embeddings"), 2);
  EXPECT_EQ(rule(other, "sk-b", "/v1/chat/completions"), -1);
  EXPECT_EQ(script.state().front().name, "slow start");
  EXPECT_EQ(script.state().front().matched, 3);
  EXPECT_EQ(script.state().front().applied, 2);
  script.reset();
  EXPECT_EQ(rule(gpt, "", ""), 0);
}

TEST(Script, JsonIsUnderstoodToo) {
  const auto file =
      Script::parse("s.json", R"({"rules": [{"match": {"model": "a"}, "chance": 0.5, "answer": {"status": 500}}]})");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_DOUBLE_EQ(file->rules.at(0).chance, 0.5);
}

TEST(Script, MistakesAreNamedWithTheirLine) {
  const auto message = [](const std::string& text) {
    const auto file = Script::parse("s.yaml", text);
    return file ? std::string("accepted") : file.error().message;
  };
  EXPECT_EQ(message("rules:\n  - answer: {statsu: 500}").rfind("s.yaml:2: \"statsu\"", 0), 0U);
  EXPECT_EQ(message("rulez: []").rfind("s.yaml:1: \"rulez\" is unknown", 0), 0U);
  EXPECT_NE(message("rules: [{chance: 2}]").find("between 0 and 1"), std::string::npos);
  EXPECT_NE(message("rules: [{every: 0}]").find("at least 1"), std::string::npos);
  EXPECT_NE(message("rules: [{match: {modle: x}}]").find("match knows"), std::string::npos);
  EXPECT_NE(message("rules: [{times: -1}]").find("whole number"), std::string::npos);
  EXPECT_NE(message("prices: [{input: 1}]").find("needs a model"), std::string::npos);
  EXPECT_NE(message("prices: [{model: x, input: cheap}]").find("dollars"), std::string::npos);
  EXPECT_NE(message("[1, 2]").find("a script is a map"), std::string::npos);
  EXPECT_NE(message("rules: 5").find("list"), std::string::npos);
  EXPECT_NE(message("seed: {a: 1}").find("text"), std::string::npos);
}

/// What a rule is, as simply as it can be said.
struct ModelRule {
  std::vector<bool> fate;  ///< of its n-th match
  int64_t matched = 0;
};

TEST(Script, RandomScriptsAgreeWithTheModel) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    std::mt19937_64 random(seed);
    const auto below = [&](uint64_t bound) { return random() % bound; };
    const char* const models[] = {"gpt-4o", "gpt-4o-mini", "claude", "llama"};
    const char* const patterns[] = {"", "*", "gpt-*", "*mini", "claude"};
    std::vector<Rule> rules;
    for (uint64_t i = 0, count = below(6); i < count; ++i) {
      Rule rule;
      rule.model = patterns[below(5)];
      if (below(3) == 0) rule.stream = below(2) == 0;
      rule.skip = static_cast<int64_t>(below(4));
      rule.every = 1 + static_cast<int64_t>(below(3));
      if (below(2) == 0) rule.times = static_cast<int64_t>(below(10));
      if (below(3) == 0) rule.chance = 0.5;
      for (uint64_t k = 0; k <= below(3); ++k) rule.answers.push_back({{"tokens", std::to_string(k)}});
      rules.push_back(std::move(rule));
    }
    Script script(rules, seed);
    Script again(rules, seed);
    // The fate of each rule's n-th match, known before any request comes.
    std::vector<ModelRule> model(rules.size());
    for (size_t i = 0; i < rules.size(); ++i) {
      int64_t applied = 0;
      for (int64_t nth = 0; nth < 200; ++nth) {
        bool applies = nth >= rules[i].skip && (nth - rules[i].skip) % rules[i].every == 0;
        if (rules[i].times && applied >= *rules[i].times) applies = false;
        if (applies && rules[i].chance < 1)
          applies = Draws(seed + i, static_cast<uint64_t>(nth)).unit() < rules[i].chance;
        if (applies) ++applied;
        model[i].fate.push_back(applies);
      }
    }
    for (int step = 0; step < 200; ++step) {
      const Ask ask = asking(models[below(4)], below(2) == 0);
      int expected = -1;
      for (size_t i = 0; i < rules.size() && expected < 0; ++i) {
        if (!rules[i].model.empty() && !glob(rules[i].model, ask.model)) continue;
        if (rules[i].stream && *rules[i].stream != ask.stream) continue;
        if (model[i].fate[static_cast<size_t>(model[i].matched++)]) expected = static_cast<int>(i);
      }
      const auto choice = script.choose({.path = "/", .key = "", .ask = &ask});
      ASSERT_EQ(choice ? static_cast<int>(choice->rule) : -1, expected) << "seed " << seed << " step " << step;
      const auto same = again.choose({.path = "/", .key = "", .ask = &ask});
      ASSERT_EQ(choice ? *choice->directives : std::vector<Directive>{},
                same ? *same->directives : std::vector<Directive>{});
    }
  }
}

}  // namespace
}  // namespace tessera::mock
