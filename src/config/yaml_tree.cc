#include "config/yaml_tree.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <sstream>
#include <stdexcept>

namespace tessera::config {
namespace {

using base::Code;

// Leaves yaml-cpp's parser; never leaves this file.
struct Refused : std::runtime_error {
  Refused(const YAML::Mark& mark, const std::string& why) : std::runtime_error(why), line(mark.line + 1) {}
  int line;
};

// Builds the tree from the parser's events, so that what is refused is never built.
class TreeBuilder final : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark& /*mark*/) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    no_anchor(mark, anchor);
    add(mark, node(YamlNode::Type::null, mark));
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t /*anchor*/) override {
    throw Refused(mark, "aliases (*name) are not supported; write the value again");
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    no_anchor(mark, anchor);
    no_tag(mark, tag);
    if (value.find('\0') != std::string::npos) throw Refused(mark, "a value contains a NUL character");
    YamlNode scalar = node(YamlNode::Type::scalar, mark);
    scalar.text = value;
    add(mark, std::move(scalar));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value /*style*/) override {
    open(mark, tag, anchor, YamlNode::Type::list);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value /*style*/) override {
    open(mark, tag, anchor, YamlNode::Type::map);
  }
  void OnMapEnd() override { close(); }

  YamlNode root;

 private:
  struct Level {
    YamlNode node;
    bool key_next = true;
  };

  static YamlNode node(YamlNode::Type type, const YAML::Mark& mark) {
    YamlNode result;
    result.type = type;
    result.line = mark.line + 1;
    return result;
  }
  static void no_anchor(const YAML::Mark& mark, YAML::anchor_t anchor) {
    if (anchor != 0) throw Refused(mark, "anchors (&name) are not supported");
  }
  static void no_tag(const YAML::Mark& mark, const std::string& tag) {
    if (!tag.empty() && tag != "?" && tag != "!") throw Refused(mark, "tags (!name) are not supported");
  }

  void open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, YamlNode::Type type) {
    no_anchor(mark, anchor);
    no_tag(mark, tag);
    if (levels_.size() >= static_cast<size_t>(kYamlDepthMax)) throw Refused(mark, "nested too deeply");
    if (!levels_.empty() && levels_.back().node.type == YamlNode::Type::map && levels_.back().key_next) {
      throw Refused(mark, "a key must be a plain word");
    }
    levels_.push_back({.node = node(type, mark)});
  }

  void close() {
    YamlNode done = std::move(levels_.back().node);
    levels_.pop_back();
    place(std::move(done));
  }

  void add(const YAML::Mark& mark, YamlNode leaf) {
    if (++nodes_ > kYamlNodesMax) throw Refused(mark, "too many values");
    if (levels_.empty() || levels_.back().node.type != YamlNode::Type::map || !levels_.back().key_next) {
      place(std::move(leaf));
      return;
    }
    Level& level = levels_.back();
    for (const auto& entry : level.node.entries) {
      if (entry.key == leaf.text) {
        throw Refused(mark, fmt::format("\"{}\" is here twice; first on line {}", leaf.text.substr(0, 64), entry.line));
      }
    }
    if (level.node.entries.size() >= 1000) throw Refused(mark, "too many keys");
    level.node.entries.push_back({.key = std::move(leaf.text), .line = mark.line + 1, .value = {}});
    level.key_next = false;
  }

  void place(YamlNode done) {
    if (levels_.empty()) {
      root = std::move(done);
      return;
    }
    Level& level = levels_.back();
    if (level.node.type == YamlNode::Type::map) {
      level.node.entries.back().value = std::move(done);
      level.key_next = true;
    } else {
      level.node.items.push_back(std::move(done));
    }
  }

  std::vector<Level> levels_;
  int nodes_ = 0;
};

}  // namespace

base::Result<YamlNode> parse_yaml(const std::string& name, const std::string& text) {
  const auto refuse = [&name](int line, std::string_view why) {
    return base::fail(Code::invalid, "CONFIG_INVALID", fmt::format("{}:{}: {}", name, line, why));
  };
  try {
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    TreeBuilder builder;
    if (!parser.HandleNextDocument(builder)) return YamlNode{};
    TreeBuilder second;
    if (parser.HandleNextDocument(second)) {
      return refuse(second.root.line, "the file holds more than one document (---); keep one");
    }
    return std::move(builder.root);
  } catch (const Refused& error) {
    return refuse(error.line, error.what());
  } catch (const YAML::Exception& error) {
    return refuse(std::max(0, error.mark.line) + 1, error.msg.substr(0, 200));
  }
}

}  // namespace tessera::config
