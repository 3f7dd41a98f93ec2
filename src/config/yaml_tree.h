#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace tessera::config {

/// A parsed piece of a configuration file. Scalars keep their text; what type they are is the setting's affair.
struct YamlNode {
  enum class Type { null, scalar, list, map };
  struct Entry;
  Type type = Type::null;
  int line = 0;  ///< from 1
  std::string text;
  std::vector<YamlNode> items;
  std::vector<Entry> entries;  ///< in the order of the file; keys are unique
};

struct YamlNode::Entry {
  std::string key;
  int line = 0;
  YamlNode value;
};

inline constexpr int kYamlDepthMax = 8;
inline constexpr int kYamlNodesMax = 20'000;

/// Parses one YAML document; an empty text is null. Made for hostile input: no aliases, no tags, bounded depth and
/// count, keys once only. Error: invalid CONFIG_INVALID with a message that starts with "NAME:LINE: ".
base::Result<YamlNode> parse_yaml(const std::string& name, const std::string& text);

}  // namespace tessera::config
