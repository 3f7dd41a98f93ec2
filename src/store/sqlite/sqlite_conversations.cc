#include "store/sqlite/sqlite_conversations.h"

#include "store/rules.h"
#include "store/sqlite/conversation_rows.h"

namespace tessera::store {

using core::Task;

Task<base::Result<core::Session>> SqliteConversations::open_session(core::Tenant tenant, core::Session session) {
  TESSERA_CO_CHECK(check_session(tenant, session));
  // Most calls are for a session that is there: no write, no sync.
  auto found = co_await readers_.run([&](Connection& db) { return read_session(db, tenant, session.session_id); });
  if (found && found->user_id != session.user_id) co_return std::unexpected(session_not_found());
  if (found || found.error().code != base::Code::not_found) co_return found;
  co_return co_await writer_.run([tenant = std::move(tenant), session = std::move(session), now = clock_.unix_ms()](
                                     WriteScope& scope) { return open_session_row(scope, tenant, session, now); });
}

Task<base::Result<core::Session>> SqliteConversations::find_session(core::Tenant tenant, std::string session_id) {
  TESSERA_CO_CHECK(check_tenant(tenant));
  co_return co_await readers_.run([&](Connection& db) { return read_session(db, tenant, session_id); });
}

Task<base::Result<core::Page<core::Session>>> SqliteConversations::list_sessions(core::Tenant tenant,
                                                                                 std::string user_id,
                                                                                 core::PageRequest page) {
  TESSERA_CO_CHECK(check_tenant(tenant));
  co_return co_await readers_.run([&](Connection& db) { return read_sessions(db, tenant, user_id, page); });
}

Task<base::Result<>> SqliteConversations::delete_session(core::Tenant tenant, std::string session_id) {
  TESSERA_CO_CHECK(check_tenant(tenant));
  co_return co_await writer_.run([tenant = std::move(tenant), id = std::move(session_id)](WriteScope& scope) {
    return delete_session_rows(scope, tenant, id);
  });
}

Task<base::Result<>> SqliteConversations::append_messages(core::Tenant tenant,
                                                          std::vector<core::StoredMessage> messages) {
  TESSERA_CO_CHECK(check_messages(tenant, messages));
  size_t bytes = 0;
  for (const auto& message : messages) bytes += message.content.size() + message.sources_json.size();
  co_return co_await writer_.run([tenant = std::move(tenant), messages = std::move(messages), now = clock_.unix_ms()](
                                     WriteScope& scope) { return append_message_rows(scope, tenant, messages, now); },
                                 WriteHints{.bytes = bytes});
}

Task<base::Result<core::Page<core::StoredMessage>>> SqliteConversations::list_messages(core::Tenant tenant,
                                                                                       std::string session_id,
                                                                                       core::PageRequest page) {
  TESSERA_CO_CHECK(check_tenant(tenant));
  co_return co_await readers_.run([&](Connection& db) { return read_messages(db, tenant, session_id, page); });
}

Task<base::Result<std::vector<core::StoredMessage>>> SqliteConversations::recent_messages(core::Tenant tenant,
                                                                                          std::string session_id,
                                                                                          int64_t limit) {
  TESSERA_CO_CHECK(check_tenant(tenant));
  co_return co_await readers_.run([&](Connection& db) { return read_recent_messages(db, tenant, session_id, limit); });
}

Task<base::Result<int64_t>> SqliteConversations::erase_user(core::Tenant tenant, std::string user_id) {
  TESSERA_CO_CHECK(check_tenant(tenant));
  if (user_id.empty()) co_return std::unexpected(user_required());
  co_return co_await writer_.run([tenant = std::move(tenant), user = std::move(user_id)](WriteScope& scope) {
    return erase_user_rows(scope, tenant, user);
  });
}

}  // namespace tessera::store
