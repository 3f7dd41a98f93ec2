#include "store/sqlite/conversation_rows.h"

#include <algorithm>
#include <limits>
#include <optional>

#include "store/rules.h"

namespace tessera::store {
namespace {

struct SessionRow {
  int64_t key = 0;
  core::Session session;
};

// Literals are joined by the compiler, so each use is one text.
#define TESSERA_SESSION_COLUMNS "session_key, session_id, user_id, title, created_at_ms, last_active_ms, messages"
#define TESSERA_MESSAGE_COLUMNS                                                                              \
  "sequence, message_id, role, content, model, state, sources, prompt_tokens, completion_tokens, cost_usd, " \
  "created_at_ms"

SessionRow session_row(const Query& query) {
  SessionRow row;
  row.key = query.integer(0);
  row.session.session_id = query.string(1);
  row.session.user_id = query.string(2);
  row.session.title = query.string(3);
  row.session.created_at_ms = query.integer(4);
  row.session.last_active_ms = query.integer(5);
  row.session.messages = query.integer(6);
  return row;
}

base::Result<std::optional<SessionRow>> find_session_row(Connection& db, const core::Tenant& tenant,
                                                         const std::string& session_id) {
  std::optional<SessionRow> row;
  Query query(db, "SELECT " TESSERA_SESSION_COLUMNS " FROM sessions WHERE app_id = ? AND session_id = ?", tenant.app_id,
              session_id);
  if (query.next()) row = session_row(query);
  TESSERA_CHECK(query.finish());
  return row;
}

base::Result<SessionRow> need_session_row(Connection& db, const core::Tenant& tenant, const std::string& session_id) {
  TESSERA_TRY(std::optional<SessionRow> row, find_session_row(db, tenant, session_id));
  if (!row) return std::unexpected(session_not_found());
  return *std::move(row);
}

core::StoredMessage message_row(const Query& query, const std::string& session_id) {
  core::StoredMessage message;
  message.session_id = session_id;
  message.sequence = query.integer(0);
  message.message_id = query.string(1);
  message.role = core::parse_role(query.text(2)).value_or(core::Role::user);
  message.content = query.string(3);
  message.model = query.string(4);
  message.state = query.string(5);
  message.sources_json = query.string(6);
  message.usage.prompt_tokens = query.integer(7);
  message.usage.completion_tokens = query.integer(8);
  message.usage.cost = core::money_from_usd(query.real(9));
  message.created_at_ms = query.integer(10);
  return message;
}

base::Result<> delete_session_row(WriteScope& scope, const core::Tenant& tenant, int64_t key) {
  TESSERA_CHECK(run(scope.db, "DELETE FROM messages WHERE app_id = ? AND session_key = ?", tenant.app_id, key));
  return run(scope.db, "DELETE FROM sessions WHERE session_key = ?", key);
}

base::Result<> append_one(WriteScope& scope, const core::Tenant& tenant, const core::StoredMessage& message,
                          int64_t now_ms) {
  TESSERA_TRY(const SessionRow row, need_session_row(scope.db, tenant, message.session_id));
  const int64_t at = message.created_at_ms != 0 ? message.created_at_ms : now_ms;
  TESSERA_CHECK(run(scope.db,
                    "INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
                    "ON CONFLICT (app_id, session_key, message_id) DO NOTHING",
                    tenant.app_id, row.key, row.session.messages + 1, message.message_id, core::to_string(message.role),
                    message.content, message.model, message.state, message.sources_json, message.usage.prompt_tokens,
                    message.usage.completion_tokens, message.usage.cost.usd(), at));
  if (scope.db.changed() == 0) return {};
  const bool names_it = row.session.title.empty() && message.role == core::Role::user;
  const std::string title = names_it ? session_title(message.content) : row.session.title;
  return run(scope.db,
             "UPDATE sessions SET messages = messages + 1, last_active_ms = max(last_active_ms, ?), title = ? "
             "WHERE session_key = ?",
             at, title, row.key);
}

}  // namespace

base::Result<core::Session> open_session_row(WriteScope& scope, const core::Tenant& tenant,
                                             const core::Session& session, int64_t now_ms) {
  TESSERA_TRY(std::optional<SessionRow> row, find_session_row(scope.db, tenant, session.session_id));
  if (row) {
    if (row->session.user_id != session.user_id) return std::unexpected(session_not_found());
    return std::move(row->session);
  }
  core::Session kept = session;
  if (kept.created_at_ms == 0) kept.created_at_ms = now_ms;
  kept.last_active_ms = std::max(kept.last_active_ms, kept.created_at_ms);
  kept.messages = 0;
  TESSERA_CHECK(run(scope.db, "INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?, 0)", ++scope.counters.session_key,
                    tenant.app_id, kept.session_id, kept.user_id, kept.title, kept.created_at_ms, kept.last_active_ms));
  return kept;
}

base::Result<> delete_session_rows(WriteScope& scope, const core::Tenant& tenant, const std::string& session_id) {
  TESSERA_TRY(const SessionRow row, need_session_row(scope.db, tenant, session_id));
  return delete_session_row(scope, tenant, row.key);
}

base::Result<> append_message_rows(WriteScope& scope, const core::Tenant& tenant,
                                   const std::vector<core::StoredMessage>& messages, int64_t now_ms) {
  for (const auto& message : messages) TESSERA_CHECK(append_one(scope, tenant, message, now_ms));
  return {};
}

base::Result<int64_t> erase_user_rows(WriteScope& scope, const core::Tenant& tenant, const std::string& user_id) {
  std::vector<int64_t> keys;
  {
    Query query(scope.db, "SELECT session_key FROM sessions WHERE app_id = ? AND user_id = ?", tenant.app_id, user_id);
    while (query.next()) keys.push_back(query.integer(0));
    TESSERA_CHECK(query.finish());
  }
  for (const int64_t key : keys) TESSERA_CHECK(delete_session_row(scope, tenant, key));
  return static_cast<int64_t>(keys.size());
}

base::Result<core::Session> read_session(Connection& db, const core::Tenant& tenant, const std::string& session_id) {
  TESSERA_TRY(SessionRow row, need_session_row(db, tenant, session_id));
  return std::move(row.session);
}

base::Result<core::Page<core::Session>> read_sessions(Connection& db, const core::Tenant& tenant,
                                                      const std::string& user_id, const core::PageRequest& request) {
  CursorPoint point{.number = std::numeric_limits<int64_t>::max(), .text = ""};
  if (!request.cursor.empty()) {
    TESSERA_TRY(point, decode_cursor('s', request.cursor));
  }
  const int64_t limit = page_limit(request);
  core::Page<core::Session> page;
  const auto fill = [&](Query& query) -> base::Result<> {
    while (query.next()) {
      if (static_cast<int64_t>(page.items.size()) == limit) {
        const core::Session& last = page.items.back();
        page.next_cursor = encode_cursor('s', {.number = last.last_active_ms, .text = last.session_id});
        return {};
      }
      page.items.push_back(session_row(query).session);
    }
    return query.finish();
  };
  if (user_id.empty()) {
    Query query(db,
                "SELECT " TESSERA_SESSION_COLUMNS
                " FROM sessions WHERE app_id = ? AND (last_active_ms, session_id) < (?, ?) "
                "ORDER BY last_active_ms DESC, session_id DESC LIMIT ?",
                tenant.app_id, point.number, point.text, limit + 1);
    TESSERA_CHECK(fill(query));
  } else {
    Query query(db,
                "SELECT " TESSERA_SESSION_COLUMNS
                " FROM sessions WHERE app_id = ? AND user_id = ? AND (last_active_ms, session_id) < (?, ?) "
                "ORDER BY last_active_ms DESC, session_id DESC LIMIT ?",
                tenant.app_id, user_id, point.number, point.text, limit + 1);
    TESSERA_CHECK(fill(query));
  }
  return page;
}

base::Result<core::Page<core::StoredMessage>> read_messages(Connection& db, const core::Tenant& tenant,
                                                            const std::string& session_id,
                                                            const core::PageRequest& request) {
  CursorPoint point;
  if (!request.cursor.empty()) {
    TESSERA_TRY(point, decode_cursor('m', request.cursor));
  }
  TESSERA_TRY(const SessionRow row, need_session_row(db, tenant, session_id));
  const int64_t limit = page_limit(request);
  core::Page<core::StoredMessage> page;
  Query query(db,
              "SELECT " TESSERA_MESSAGE_COLUMNS
              " FROM messages WHERE app_id = ? AND session_key = ? AND sequence > ? ORDER BY sequence LIMIT ?",
              tenant.app_id, row.key, point.number, limit + 1);
  while (query.next()) {
    if (static_cast<int64_t>(page.items.size()) == limit) {
      page.next_cursor = encode_cursor('m', {.number = page.items.back().sequence, .text = ""});
      return page;
    }
    page.items.push_back(message_row(query, session_id));
  }
  TESSERA_CHECK(query.finish());
  return page;
}

base::Result<std::vector<core::StoredMessage>> read_recent_messages(Connection& db, const core::Tenant& tenant,
                                                                    const std::string& session_id, int64_t limit) {
  TESSERA_TRY(const SessionRow row, need_session_row(db, tenant, session_id));
  std::vector<core::StoredMessage> messages;
  Query query(db,
              "SELECT " TESSERA_MESSAGE_COLUMNS
              " FROM messages WHERE app_id = ? AND session_key = ? ORDER BY sequence DESC LIMIT ?",
              tenant.app_id, row.key, std::max<int64_t>(limit, 0));
  while (query.next()) messages.push_back(message_row(query, session_id));
  TESSERA_CHECK(query.finish());
  std::ranges::reverse(messages);
  return messages;
}

}  // namespace tessera::store
