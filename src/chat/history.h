#pragma once

#include <cstddef>
#include <functional>
#include <string_view>
#include <vector>

#include "core/chat_model.h"
#include "core/conversations.h"

namespace tessera::chat {

struct HistoryBounds {
  size_t messages_max = 10;
  size_t tokens_max = 8000;
};

/// The latest messages that fit both bounds (the tighter wins), oldest first. Turns that failed are left out, and an
/// answer whose question fell out of the window goes with it. `count` gives tokens of a text; each message costs
/// kMessageOverheadTokens more.
std::vector<core::ChatMessage> history_window(const std::vector<core::StoredMessage>& stored,
                                              const HistoryBounds& bounds,
                                              const std::function<size_t(std::string_view)>& count);

inline constexpr size_t kMessageOverheadTokens = 4;

}  // namespace tessera::chat
