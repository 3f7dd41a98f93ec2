#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace boost::json {
class object;
class value;
}  // namespace boost::json

// Reading the fields of parsed requests and answers.
namespace tessera::llm {

/// The member, unless it is missing or null.
const boost::json::value* member_of(const boost::json::object& object, std::string_view key);
/// A string's text, else empty.
std::string_view text_of(const boost::json::value* value);
std::optional<double> number_of(const boost::json::value* value);
int64_t count_of(const boost::json::value* value);
bool is_true(const boost::json::value* value);

/// "data:image/png;base64,..." taken apart.
struct DataUrl {
  std::string_view media_type;
  std::string_view data;
};
std::optional<DataUrl> parse_data_url(std::string_view url);

/// A request's body. Errors: invalid BAD_JSON.
base::Result<boost::json::object> parse_request(std::string_view body);
/// invalid BAD_PARAMETERS, naming the field.
std::unexpected<base::Error> bad_field(std::string_view field, std::string_view why);

/// The arguments of a tool call: an object's text, or empty for none. Errors: invalid BAD_PARAMETERS.
base::Result<boost::json::value> parse_arguments(std::string_view arguments);

/// All text of a message's content, parts joined with empty lines.
std::string joined_text(const boost::json::value* content);

}  // namespace tessera::llm
