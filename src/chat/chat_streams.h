#pragma once

#include <memory>
#include <string>

#include "async/task_scope.h"
#include "base/id.h"
#include "chat/chat_service.h"
#include "chat/stream_table.h"

namespace tessera::chat {

/// Turns that run on their own and are read through the stream table, so that a client may leave and come back. A turn
/// ends by itself, by StreamTable::cancel, by its deadline, or with `stop`. Thread-safe.
class ChatStreams {
 public:
  /// All outlive it. `executor` is only for the scope; a turn runs on its starter's executor.
  ChatStreams(ChatService& chat, StreamTable& table, const base::IdSource& ids, boost::asio::any_io_executor executor);

  /// Starts a turn; read its events with StreamTable::next. The context's cancel token is not followed (the client may
  /// leave); its deadline is. Errors: StreamTable::open's, unavailable SHUTTING_DOWN.
  core::Task<base::Result<std::string>> start(const core::RequestContext& context, ChatTurn turn);
  /// Cancels the running turns and waits; false when `timeout` came first. Not from an executor's thread they need.
  bool stop(base::Millis timeout = base::Millis(10000));

 private:
  core::Task<> run(core::RequestContext context, ChatTurn turn, std::shared_ptr<StreamWriter> writer);

  ChatService& chat_;
  StreamTable& table_;
  const base::IdSource& ids_;
  async::TaskScope scope_;
};

}  // namespace tessera::chat
