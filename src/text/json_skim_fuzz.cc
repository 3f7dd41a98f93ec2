#include <cstdlib>

#include "text/json_reference_test.h"
#include "text/json_skim.h"

using namespace tessera::text;

namespace {

// Walks everything by stepping in, as a reader of nested values does.
void walk(JsonCursor& at, int depth) {
  std::string_view key;
  switch (depth < 600 ? at.peek() : JsonKind::none) {
    case JsonKind::object:
      at.enter_object();
      while (at.next_member(key)) walk(at, depth + 1);
      break;
    case JsonKind::array:
      at.enter_array();
      while (at.next_element()) walk(at, depth + 1);
      break;
    default: {
      const std::string_view value = at.skip();
      if (json_text(value).value_or("").size() != json_text_size(value)) std::abort();
      break;
    }
  }
}

}  // namespace

/// Skipping a text accepts what the grammar accepts, stepping through it accepts no less, and an object put together
/// again from its members has the same members.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  JsonCursor skipper(text);
  const bool skipped = !skipper.skip().empty() && skipper.at_end();
  if (skipped != testing::JsonReference::accepts(text)) std::abort();
  JsonCursor walker(text);
  walk(walker, 0);
  if (skipped && !walker.at_end()) std::abort();

  std::vector<JsonMember> members;
  if (!skim_json_object(text, members)) return 0;
  std::string again = "{";
  for (const JsonMember& member : members) {
    if (again.size() > 1) again += ',';
    again.append("\"").append(member.key).append("\":").append(member.value);
    if (find_member(members, json_text("\"" + std::string(member.key) + "\"").value()) == nullptr) std::abort();
  }
  again += '}';
  std::vector<JsonMember> second;
  if (!skim_json_object(again, second) || second.size() != members.size()) std::abort();
  for (size_t i = 0; i < second.size(); ++i) {
    if (second[i].key != members[i].key || second[i].value != members[i].value || second[i].kind != members[i].kind) {
      std::abort();
    }
  }
  return 0;
}
