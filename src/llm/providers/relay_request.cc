#include "llm/providers/relay_request.h"

#include <vector>

#include "text/json_skim.h"

namespace tessera::llm {
namespace {

using text::JsonCursor;
using text::JsonKind;
using text::JsonMember;

// An object in the making, of members' bytes.
class ObjectText {
 public:
  explicit ObjectText(size_t size) {
    out_.reserve(size);
    out_ += '{';
  }
  void add(std::string_view key, std::string_view value) {
    if (out_.size() > 1) out_ += ',';
    out_.append("\"").append(key).append("\":").append(value);
  }
  std::string finish() {
    out_ += '}';
    return std::move(out_);
  }

 private:
  std::string out_;
};

constexpr std::string_view kWanted = R"({"include_usage":true})";

std::string options_with_usage(std::string_view options) {
  std::vector<JsonMember> members;
  if (!text::skim_json_object(options, members)) return std::string(options);
  ObjectText out(options.size() + kWanted.size());
  for (const JsonMember& member : members) {
    if (!member.is("include_usage")) out.add(member.key, member.value);
  }
  out.add("include_usage", "true");
  return out.finish();
}

// Where messages of the role "developer" name it.
void find_developers(std::string_view messages, std::vector<std::string_view>& found) {
  JsonCursor at(messages);
  if (at.peek() != JsonKind::array || !at.enter_array()) return;
  while (at.next_element()) {
    if (at.peek() != JsonKind::object) {
      at.skip();
      continue;
    }
    at.enter_object();
    for (std::string_view key; at.next_member(key);) {
      const std::string_view value = at.skip();
      if (key == "role" && value == "\"developer\"") found.push_back(value);
    }
  }
}

std::string messages_with_system(std::string_view messages) {
  std::vector<std::string_view> developers;
  find_developers(messages, developers);
  std::string out;
  out.reserve(messages.size());
  const char* from = messages.data();
  for (const std::string_view role : developers) {
    out.append(from, role.data()).append("\"system\"");
    from = role.data() + role.size();
  }
  out.append(from, messages.data() + messages.size());
  return out;
}

// Where there are no choices, only the model and the wish for a stream are ours to say.
base::Result<std::string> named_body(std::string_view body, const RelayTarget& target) {
  std::vector<JsonMember> members;
  TESSERA_CHECK(text::skim_json_object(body, members));
  ObjectText out(body.size() + target.model.size() + 32);
  out.add("model", text::json_quote(target.model));
  if (target.stream) out.add("stream", "true");
  for (const JsonMember& member : members) {
    if (!member.is("model") && !member.is("stream")) out.add(member.key, member.value);
  }
  return out.finish();
}

}  // namespace

base::Result<std::string> relay_request_body(std::string_view body, const RelayTarget& target) {
  if (target.form == RelayForm::responses) return named_body(body, target);
  std::vector<JsonMember> members;
  members.reserve(16);
  TESSERA_CHECK(text::skim_json_object(body, members));
  const ProviderKind& kind = target.kind;
  ObjectText out(body.size() + target.model.size() + 64);
  bool options_said = false;
  const bool limited = !kind.max_completion_tokens && text::find_member(members, "max_tokens") != nullptr;
  out.add("model", text::json_quote(target.model));
  if (target.stream) out.add("stream", "true");
  for (const JsonMember& member : members) {
    if (member.is("model") || member.is("stream")) continue;
    if (member.is("stream_options")) {
      if (!target.stream || !kind.stream_options) continue;
      if (std::exchange(options_said, true)) continue;
      const std::string_view last = text::find_member(members, "stream_options")->value;
      out.add(member.key, last == "null" ? std::string(kWanted) : options_with_usage(last));
    } else if (!kind.max_completion_tokens && member.is("max_completion_tokens")) {
      if (!limited) out.add("max_tokens", member.value);
    } else if (!kind.developer_role && member.is("messages") &&
               member.value.find("\"developer\"") != std::string_view::npos) {
      out.add(member.key, messages_with_system(member.value));
    } else {
      out.add(member.key, member.value);
    }
  }
  if (target.stream && kind.stream_options && !options_said) out.add("stream_options", kWanted);
  return out.finish();
}

}  // namespace tessera::llm
