#include "chat/chat_streams.h"

#include <utility>

namespace tessera::chat {

ChatStreams::ChatStreams(ChatService& chat, StreamTable& table, const base::IdSource& ids,
                         boost::asio::any_io_executor executor)
    : chat_(chat), table_(table), ids_(ids), scope_(std::move(executor)) {}

core::Task<base::Result<std::string>> ChatStreams::start(const core::RequestContext& context, ChatTurn turn) {
  std::string stream_id = ids_.next();
  TESSERA_CO_TRY(auto writer, table_.open(context.tenant, stream_id));
  core::RequestContext own = context;
  own.trace = nullptr;
  const auto executor = co_await boost::asio::this_coro::executor;
  if (!scope_.spawn_on(executor, run(std::move(own), std::move(turn), std::move(writer)))) {
    auto error =
        base::make_error(base::Code::unavailable, "SHUTTING_DOWN", "The server is shutting down; try again soon.");
    error.retry_after = base::Millis(1000);
    co_return std::unexpected(std::move(error));
  }
  co_return stream_id;
}

core::Task<> ChatStreams::run(core::RequestContext context, ChatTurn turn, std::shared_ptr<StreamWriter> writer) {
  core::RequestTrace trace;
  async::CancelSource either;
  const async::CancelCallback by_client(writer->token(), [&either] { either.cancel(); });
  const async::CancelCallback by_stop(scope_.token(), [&either] { either.cancel(); });
  context.trace = &trace;
  context.cancel = either.token();
  // How it ended is in the stream: its last event is Done or Failed.
  std::ignore = co_await chat_.run(context, std::move(turn), writer.get());
  writer->finish();
}

bool ChatStreams::stop(base::Millis timeout) {
  scope_.cancel();
  return scope_.join_blocking(timeout);
}

}  // namespace tessera::chat
