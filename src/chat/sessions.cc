#include "chat/sessions.h"

#include <utility>

namespace tessera::chat {

core::Task<base::Result<core::Session>> Sessions::create(const core::RequestContext& context, core::Session session) {
  if (session.user_id.empty()) session.user_id = context.user_id;
  co_return co_await store_.open_session(context.tenant, std::move(session));
}

core::Task<base::Result<core::Session>> Sessions::find(const core::RequestContext& context, std::string session_id) {
  TESSERA_CO_TRY(auto session, co_await store_.find_session(context.tenant, std::move(session_id)));
  if (!context.user_id.empty() && session.user_id != context.user_id) {
    co_return base::fail(base::Code::not_found, "SESSION_NOT_FOUND", "There is no such session.");
  }
  co_return session;
}

core::Task<base::Result<core::Page<core::Session>>> Sessions::list(const core::RequestContext& context,
                                                                   core::PageRequest page) {
  co_return co_await store_.list_sessions(context.tenant, context.user_id, std::move(page));
}

core::Task<base::Result<core::Page<core::StoredMessage>>> Sessions::messages(const core::RequestContext& context,
                                                                             std::string session_id,
                                                                             core::PageRequest page) {
  TESSERA_CO_CHECK(co_await find(context, session_id));
  co_return co_await store_.list_messages(context.tenant, std::move(session_id), std::move(page));
}

core::Task<base::Result<>> Sessions::remove(const core::RequestContext& context, std::string session_id) {
  TESSERA_CO_CHECK(co_await find(context, session_id));
  co_return co_await store_.delete_session(context.tenant, std::move(session_id));
}

core::Task<base::Result<int64_t>> Sessions::erase_user(const core::RequestContext& context, std::string user_id) {
  if (user_id.empty()) {
    co_return base::fail(base::Code::invalid, "MISSING_USER", "Name the user to erase.", "", "user_id");
  }
  co_return co_await store_.erase_user(context.tenant, std::move(user_id));
}

}  // namespace tessera::chat
