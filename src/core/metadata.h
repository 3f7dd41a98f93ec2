#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace tessera::core {

/// A metadata value as filters see it. Nested objects are flattened with dots ("a.b"); lists hold strings.
using MetadataValue = std::variant<std::monostate, bool, int64_t, double, std::string, std::vector<std::string>>;

/// Field name -> value, ordered by name. At most kMetadataFieldsMax fields.
using Metadata = std::map<std::string, MetadataValue, std::less<>>;

inline constexpr size_t kMetadataFieldsMax = 128;

/// A condition on metadata, parsed from the `filter` of a request. A value; depth at most kFilterDepthMax (the parser
/// enforces it). all/any/none combine `children`; the others test `field` against `values` (one value, except in). A
/// list field matches eq/in when one of its elements does. A missing field matches only `ne`. Numbers compare across
/// int64 and double; ordering across other types is false.
struct Filter {
  enum class Op { all, any, none, eq, ne, gt, gte, lt, lte, in, exists };
  Op op = Op::all;
  std::string field;
  std::vector<MetadataValue> values;
  std::vector<Filter> children;
};

inline constexpr int kFilterDepthMax = 16;

/// Whether `metadata` satisfies `filter`. An empty `all` is true.
bool matches(const Filter& filter, const Metadata& metadata);

}  // namespace tessera::core
