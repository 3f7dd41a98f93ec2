#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/chat_model.h"
#include "core/context.h"
#include "core/documents.h"

namespace tessera::core {

/// A chat between a person and the application.
struct Session {
  std::string session_id;
  std::string user_id;
  std::string title;  ///< the first words of the first message
  int64_t created_at_ms = 0;
  int64_t last_active_ms = 0;
  int64_t messages = 0;
};

/// A stored message. `state` is "complete", "cancelled" or "failed"; `sources_json` is what the answer cited, as sent
/// to the client.
struct StoredMessage {
  std::string message_id;
  std::string session_id;
  Role role = Role::user;
  std::string content;
  std::string model;
  std::string state = "complete";
  std::string sources_json;
  Usage usage;
  int64_t created_at_ms = 0;
  int64_t sequence = 0;  ///< position in the session, from 1; filled in by the store
};

/// Sessions and their messages. Durable when a task completes. Thread-safe. Errors as DocumentStore; SESSION_NOT_FOUND.
class ConversationStore {
 public:
  virtual ~ConversationStore() = default;
  /// Creates the session if it is new for the tenant. An existing session of another user_id is not_found (nobody
  /// learns that it exists).
  virtual Task<base::Result<Session>> open_session(Tenant tenant, Session session) = 0;
  virtual Task<base::Result<Session>> find_session(Tenant tenant, std::string session_id) = 0;
  /// Most recently active first; an empty user_id lists all of the tenant's.
  virtual Task<base::Result<Page<Session>>> list_sessions(Tenant tenant, std::string user_id, PageRequest page) = 0;
  virtual Task<base::Result<>> delete_session(Tenant tenant, std::string session_id) = 0;
  /// All of them in one transaction; a message_id that is already there is left as it is. Updates last_active and the
  /// title when empty.
  virtual Task<base::Result<>> append_messages(Tenant tenant, std::vector<StoredMessage> messages) = 0;
  /// Oldest first.
  virtual Task<base::Result<Page<StoredMessage>>> list_messages(Tenant tenant, std::string session_id,
                                                                PageRequest page) = 0;
  /// The last `limit`, oldest first.
  virtual Task<base::Result<std::vector<StoredMessage>>> recent_messages(Tenant tenant, std::string session_id,
                                                                         int64_t limit) = 0;
  /// Removes a person's sessions and messages; returns how many sessions.
  virtual Task<base::Result<int64_t>> erase_user(Tenant tenant, std::string user_id) = 0;
};

}  // namespace tessera::core
