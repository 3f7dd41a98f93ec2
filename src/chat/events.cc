#include "chat/events.h"

#include <fmt/core.h>

#include <iterator>

#include "base/log.h"

namespace tessera::chat {

namespace {

size_t citation_bytes(const std::vector<Citation>& sources) {
  size_t bytes = 0;
  for (const auto& s : sources) {
    bytes += sizeof(s) + s.document_id.size() + s.chunk_id.size() + s.title.size() + s.snippet.size();
  }
  return bytes;
}

struct Measure {
  size_t operator()(const Status& e) const { return e.stage.size() + e.message.size(); }
  size_t operator()(const ToolCallStart& e) const { return e.call_id.size() + e.name.size() + e.arguments_json.size(); }
  size_t operator()(const ToolResult& e) const { return e.call_id.size() + e.name.size() + e.content.size(); }
  size_t operator()(const Sources& e) const { return citation_bytes(e.sources); }
  size_t operator()(const Token& e) const { return e.text.size(); }
  size_t operator()(const UsageEvent&) const { return 0; }
  size_t operator()(const Done& e) const { return e.response.answer.size() + citation_bytes(e.response.sources); }
  size_t operator()(const Failed& e) const { return e.error.message.size() + e.error.detail.size(); }
};

}  // namespace

std::string_view event_name(const ChatEvent& event) {
  constexpr std::string_view kNames[] = {"status", "tool_call_start", "tool_result", "sources",
                                         "token",  "usage",           "done",        "error"};
  static_assert(std::size(kNames) == std::variant_size_v<ChatEvent>);
  return kNames[event.index()];
}

size_t event_bytes(const ChatEvent& event) {
  return sizeof(ChatEvent) + std::visit(Measure{}, event);
}

std::string sources_to_json(const std::vector<Citation>& sources) {
  std::string out = "[";
  const auto field = [&](std::string_view name, const std::string& value) {
    fmt::format_to(std::back_inserter(out), ",\"{}\":", name);
    base::append_json_string(out, value);
  };
  for (const auto& s : sources) {
    if (out.size() > 1) out += ',';
    fmt::format_to(std::back_inserter(out), "{{\"n\":{}", s.n);
    field("document_id", s.document_id);
    field("chunk_id", s.chunk_id);
    field("title", s.title);
    field("snippet", s.snippet);
    fmt::format_to(std::back_inserter(out), ",\"start\":{},\"end\":{},\"score\":{},\"cited\":{}}}", s.start, s.end,
                   s.score, s.cited);
  }
  return out + ']';
}

}  // namespace tessera::chat
