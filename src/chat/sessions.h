#pragma once

#include <string>

#include "core/conversations.h"

namespace tessera::chat {

/// Sessions of a tenant for clients: list, read, delete, erase a person. Thread-safe; errors are the store's. With
/// context.user_id set, a session of another person is SESSION_NOT_FOUND.
class Sessions {
 public:
  explicit Sessions(core::ConversationStore& store) : store_(store) {}

  core::Task<base::Result<core::Session>> create(const core::RequestContext& context, core::Session session);
  core::Task<base::Result<core::Session>> find(const core::RequestContext& context, std::string session_id);
  core::Task<base::Result<core::Page<core::Session>>> list(const core::RequestContext& context, core::PageRequest page);
  core::Task<base::Result<core::Page<core::StoredMessage>>> messages(const core::RequestContext& context,
                                                                     std::string session_id, core::PageRequest page);
  core::Task<base::Result<>> remove(const core::RequestContext& context, std::string session_id);
  /// How many sessions were erased.
  core::Task<base::Result<int64_t>> erase_user(const core::RequestContext& context, std::string user_id);

 private:
  core::ConversationStore& store_;
};

}  // namespace tessera::chat
