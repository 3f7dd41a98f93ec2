// Script files: YAML (and so JSON) to rules, prices and defaults.
#include <cmath>

#include "mock/script.h"

namespace tessera::mock {
namespace {

using base::Result;
using config::YamlNode;

constexpr size_t kRulesMax = 1000;

/// Reads one file; remembers its name for the errors.
class FileReader {
 public:
  explicit FileReader(const std::string& name) : name_(name) {}

  Result<Script::File> read(const YamlNode& root) const {
    Script::File file;
    if (root.type == YamlNode::Type::null) return file;
    if (root.type != YamlNode::Type::map)
      return bad(root, "a script is a map with rules, defaults, prices, models, seed");
    for (const auto& entry : root.entries) {
      if (entry.key == "seed") {
        TESSERA_TRY(const int64_t seed, count(entry.value));
        file.seed = static_cast<uint64_t>(seed);
      } else if (entry.key == "defaults") {
        TESSERA_TRY(file.defaults, directives(entry.value));
      } else if (entry.key == "models") {
        TESSERA_TRY(file.models, texts(entry.value));
      } else if (entry.key == "prices") {
        TESSERA_CHECK(each(entry.value, [&](const YamlNode& node) { return price(node, file); }));
      } else if (entry.key == "rules") {
        TESSERA_CHECK(each(entry.value, [&](const YamlNode& node) { return rule(node, file); }));
      } else {
        return bad(entry, "\"" + entry.key + "\" is unknown; a script has rules, defaults, prices, models, seed");
      }
    }
    return file;
  }

 private:
  template <class At>
  std::unexpected<base::Error> bad(const At& at, const std::string& what) const {
    return base::fail(base::Code::invalid, "CONFIG_INVALID", name_ + ":" + std::to_string(at.line) + ": " + what);
  }

  template <class F>
  Result<void> each(const YamlNode& list, F read) const {
    if (list.type != YamlNode::Type::list) return bad(list, "a list is wanted here");
    if (list.items.size() > kRulesMax) return bad(list, "at most 1000 entries");
    for (const YamlNode& node : list.items) {
      if (node.type != YamlNode::Type::map) return bad(node, "each entry is a map");
      TESSERA_CHECK(read(node));
    }
    return {};
  }

  Result<std::string> text(const YamlNode& node) const {
    if (node.type != YamlNode::Type::scalar) return bad(node, "a text is wanted here");
    return node.text;
  }

  Result<std::vector<std::string>> texts(const YamlNode& node) const {
    if (node.type != YamlNode::Type::list) return bad(node, "a list of texts is wanted here");
    std::vector<std::string> list;
    for (const YamlNode& item : node.items) {
      TESSERA_TRY(std::string one, text(item));
      list.push_back(std::move(one));
    }
    return list;
  }

  Result<int64_t> count(const YamlNode& node) const {
    TESSERA_TRY(const std::string value, text(node));
    const auto number = parse_number(value);
    if (!number || *number < 0 || *number > 9e15 || *number != std::floor(*number)) {
      return bad(node, "a whole number is wanted here");
    }
    return static_cast<int64_t>(*number);
  }

  /// A map of directives, tried on a plan of no use so that a mistake shows at the start.
  Result<std::vector<Directive>> directives(const YamlNode& node) const {
    std::vector<Directive> list;
    if (node.type == YamlNode::Type::scalar) {
      list = parse_directives(node.text);
    } else if (node.type == YamlNode::Type::map) {
      for (const auto& entry : node.entries) {
        if (entry.value.type == YamlNode::Type::list || entry.value.type == YamlNode::Type::map) {
          return bad(entry, "\"" + entry.key + "\" takes one value");
        }
        list.emplace_back(entry.key, entry.value.text);
      }
    } else {
      return bad(node, "an answer is a map such as {status: 429, retry-after: 2}");
    }
    Plan plan;
    for (const auto& [name, value] : list) {
      if (const auto done = follow(plan, name, value); !done) return bad(node, done.error().message);
    }
    return list;
  }

