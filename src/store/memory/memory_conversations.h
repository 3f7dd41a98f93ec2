#pragma once

#include <map>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "core/conversations.h"

namespace tessera::store {

/// ConversationStore in maps.
class MemoryConversations final : public core::ConversationStore {
 public:
  explicit MemoryConversations(const base::Clock& clock) : clock_(clock) {}

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
  struct Entry {
    core::Session session;
    std::vector<core::StoredMessage> messages;
    std::set<std::string, std::less<>> message_ids;
  };
  using SessionId = std::pair<core::Tenant, std::string>;

  const base::Clock& clock_;
  std::mutex mutex_;
  std::map<SessionId, Entry> sessions_;  // guarded by mutex_
};

}  // namespace tessera::store
