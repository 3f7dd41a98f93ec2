#pragma once

#include <limits>
#include <span>
#include <string_view>
#include <vector>

namespace tessera::api {

/// The type of a JSON field. `any` takes every value, `map` an object with free keys.
enum class FieldType { text, integer, number, boolean, object, array, map, any };

/// The type as JSON Schema names it; empty for any.
std::string_view json_type(FieldType type);

struct Schema;

/// One field of a request or response: the source of validation, OpenAPI and the reference page.
struct Field {
  std::string_view name;
  FieldType type = FieldType::text;
  bool required = false;
  std::string_view help;
  double min = std::numeric_limits<double>::lowest();  ///< numbers: value; texts: bytes; arrays: items
  double max = std::numeric_limits<double>::max();
  std::string_view allowed = {};  ///< texts: the allowed words, separated by '|'
  const Schema* items = nullptr;  ///< of an object, or of an array's elements (nullptr: texts, or anything for map)
  bool nullable = false;
};

/// A named object type. `open`: unknown fields are kept for the provider (OpenAI's dialect) instead of refused.
struct Schema {
  std::string_view name;
  std::span<const Field> fields;
  bool open = false;
};

/// All schemas of the contract: request_schemas.cc, then answer_schemas.cc.
std::vector<const Schema*> all_schemas();

}  // namespace tessera::api
