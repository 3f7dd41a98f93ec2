#include <boost/json.hpp>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "api/filter_json.h"
#include "api/json_writer.h"

namespace {

using tessera::core::Filter;

/// What the index relies on.
void check_filter(const Filter& filter, int depth) {
  if (depth > 2 * tessera::core::kFilterDepthMax + 4) std::abort();
  const bool group = filter.op == Filter::Op::all || filter.op == Filter::Op::any || filter.op == Filter::Op::none;
  if (group ? !filter.values.empty() || !filter.field.empty() : !filter.children.empty() || filter.field.empty()) {
    std::abort();
  }
  if (!group && filter.field.front() == '$') std::abort();
  if (filter.op == Filter::Op::none && filter.children.size() != 1) std::abort();
  // Without a condition it would match everything.
  if (group && depth > 1 && filter.children.empty()) std::abort();
  if (!group && filter.op != Filter::Op::in && filter.values.size() != 1) std::abort();
  for (const Filter& child : filter.children) check_filter(child, depth + 1);
}

}  // namespace

// Any JSON is refused or becomes a filter with a meaning, and any metadata read is written as JSON that reads the same.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tessera;
  namespace json = boost::json;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  json::error_code error;
  const json::value value = json::parse(text, error);
  if (error) return 0;
  const auto metadata = api::metadata_from_json(value, "metadata");
  if (metadata) {
    api::JsonWriter out;
    api::write_metadata(out, *metadata);
    const auto again = api::metadata_from_json(json::parse(out.take()), "metadata");
    if (!again || again->size() != metadata->size()) std::abort();
  } else if (metadata.error().name != "INVALID_METADATA") {
    std::abort();
  }
  const auto filter = api::filter_from_json(value, "filter");
  if (!filter) {
    if (filter.error().name != "INVALID_FILTER" || filter.error().message.empty()) std::abort();
    return 0;
  }
  check_filter(*filter, 1);
  static_cast<void>(core::matches(*filter, metadata ? *metadata : core::Metadata{}));
  return 0;
}
