#include "llm/providers/request_fields.h"

#include <fmt/format.h>

#include <boost/json.hpp>

namespace tessera::llm {

namespace json = boost::json;
using base::Code;

const json::value* member_of(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value == nullptr || value->is_null() ? nullptr : value;
}

std::string_view text_of(const json::value* value) {
  return value != nullptr && value->is_string() ? std::string_view(value->get_string()) : std::string_view();
}

std::optional<double> number_of(const json::value* value) {
  if (value == nullptr || !value->is_number()) return std::nullopt;
  boost::system::error_code failed;
  const auto number = value->to_number<double>(failed);
  return failed ? std::nullopt : std::optional(number);
}

int64_t count_of(const json::value* value) {
  if (value == nullptr || !value->is_number()) return 0;
  boost::system::error_code failed;
  const auto count = value->to_number<int64_t>(failed);
  return failed || count < 0 ? 0 : count;
}

bool is_true(const json::value* value) {
  return value != nullptr && value->is_bool() && value->get_bool();
}

std::optional<DataUrl> parse_data_url(std::string_view url) {
  if (!url.starts_with("data:")) return std::nullopt;
  url.remove_prefix(5);
  const size_t comma = url.find(',');
  if (comma == std::string_view::npos || !url.substr(0, comma).ends_with(";base64")) return std::nullopt;
  return DataUrl{url.substr(0, url.find(';')), url.substr(comma + 1)};
}

base::Result<json::object> parse_request(std::string_view body) {
  boost::system::error_code failed;
  json::value value = json::parse(body, failed);
  if (failed || !value.is_object()) {
    return base::fail(Code::invalid, "BAD_JSON", "what was sent is not a JSON object");
  }
  return std::move(value.get_object());
}

std::unexpected<base::Error> bad_field(std::string_view field, std::string_view why) {
  return base::fail(Code::invalid, "BAD_PARAMETERS", fmt::format("{}: {}", field, why), "", std::string(field));
}

base::Result<json::value> parse_arguments(std::string_view arguments) {
  if (arguments.empty()) return json::value(json::object());
  boost::system::error_code failed;
  json::value value = json::parse(arguments, failed);
  if (failed || !value.is_object()) return bad_field("messages", "the arguments of a tool call are not a JSON object");
  return value;
}

std::string joined_text(const json::value* content) {
  if (content == nullptr || !content->is_array()) return std::string(text_of(content));
  std::string text;
  for (const json::value& part : content->get_array()) {
    const std::string_view piece = part.is_object() ? text_of(part.get_object().if_contains("text")) : text_of(&part);
    if (!text.empty() && !piece.empty()) text += "\n\n";
    text += piece;
  }
  return text;
}

}  // namespace tessera::llm