  Result<void> price(const YamlNode& node, Script::File& file) const {
    std::string model;
    Price price;
    bool cached = false;
    for (const auto& entry : node.entries) {
      TESSERA_TRY(const std::string value, text(entry.value));
      if (entry.key == "model") {
        model = value;
        continue;
      }
      const auto amount = parse_price(value);
      if (!amount) return bad(entry, amount.error().message);
      if (entry.key == "input") {
        price.input = *amount;
      } else if (entry.key == "output") {
        price.output = *amount;
      } else if (entry.key == "cached-input") {
        price.cached_input = *amount;
        cached = true;
      } else {
        return bad(entry, "\"" + entry.key + "\" is unknown; a price has model, input, output, cached-input");
      }
    }
    if (model.empty()) return bad(node, "a price needs a model, such as \"gpt-4o*\"");
    if (!cached) price.cached_input = price.input;
    file.prices.emplace_back(std::move(model), price);
    return {};
  }

  Result<void> match(const YamlNode& node, Rule& rule) const {
    if (node.type != YamlNode::Type::map) return bad(node, "match is a map");
    for (const auto& entry : node.entries) {
      TESSERA_TRY(const std::string value, text(entry.value));
      if (entry.key == "model") {
        rule.model = value;
      } else if (entry.key == "path") {
        rule.path = value;
      } else if (entry.key == "key") {
        rule.key = value;
      } else if (entry.key == "user") {
        rule.user = value;
      } else if (entry.key == "stream" && (value == "true" || value == "false")) {
        rule.stream = value == "true";
      } else {
        return bad(entry, "match knows model, path, key, user (texts with *) and stream (true or false)");
      }
    }
    return {};
  }

  Result<void> rule(const YamlNode& node, Script::File& file) const {
    Rule rule;
    rule.name = "rule " + std::to_string(file.rules.size() + 1);
    for (const auto& entry : node.entries) {
      if (entry.key == "name") {
        TESSERA_TRY(rule.name, text(entry.value));
      } else if (entry.key == "match") {
        TESSERA_CHECK(match(entry.value, rule));
      } else if (entry.key == "skip") {
        TESSERA_TRY(rule.skip, count(entry.value));
      } else if (entry.key == "times") {
        TESSERA_TRY(rule.times, count(entry.value));
      } else if (entry.key == "every") {
        TESSERA_TRY(rule.every, count(entry.value));
        if (rule.every < 1) return bad(entry, "every is at least 1");
      } else if (entry.key == "chance") {
        const auto share = parse_number(entry.value.text);
        if (!share || *share < 0 || *share > 1) return bad(entry, "chance is between 0 and 1");
        rule.chance = *share;
      } else if (entry.key == "answer") {
        TESSERA_TRY(auto one, directives(entry.value));
        rule.answers.push_back(std::move(one));
      } else if (entry.key == "answers" && entry.value.type == YamlNode::Type::list) {
        for (const YamlNode& item : entry.value.items) {
          TESSERA_TRY(auto one, directives(item));
          rule.answers.push_back(std::move(one));
        }
      } else {
        return bad(entry, "\"" + entry.key +
                              "\" is unknown here; a rule has name, match, skip, times, every, chance, and answer or "
                              "a list of answers");
      }
    }
    if (rule.answers.empty()) rule.answers.emplace_back();
    file.rules.push_back(std::move(rule));
    return {};
  }

  const std::string& name_;
};

}  // namespace

Result<int64_t> parse_price(std::string_view text) {
  const auto dollars = parse_number(text);
  if (!dollars || *dollars < 0 || *dollars > 1e6) {
    return base::fail(base::Code::invalid, "CONFIG_INVALID", "a price is dollars for a million tokens, such as 2.5");
  }
  return std::llround(*dollars * 1e6);
}

Result<Script::File> Script::parse(const std::string& name, const std::string& text) {
  TESSERA_TRY(const YamlNode root, config::parse_yaml(name, text));
  return FileReader(name).read(root);
}

}  // namespace tessera::mock
