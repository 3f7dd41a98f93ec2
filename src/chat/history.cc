#include "chat/history.h"

#include <algorithm>
#include <ranges>

namespace tessera::chat {

std::vector<core::ChatMessage> history_window(const std::vector<core::StoredMessage>& stored,
                                              const HistoryBounds& bounds,
                                              const std::function<size_t(std::string_view)>& count) {
  std::vector<core::ChatMessage> window;
  size_t tokens = 0;
  for (const auto& message : std::views::reverse(stored)) {
    const bool spoken = message.role == core::Role::user || message.role == core::Role::assistant;
    if (message.state == "failed" || message.content.empty() || !spoken) continue;
    if (window.size() >= bounds.messages_max) break;
    tokens += count(message.content) + kMessageOverheadTokens;
    if (tokens > bounds.tokens_max) break;
    core::ChatMessage kept;
    kept.role = message.role;
    kept.content = message.content;
    window.push_back(std::move(kept));
  }
  while (!window.empty() && window.back().role != core::Role::user) window.pop_back();
  std::ranges::reverse(window);
  return window;
}

}  // namespace tessera::chat
