#include "store/memory/memory_conversations.h"

#include <algorithm>

#include "store/rules.h"

namespace tessera::store {

using core::Task;

Task<base::Result<core::Session>> MemoryConversations::open_session(core::Tenant tenant, core::Session session) {
  TESSERA_CO_CHECK(check_session(tenant, session));
  const std::lock_guard lock(mutex_);
  const auto [it, created] = sessions_.try_emplace({tenant, session.session_id});
  core::Session& kept = it->second.session;
  if (created) {
    kept = std::move(session);
    if (kept.created_at_ms == 0) kept.created_at_ms = clock_.unix_ms();
    kept.last_active_ms = std::max(kept.last_active_ms, kept.created_at_ms);
    kept.messages = 0;
  } else if (kept.user_id != session.user_id) {
    co_return std::unexpected(session_not_found());
  }
  co_return kept;
}

Task<base::Result<core::Session>> MemoryConversations::find_session(core::Tenant tenant, std::string session_id) {
  TESSERA_CO_CHECK(check_tenant(tenant));
  const std::lock_guard lock(mutex_);
  const auto it = sessions_.find({tenant, session_id});
  if (it == sessions_.end()) co_return std::unexpected(session_not_found());
  co_return it->second.session;
}

Task<base::Result<core::Page<core::Session>>> MemoryConversations::list_sessions(core::Tenant tenant,
                                                                                 std::string user_id,
                                                                                 core::PageRequest request) {
  TESSERA_CO_CHECK(check_tenant(tenant));
  CursorPoint point;
  if (!request.cursor.empty()) {
    TESSERA_CO_TRY(point, decode_cursor('s', request.cursor));
  }
  std::vector<core::Session> all;
  {
    const std::lock_guard lock(mutex_);
    for (auto it = sessions_.lower_bound({tenant, ""}); it != sessions_.end() && it->first.first == tenant; ++it) {
      const core::Session& session = it->second.session;
      if (!user_id.empty() && session.user_id != user_id) continue;
      if (!request.cursor.empty() &&
          std::pair(session.last_active_ms, session.session_id) >= std::pair(point.number, point.text)) {
        continue;
      }
      all.push_back(session);
    }
  }
  std::ranges::sort(all, std::greater(), [](const auto& s) { return std::pair(s.last_active_ms, s.session_id); });
  core::Page<core::Session> page;
  const auto limit = static_cast<size_t>(page_limit(request));
  if (all.size() > limit) {
    all.resize(limit);
    page.next_cursor = encode_cursor('s', {.number = all.back().last_active_ms, .text = all.back().session_id});
  }
  page.items = std::move(all);
  co_return page;
}

Task<base::Result<>> MemoryConversations::delete_session(core::Tenant tenant, std::string session_id) {
  TESSERA_CO_CHECK(check_tenant(tenant));
  const std::lock_guard lock(mutex_);
  if (sessions_.erase({tenant, session_id}) == 0) co_return std::unexpected(session_not_found());
  co_return base::Result<>{};
}

Task<base::Result<>> MemoryConversations::append_messages(core::Tenant tenant,
                                                          std::vector<core::StoredMessage> messages) {
  TESSERA_CO_CHECK(check_messages(tenant, messages));
  const std::lock_guard lock(mutex_);
  for (const auto& message : messages) {
    if (!sessions_.contains({tenant, message.session_id})) co_return std::unexpected(session_not_found());
  }
  for (auto& message : messages) {
    Entry& entry = sessions_.at({tenant, message.session_id});
    if (!entry.message_ids.insert(message.message_id).second) continue;
    core::Session& session = entry.session;
    if (message.created_at_ms == 0) message.created_at_ms = clock_.unix_ms();
    message.sequence = ++session.messages;
    session.last_active_ms = std::max(session.last_active_ms, message.created_at_ms);
    if (session.title.empty() && message.role == core::Role::user) session.title = session_title(message.content);
    entry.messages.push_back(std::move(message));
  }
  co_return base::Result<>{};
}

Task<base::Result<core::Page<core::StoredMessage>>> MemoryConversations::list_messages(core::Tenant tenant,
                                                                                       std::string session_id,
                                                                                       core::PageRequest request) {
  TESSERA_CO_CHECK(check_tenant(tenant));
  CursorPoint point;
  if (!request.cursor.empty()) {
    TESSERA_CO_TRY(point, decode_cursor('m', request.cursor));
  }
  const std::lock_guard lock(mutex_);
  const auto it = sessions_.find({tenant, session_id});
  if (it == sessions_.end()) co_return std::unexpected(session_not_found());
  core::Page<core::StoredMessage> page;
  const auto& messages = it->second.messages;
  const int64_t count = static_cast<int64_t>(messages.size());
  const int64_t begin = std::clamp<int64_t>(point.number, 0, count);
  const int64_t end = std::min(begin + page_limit(request), count);
  page.items.assign(messages.begin() + begin, messages.begin() + end);
  if (end < count) page.next_cursor = encode_cursor('m', {.number = end, .text = ""});
  co_return page;
}

Task<base::Result<std::vector<core::StoredMessage>>> MemoryConversations::recent_messages(core::Tenant tenant,
                                                                                          std::string session_id,
                                                                                          int64_t limit) {
  TESSERA_CO_CHECK(check_tenant(tenant));
  const std::lock_guard lock(mutex_);
  const auto it = sessions_.find({tenant, session_id});
  if (it == sessions_.end()) co_return std::unexpected(session_not_found());
  const auto& messages = it->second.messages;
  const int64_t count = std::clamp<int64_t>(limit, 0, static_cast<int64_t>(messages.size()));
  co_return std::vector<core::StoredMessage>(messages.end() - count, messages.end());
}

Task<base::Result<int64_t>> MemoryConversations::erase_user(core::Tenant tenant, std::string user_id) {
  TESSERA_CO_CHECK(check_tenant(tenant));
  if (user_id.empty()) co_return std::unexpected(user_required());
  const std::lock_guard lock(mutex_);
  co_return static_cast<int64_t>(std::erase_if(sessions_, [&](const auto& item) {
    return item.first.first == tenant && item.second.session.user_id == user_id;
  }));
}

}  // namespace tessera::store
