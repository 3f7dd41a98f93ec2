#include "api/body.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>

#include "api/filter_json.h"

namespace tessera::api {
namespace json = boost::json;

struct Body::Tree {
  json::value root;
};

namespace {

base::Error field_error(std::string name, std::string message, std::string_view param) {
  return base::make_error(base::Code::invalid, std::move(name), std::move(message), {}, std::string(param));
}

bool one_of(std::string_view word, std::string_view allowed) {
  while (!allowed.empty()) {
    const size_t bar = allowed.find('|');
    if (allowed.substr(0, bar) == word) return true;
    if (bar == std::string_view::npos) break;
    allowed.remove_prefix(bar + 1);
  }
  return false;
}

std::string_view type_name(FieldType type) {
  switch (type) {
    case FieldType::text:
      return "a string";
    case FieldType::integer:
      return "an integer";
    case FieldType::number:
      return "a number";
    case FieldType::boolean:
      return "true or false";
    case FieldType::object:
    case FieldType::map:
      return "an object";
    case FieldType::array:
      return "an array";
    case FieldType::any:
      return "a value";
  }
  return "a value";
}

bool has_type(const json::value& value, FieldType type) {
  switch (type) {
    case FieldType::text:
      return value.is_string();
    case FieldType::integer:
      return value.is_int64() || (value.is_uint64() && value.get_uint64() <= INT64_MAX) ||
             (value.is_double() && std::trunc(value.get_double()) == value.get_double() &&
              std::abs(value.get_double()) < 9e15);
    case FieldType::number:
      return value.is_number();
    case FieldType::boolean:
      return value.is_bool();
    case FieldType::object:
    case FieldType::map:
      return value.is_object();
    case FieldType::array:
      return value.is_array();
    case FieldType::any:
      return true;
  }
  return false;
}

base::Result<> check_object(const json::object& object, const Schema& schema, const std::string& path);

base::Result<> check_range(const Field& field, double size, std::string_view unit, const std::string& path) {
  if (size >= field.min && size <= field.max) return {};
  std::string message = fmt::format("'{}' must be ", path);
  const bool low = field.min > std::numeric_limits<double>::lowest();
  const bool high = field.max < std::numeric_limits<double>::max();
  if (low && high) {
    message += fmt::format("from {} to {}{}.", field.min, field.max, unit);
  } else {
    message += low ? fmt::format("at least {}{}.", field.min, unit) : fmt::format("at most {}{}.", field.max, unit);
  }
  return std::unexpected(field_error("INVALID_FIELD", std::move(message), path));
}

base::Result<> check_array(const json::array& array, const Field& field, const std::string& path) {
  TESSERA_CHECK(check_range(field, static_cast<double>(array.size()), " items long", path));
  for (size_t i = 0; i < array.size(); ++i) {
    const std::string item = fmt::format("{}[{}]", path, i);
    if (field.items == nullptr) {
      if (!array[i].is_string()) {
        return std::unexpected(field_error("INVALID_FIELD", fmt::format("'{}' must be a string.", item), item));
      }
    } else if (!field.items->name.empty()) {
      if (!array[i].is_object()) {
        return std::unexpected(field_error("INVALID_FIELD", fmt::format("'{}' must be an object.", item), item));
      }
      TESSERA_CHECK(check_object(array[i].get_object(), *field.items, item));
    }
  }
  return {};
}

base::Result<> check_field(const json::value& value, const Field& field, const std::string& path) {
  if (value.is_null()) {
    if (!field.required) return {};
    return std::unexpected(field_error("MISSING_FIELD", fmt::format("'{}' is required.", path), path));
  }
  if (!has_type(value, field.type)) {
    return std::unexpected(
        field_error("INVALID_FIELD", fmt::format("'{}' must be {}.", path, type_name(field.type)), path));
  }
  switch (field.type) {
    case FieldType::text: {
      const std::string_view text = value.get_string();
      if (!field.allowed.empty() && !one_of(text, field.allowed)) {
        std::string words(field.allowed);
        std::ranges::replace(words, '|', ',');
        return std::unexpected(
            field_error("INVALID_FIELD", fmt::format("'{}' must be one of: {}.", path, words), path));
      }
      return check_range(field, static_cast<double>(text.size()), " bytes long", path);
    }
    case FieldType::integer:
    case FieldType::number:
      return check_range(field, value.to_number<double>(), "", path);
    case FieldType::array:
      return check_array(value.get_array(), field, path);
    case FieldType::object:
      return field.items == nullptr ? base::Result<>{} : check_object(value.get_object(), *field.items, path);
    case FieldType::boolean:
    case FieldType::map:
    case FieldType::any:
      return {};
  }
  return {};
}

base::Result<> check_object(const json::object& object, const Schema& schema, const std::string& path) {
  const auto full = [&](std::string_view name) {
    return path.empty() ? std::string(name) : fmt::format("{}.{}", path, name);
  };
  if (!schema.open) {
    for (const auto& member : object) {
      const std::string_view name = member.key();
      if (std::ranges::find(schema.fields, name, &Field::name) == schema.fields.end()) {
        const std::string shown = full(name.substr(0, 64));
        return std::unexpected(
            field_error("UNKNOWN_FIELD", fmt::format("'{}' is not a field of this request.", shown), shown));
      }
    }
  }
  for (const Field& field : schema.fields) {
    const json::value* value = object.if_contains(field.name);
    if (value == nullptr) {
      if (!field.required) continue;
      return std::unexpected(
          field_error("MISSING_FIELD", fmt::format("'{}' is required.", full(field.name)), full(field.name)));
    }
    TESSERA_CHECK(check_field(*value, field, full(field.name)));
  }
  return {};
}

const json::value* lookup(const void* object, std::string_view name) {
  const json::value* value = static_cast<const json::object*>(object)->if_contains(name);
  return value == nullptr || value->is_null() ? nullptr : value;
}

}  // namespace

base::Result<Body> Body::parse(std::string_view text, const Schema& schema) {
  auto tree = std::make_shared<Tree>();
  json::error_code error;
  json::parse_options options;
  options.max_depth = 32;
  tree->root = json::parse(text, error, {}, options);
  if (error) {
    const bool deep = error == json::error::too_deep;
    return std::unexpected(field_error(
        "INVALID_JSON", deep ? "The body nests deeper than 32 levels." : "The body is not valid JSON in UTF-8.", {}));
  }
  if (!tree->root.is_object()) {
    return std::unexpected(field_error("INVALID_JSON", "The body must be a JSON object.", {}));
  }
  TESSERA_CHECK(check_object(tree->root.get_object(), schema, {}));
  Body body;
  body.object_ = &tree->root.get_object();
  body.tree_ = std::move(tree);
  return body;
}

bool Body::has(std::string_view name) const {
  return lookup(object_, name) != nullptr;
}

std::optional<std::string> Body::text(std::string_view name) const {
  const json::value* value = lookup(object_, name);
  if (value == nullptr || !value->is_string()) return std::nullopt;
  return std::string(std::string_view(value->get_string()));
}

std::string Body::text_or(std::string_view name, std::string_view fallback) const {
  auto value = text(name);
  return value ? *std::move(value) : std::string(fallback);
}

std::optional<int64_t> Body::integer(std::string_view name) const {
  const json::value* value = lookup(object_, name);
  if (value == nullptr || !has_type(*value, FieldType::integer)) return std::nullopt;
  return value->is_double() ? static_cast<int64_t>(value->get_double()) : value->to_number<int64_t>();
}

std::optional<double> Body::number(std::string_view name) const {
  const json::value* value = lookup(object_, name);
  if (value == nullptr || !value->is_number()) return std::nullopt;
  return value->to_number<double>();
}

std::optional<bool> Body::boolean(std::string_view name) const {
  const json::value* value = lookup(object_, name);
  if (value == nullptr || !value->is_bool()) return std::nullopt;
  return value->get_bool();
}

std::optional<Body> Body::object(std::string_view name) const {
  const json::value* value = lookup(object_, name);
  if (value == nullptr || !value->is_object()) return std::nullopt;
  Body body;
  body.tree_ = tree_;
  body.object_ = &value->get_object();
  return body;
}

std::vector<Body> Body::objects(std::string_view name) const {
  std::vector<Body> out;
  const json::value* value = lookup(object_, name);
  if (value == nullptr || !value->is_array()) return out;
  for (const json::value& item : value->get_array()) {
    if (!item.is_object()) continue;
    Body body;
    body.tree_ = tree_;
    body.object_ = &item.get_object();
    out.push_back(std::move(body));
  }
  return out;
}

std::optional<std::vector<std::string>> Body::texts(std::string_view name) const {
  const json::value* value = lookup(object_, name);
  if (value == nullptr || !value->is_array()) return std::nullopt;
  std::vector<std::string> out;
  for (const json::value& item : value->get_array()) {
    if (!item.is_string()) return std::nullopt;
    out.emplace_back(std::string_view(item.get_string()));
  }
  return out;
}

bool Body::is_text(std::string_view name) const {
  const json::value* value = lookup(object_, name);
  return value != nullptr && value->is_string();
}

bool Body::is_array(std::string_view name) const {
  const json::value* value = lookup(object_, name);
  return value != nullptr && value->is_array();
}

std::string Body::json(std::string_view name) const {
  const json::value* value = lookup(object_, name);
  return value == nullptr ? std::string() : json::serialize(*value);
}

std::string Body::rest_json(std::span<const std::string_view> taken) const {
  json::object rest;
  for (const auto& member : *static_cast<const json::object*>(object_)) {
    if (std::ranges::find(taken, std::string_view(member.key())) == taken.end())
      rest.emplace(member.key(), member.value());
  }
  return rest.empty() ? std::string() : json::serialize(rest);
}

base::Result<core::Metadata> Body::metadata(std::string_view name) const {
  const json::value* value = lookup(object_, name);
  if (value == nullptr) return core::Metadata{};
  return metadata_from_json(*value, name);
}

base::Result<std::optional<core::Filter>> Body::filter(std::string_view name) const {
  const json::value* value = lookup(object_, name);
  if (value == nullptr) return std::optional<core::Filter>{};
  TESSERA_TRY(core::Filter filter, filter_from_json(*value, name));
  return std::optional<core::Filter>(std::move(filter));
}

}  // namespace tessera::api
