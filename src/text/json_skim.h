#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tessera::text {

enum class JsonKind : uint8_t { none, object, array, string, number, boolean, null };

/// A forward reader over JSON text (RFC 8259) that builds nothing: it steps into objects and arrays and over values,
/// and gives the bytes of each. Every byte is read once, strings sixteen at a time. It checks the grammar of all it
/// passes (not the UTF-8 of strings). The first mistake makes every later call fail. A value; keeps views of the text.
///
///   JsonCursor at(text);
///   if (at.enter_object()) while (at.next_member(key)) use(key, at.skip());
class JsonCursor {
 public:
  static constexpr size_t kDepthMax = 512;

  explicit JsonCursor(std::string_view text) : text_(text) {}

  /// What stands at the cursor; none at the end, after a mistake and where no value begins.
  JsonKind peek();
  /// Steps into the object (array) at the cursor; false, and a mistake, when something else stands there.
  bool enter_object();
  bool enter_array();
  /// To the value of the object's next member; `key` is what stands between its quotes, escapes as they are. False at
  /// the object's end, which is then behind the cursor, or on a mistake. The value before must have been passed.
  bool next_member(std::string_view& key);
  bool next_element();
  /// Steps over the value and gives its bytes, quotes and brackets included; empty on a mistake.
  std::string_view skip();
  /// Whether nothing but white space is left and no mistake was met.
  bool at_end();
  [[nodiscard]] bool ok() const { return !failed_; }
  /// Where the cursor, or the mistake, is.
  [[nodiscard]] size_t position() const { return at_; }

 private:
  void skip_space();
  bool fail();
  bool take(char c);
  bool string();
  bool number();
  bool literal(std::string_view word);
  bool scalar(char first);
  bool container();

  std::string_view text_;
  size_t at_ = 0;
  bool fresh_ = false;  ///< just behind an opening bracket
  bool failed_ = false;
};

/// A member of an object's top level: bytes of the text it was read from.
struct JsonMember {
  std::string_view key;    ///< between the quotes, escapes as they are
  std::string_view value;  ///< quotes and brackets included
  JsonKind kind = JsonKind::none;

  /// Whether the key, escapes resolved, is `name`.
  [[nodiscard]] bool is(std::string_view name) const;
};

constexpr size_t kJsonMembersMax = 1024;

/// The members of the object that `text` is, in order, duplicates too; `members` is emptied first. Errors: invalid
/// BAD_JSON (where the mistake is; not an object; more than kJsonMembersMax members).
base::Result<> skim_json_object(std::string_view text, std::vector<JsonMember>& members);

/// The last member of that name, as parsers that build trees keep it; nullptr when there is none.
const JsonMember* find_member(const std::vector<JsonMember>& members, std::string_view name);

/// What a string's bytes (with quotes) mean; nothing when they are no string. Half a surrogate pair becomes U+FFFD.
std::optional<std::string> json_text(std::string_view value);
/// How many bytes of UTF-8 that is, without making it; 0 for anything but a string.
size_t json_text_size(std::string_view value);
/// A number without fraction that fits, else nothing.
std::optional<int64_t> json_integer(std::string_view value);
/// `text` as a JSON string with quotes. Bytes that are no UTF-8 stay as they are.
std::string json_quote(std::string_view text);

}  // namespace tessera::text
