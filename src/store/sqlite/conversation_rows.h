#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "core/conversations.h"
#include "store/sqlite/connection.h"
#include "store/sqlite/write_queue.h"

/// The statements of the conversation store. Errors are those of core::ConversationStore.
namespace tessera::store {

base::Result<core::Session> open_session_row(WriteScope& scope, const core::Tenant& tenant,
                                             const core::Session& session, int64_t now_ms);
base::Result<> delete_session_rows(WriteScope& scope, const core::Tenant& tenant, const std::string& session_id);
base::Result<> append_message_rows(WriteScope& scope, const core::Tenant& tenant,
                                   const std::vector<core::StoredMessage>& messages, int64_t now_ms);
base::Result<int64_t> erase_user_rows(WriteScope& scope, const core::Tenant& tenant, const std::string& user_id);

base::Result<core::Session> read_session(Connection& db, const core::Tenant& tenant, const std::string& session_id);
base::Result<core::Page<core::Session>> read_sessions(Connection& db, const core::Tenant& tenant,
                                                      const std::string& user_id, const core::PageRequest& page);
base::Result<core::Page<core::StoredMessage>> read_messages(Connection& db, const core::Tenant& tenant,
                                                            const std::string& session_id,
                                                            const core::PageRequest& page);
base::Result<std::vector<core::StoredMessage>> read_recent_messages(Connection& db, const core::Tenant& tenant,
                                                                    const std::string& session_id, int64_t limit);

}  // namespace tessera::store
