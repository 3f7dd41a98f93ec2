#include "store/sqlite/codec.h"

#include <array>
#include <boost/json/monotonic_resource.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <cmath>
#include <optional>

namespace tessera::store {
namespace {

namespace json = boost::json;

// File names and documents may hold any bytes.
json::parse_options lenient() {
  json::parse_options options;
  options.allow_invalid_utf8 = true;
  return options;
}

std::unexpected<base::Error> damaged(const char* what) {
  return base::fail(base::Code::unavailable, "DATABASE_DAMAGED",
                    "A record of the database is damaged; the operator should restore it from a backup.", what);
}

json::value to_json(const core::MetadataValue& value, const json::storage_ptr& memory) {
  if (const auto* b = std::get_if<bool>(&value)) return json::value(*b, memory);
  if (const auto* i = std::get_if<int64_t>(&value)) return json::value(*i, memory);
  if (const auto* d = std::get_if<double>(&value)) {
    if (std::isnan(*d)) return json::value(nullptr, memory);
    return json::value(*d, memory);
  }
  if (const auto* s = std::get_if<std::string>(&value)) return json::value(json::string(*s, memory), memory);
  if (const auto* list = std::get_if<std::vector<std::string>>(&value)) {
    json::array array(memory);
    array.reserve(list->size());
    for (const auto& item : *list) array.emplace_back(item);
    return json::value(std::move(array), memory);
  }
  return json::value(nullptr, memory);
}

std::optional<core::MetadataValue> from_json(const json::value& value) {
  switch (value.kind()) {
    case json::kind::null:
      return std::monostate{};
    case json::kind::bool_:
      return value.get_bool();
    case json::kind::int64:
      return value.get_int64();
    case json::kind::double_:
      return value.get_double();
    case json::kind::string:
      return std::string(value.get_string());
    case json::kind::array: {
      std::vector<std::string> list;
      list.reserve(value.get_array().size());
      for (const auto& item : value.get_array()) {
        if (!item.is_string()) return std::nullopt;
        list.emplace_back(item.get_string());
      }
      return list;
    }
    case json::kind::uint64:
    case json::kind::object:
      break;
  }
  return std::nullopt;
}

std::string field(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

base::Code code_of(std::string_view word) {
  for (int i = 0; i <= static_cast<int>(base::Code::internal); ++i) {
    if (base::to_string(static_cast<base::Code>(i)) == word) return static_cast<base::Code>(i);
  }
  return base::Code::internal;
}

}  // namespace

std::string metadata_to_json(const core::Metadata& metadata) {
  if (metadata.empty()) return "{}";
  std::array<unsigned char, 4096> buffer;
  json::monotonic_resource memory(buffer.data(), buffer.size());
  json::object object(&memory);
  for (const auto& [name, value] : metadata) object.emplace(name, to_json(value, object.storage()));
  return json::serialize(object);
}

base::Result<core::Metadata> metadata_from_json(std::string_view text) {
  core::Metadata metadata;
  if (text == "{}") return metadata;
  std::array<unsigned char, 4096> buffer;
  json::monotonic_resource memory(buffer.data(), buffer.size());
  json::error_code error;
  const json::value root = json::parse(text, error, &memory, lenient());
  if (error || !root.is_object()) return damaged("documents.metadata");
  for (const auto& item : root.get_object()) {
    auto value = from_json(item.value());
    if (!value) return damaged("documents.metadata");
    metadata.emplace(std::string(item.key()), *std::move(value));
  }
  return metadata;
}

std::string failures_to_json(const std::vector<core::TaskFailure>& failures) {
  json::array array;
  for (const auto& failure : failures) {
    array.push_back(json::object{{"item", failure.item},
                                 {"code", base::to_string(failure.error.code)},
                                 {"name", failure.error.name},
                                 {"message", failure.error.message},
                                 {"detail", failure.error.detail},
                                 {"param", failure.error.param}});
  }
  return json::serialize(array);
}

base::Result<std::vector<core::TaskFailure>> failures_from_json(std::string_view text) {
  json::error_code error;
  const json::value root = json::parse(text, error, {}, lenient());
  if (error || !root.is_array()) return damaged("tasks.failures");
  std::vector<core::TaskFailure> failures;
  for (const auto& item : root.get_array()) {
    if (!item.is_object()) return damaged("tasks.failures");
    const json::object& object = item.get_object();
    failures.push_back(
        {.item = field(object, "item"),
         .error = base::make_error(code_of(field(object, "code")), field(object, "name"), field(object, "message"),
                                   field(object, "detail"), field(object, "param"))});
  }
  return failures;
}

}  // namespace tessera::store
