#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "core/conversations.h"
#include "store/sqlite/reader_pool.h"
#include "store/sqlite/write_queue.h"

namespace tessera::store {

/// ConversationStore over the writer thread and the readers; a view of them, which outlive it.
class SqliteConversations final : public core::ConversationStore {
 public:
  SqliteConversations(WriteQueue& writer, ReaderPool& readers, const base::Clock& clock)
      : writer_(writer), readers_(readers), clock_(clock) {}

  core::Task<base::Result<core::Session>> open_session(core::Tenant tenant, core::Session session) override;
  core::Task<base::Result<core::Session>> find_session(core::Tenant tenant, std::string session_id) override;
  core::Task<base::Result<core::Page<core::Session>>> list_sessions(core::Tenant tenant, std::string user_id,
                                                                    core::PageRequest page) override;
  core::Task<base::Result<>> delete_session(core::Tenant tenant, std::string session_id) override;
  core::Task<base::Result<>> append_messages(core::Tenant tenant, std::vector<core::StoredMessage> messages) override;
  core::Task<base::Result<core::Page<core::StoredMessage>>> list_messages(core::Tenant tenant, std::string session_id,
                                                                          core::PageRequest page) override;
  core::Task<base::Result<std::vector<core::StoredMessage>>> recent_messages(core::Tenant tenant,
                                                                             std::string session_id,
                                                                             int64_t limit) override;
  core::Task<base::Result<int64_t>> erase_user(core::Tenant tenant, std::string user_id) override;

 private:
  WriteQueue& writer_;
  ReaderPool& readers_;
  const base::Clock& clock_;
};

}  // namespace tessera::store
