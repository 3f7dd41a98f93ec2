#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "core/chat_model.h"
#include "core/context.h"

namespace tessera::chat {

/// A passage an answer rests on. `n` is the number of its marker "[n]"; `snippet` is bytes [start, end) of the stored
/// document: the quoted sentence where the answer quotes one, else the chunk. `cited`: a marker names it.
struct Citation {
  int64_t n = 0;
  std::string document_id;
  std::string chunk_id;
  std::string title;
  std::string snippet;
  int64_t start = 0;
  int64_t end = 0;
  double score = 0;
  bool cited = false;
};

struct CacheNote {
  bool hit = false;
  std::string level;  ///< empty: none
};

/// The whole answer to a turn, as POST /chat returns it. `sources`: those the answer cites; for a text model that cites
/// none, those it was given. `citations_removed` counts markers without a source.
struct ChatResponse {
  std::string session_id;
  std::string message_id;
  std::string answer;
  std::vector<Citation> sources;
  std::string model;
  std::string finish_reason;
  core::Usage usage;
  CacheNote cache;
  std::vector<std::pair<std::string, double>> timings;
  std::vector<std::string> degraded;
  int64_t citations_removed = 0;
};

struct Status {
  std::string stage;  ///< "history", "retrieving", "generating", "saving"
  std::string message;
};
struct ToolCallStart {
  std::string call_id;
  std::string name;
  std::string arguments_json;
};
struct ToolResult {
  std::string call_id;
  std::string name;
  bool ok = true;
  std::string content;
};
/// What was retrieved, before the answer begins; numbers are those of the markers.
struct Sources {
  std::vector<Citation> sources;
};
struct Token {
  std::string text;
};
struct UsageEvent {
  core::Usage usage;
};
struct Done {
  ChatResponse response;
};
struct Failed {
  base::Error error;
};

/// What happens during a turn, in order; the last is Done or Failed.
using ChatEvent = std::variant<Status, ToolCallStart, ToolResult, Sources, Token, UsageEvent, Done, Failed>;

/// "status", "tool_call_start", "tool_result", "sources", "token", "usage", "done", "error".
std::string_view event_name(const ChatEvent& event);
/// Bytes the event holds, about; for limits.
size_t event_bytes(const ChatEvent& event);

/// Receives events in order; awaiting it is the back-pressure. An error ends the turn (the reader is gone).
class ChatEventSink {
 public:
  virtual ~ChatEventSink() = default;
  virtual core::Task<base::Result<>> on_event(ChatEvent event) = 0;
};

/// The sources as the JSON array clients get (and the store keeps as sources_json).
std::string sources_to_json(const std::vector<Citation>& sources);

}  // namespace tessera::chat
