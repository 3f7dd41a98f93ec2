#include "api/filter_json.h"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "api/json_writer.h"

namespace tessera::api {
namespace json = boost::json;
namespace {

constexpr size_t kNameBytesMax = 256;
constexpr size_t kNameShown = 64;
constexpr size_t kTextBytesMax = 64 * 1024;
constexpr size_t kListItemsMax = 1024;
constexpr size_t kFilterChildrenMax = 256;

std::unexpected<base::Error> bad_metadata(std::string_view param, std::string message) {
  return base::fail(base::Code::invalid, "INVALID_METADATA", std::move(message), std::string(), std::string(param));
}

std::unexpected<base::Error> bad_filter(std::string_view param, std::string message) {
  return base::fail(base::Code::invalid, "INVALID_FILTER", std::move(message), std::string(), std::string(param));
}

std::optional<core::MetadataValue> scalar(const json::value& value) {
  switch (value.kind()) {
    case json::kind::null:
      return core::MetadataValue{};
    case json::kind::bool_:
      return value.get_bool();
    case json::kind::int64:
      return value.get_int64();
    case json::kind::uint64:
      return static_cast<double>(value.get_uint64());
    case json::kind::double_:
      return value.get_double();
    case json::kind::string: {
      const std::string_view text = value.get_string();
      if (text.size() > kTextBytesMax) return std::nullopt;
      return std::string(text);
    }
    case json::kind::array:
    case json::kind::object:
      return std::nullopt;
  }
  return std::nullopt;
}

base::Result<> flatten(const json::object& object, const std::string& prefix, core::Metadata& out,
                       std::string_view param) {
  for (const auto& member : object) {
    const std::string name =
        prefix.empty() ? std::string(member.key()) : fmt::format("{}.{}", prefix, std::string_view(member.key()));
    if (name.empty() || name.size() > kNameBytesMax || name.front() == '$') {
      return bad_metadata(param, "Metadata names are 1 to 256 bytes long and do not start with '$'.");
    }
    if (member.value().is_object()) {
      TESSERA_CHECK(flatten(member.value().get_object(), name, out, param));
      continue;
    }
    if (member.value().is_array()) {
      std::vector<std::string> list;
      for (const json::value& item : member.value().get_array()) {
        if (item.is_array() || item.is_object() || list.size() == kListItemsMax) {
          return bad_metadata(param,
                              fmt::format("'{}' may hold up to {} texts, numbers or booleans.", name, kListItemsMax));
        }
        list.push_back(item.is_string() ? std::string(std::string_view(item.get_string())) : json::serialize(item));
      }
      out.insert_or_assign(name, std::move(list));
    } else {
      auto value = scalar(member.value());
      if (!value) return bad_metadata(param, fmt::format("'{}' is longer than 64 KiB.", name));
      out.insert_or_assign(name, *std::move(value));
    }
    if (out.size() > core::kMetadataFieldsMax) {
      return bad_metadata(param, fmt::format("Metadata has more than {} fields.", core::kMetadataFieldsMax));
    }
  }
  return {};
}

std::optional<core::Filter::Op> parse_operator(std::string_view name) {
  using Op = core::Filter::Op;
  if (name == "$eq") return Op::eq;
  if (name == "$ne") return Op::ne;
  if (name == "$gt") return Op::gt;
  if (name == "$gte") return Op::gte;
  if (name == "$lt") return Op::lt;
  if (name == "$lte") return Op::lte;
  if (name == "$in") return Op::in;
  if (name == "$exists") return Op::exists;
  return std::nullopt;
}

base::Result<core::Filter> parse_condition(std::string_view field, std::string_view op_name, const json::value& value,
                                           std::string_view param) {
  const auto op = parse_operator(op_name);
  if (!op) {
    return bad_filter(
        param,
        fmt::format(
            "'{}' is not an operator; there are $eq, $ne, $gt, $gte, $lt, $lte, $in, $nin, $exists, $and, $or, $not.",
            op_name.substr(0, kNameShown)));
  }
  core::Filter filter{.op = *op, .field = std::string(field), .values = {}, .children = {}};
  if (*op == core::Filter::Op::in) {
    if (!value.is_array() || value.get_array().size() > kListItemsMax) {
      return bad_filter(param, fmt::format("$in takes a list of up to {} values.", kListItemsMax));
    }
    for (const json::value& item : value.get_array()) {
      auto one = scalar(item);
      if (!one) return bad_filter(param, "$in takes a list of texts, numbers, booleans or null.");
      filter.values.push_back(*std::move(one));
    }
    return filter;
  }
  if (*op == core::Filter::Op::exists && !value.is_bool()) return bad_filter(param, "$exists takes true or false.");
  auto one = scalar(value);
  if (!one) return bad_filter(param, fmt::format("{} takes a text, a number, a boolean or null.", op_name));
  filter.values.push_back(*std::move(one));
  return filter;
}

base::Result<core::Filter> parse_filter(const json::value& value, std::string_view param, int depth);

base::Result<core::Filter> parse_group(core::Filter::Op op, const json::value& value, std::string_view param,
                                       int depth) {
  core::Filter group{.op = op, .field = {}, .values = {}, .children = {}};
  if (op == core::Filter::Op::none) {
    TESSERA_TRY(core::Filter child, parse_filter(value, param, depth + 1));
    group.children.push_back(std::move(child));
    return group;
  }
  if (!value.is_array() || value.get_array().empty() || value.get_array().size() > kFilterChildrenMax) {
    return bad_filter(param, fmt::format("$and and $or take a list of 1 to {} filters.", kFilterChildrenMax));
  }
  for (const json::value& item : value.get_array()) {
    TESSERA_TRY(core::Filter child, parse_filter(item, param, depth + 1));
    group.children.push_back(std::move(child));
  }
  return group;
}

base::Result<core::Filter> parse_field(std::string_view name, const json::value& value, std::string_view param) {
  if (name.empty() || name.size() > kNameBytesMax || name.front() == '$') {
    return bad_filter(param,
                      fmt::format("'{}' is neither the name of a field nor one of $and, $or and $not; names are 1 "
                                  "to {} bytes long and do not start with '$'.",
                                  name.substr(0, kNameShown), kNameBytesMax));
  }
  if (value.is_object() && value.get_object().empty()) {
    return bad_filter(param, fmt::format("'{}' has no condition: {{}} says nothing of it. Leave the field out, or say "
                                         "what it must be.",
                                         name.substr(0, kNameShown)));
  }
  if (!value.is_object()) return parse_condition(name, value.is_array() ? "$in" : "$eq", value, param);
  core::Filter all;
  for (const auto& member : value.get_object()) {
    const std::string_view op = member.key();
    const bool negated = op == "$nin";
    TESSERA_TRY(core::Filter condition, parse_condition(name, negated ? "$in" : op, member.value(), param));
    if (negated) {
      core::Filter none{.op = core::Filter::Op::none, .field = {}, .values = {}, .children = {}};
      none.children.push_back(std::move(condition));
      condition = std::move(none);
    }
    all.children.push_back(std::move(condition));
  }
  return all;
}

base::Result<core::Filter> parse_filter(const json::value& value, std::string_view param, int depth) {
  if (depth > core::kFilterDepthMax)
    return bad_filter(param, fmt::format("The filter nests deeper than {} levels.", core::kFilterDepthMax));
  if (!value.is_object()) return bad_filter(param, "A filter is an object: {\"field\": value}.");
  core::Filter all;
  if (value.get_object().empty() && depth > 1) {
    return bad_filter(param, "{} within $and, $or or $not says nothing; leave it out.");
  }
  if (value.get_object().size() > kFilterChildrenMax)
    return bad_filter(param, fmt::format("A filter has at most {} conditions.", kFilterChildrenMax));
  for (const auto& member : value.get_object()) {
    const std::string_view name = member.key();
    base::Result<core::Filter> child =
        name == "$and"   ? parse_group(core::Filter::Op::all, member.value(), param, depth)
        : name == "$or"  ? parse_group(core::Filter::Op::any, member.value(), param, depth)
        : name == "$not" ? parse_group(core::Filter::Op::none, member.value(), param, depth)
                         : parse_field(name, member.value(), param);
    if (!child) return std::unexpected(std::move(child).error());
    all.children.push_back(*std::move(child));
  }
  return all.children.size() == 1 ? std::move(all.children.front()) : std::move(all);
}

}  // namespace

base::Result<core::Metadata> metadata_from_json(const json::value& value, std::string_view param) {
  if (!value.is_object()) return bad_metadata(param, "Metadata is an object of names and values.");
  core::Metadata out;
  TESSERA_CHECK(flatten(value.get_object(), {}, out, param));
  return out;
}

base::Result<core::Filter> filter_from_json(const json::value& value, std::string_view param) {
  return parse_filter(value, param, 1);
}

void write_metadata(JsonWriter& out, const core::Metadata& metadata) {
  out.begin_object();
  for (const auto& [name, value] : metadata) {
    out.key(name);
    std::visit(
        [&](const auto& v) {
          using T = std::decay_t<decltype(v)>;
          if constexpr (std::is_same_v<T, std::monostate>) {
            out.null();
          } else if constexpr (std::is_same_v<T, bool>) {
            out.boolean(v);
          } else if constexpr (std::is_same_v<T, std::string>) {
            out.text(v);
          } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
            out.begin_array();
            for (const std::string& item : v) out.text(item);
            out.end_array();
          } else {
            out.number(v);
          }
        },
        value);
  }
  out.end_object();
}

}  // namespace tessera::api
