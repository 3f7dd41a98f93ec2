#pragma once

#include <array>
#include <string>

#include "api/api.h"
#include "api/call.h"

namespace tessera::chat {
struct ChatTurn;
struct NumberedEvent;
}  // namespace tessera::chat

namespace tessera::api {

class Body;

/// Chat turns as JSON, server-sent events and NDJSON; resumable streams; sessions. Thread-safe; lives in the Api.
class ChatRoutes {
 public:
  ChatRoutes(const ApiParts& parts, const ApiOptions& options) : parts_(parts), options_(options) {}
  void bind(std::array<RouteHandler, kRouteCount>& handlers);

 private:
  enum class Framing { sse, ndjson };

  async::Task<base::Result<Reply>> chat(Call& call);
  async::Task<base::Result<Reply>> chat_ndjson(Call& call);
  async::Task<base::Result<Reply>> ask(Call& call);
  async::Task<base::Result<Reply>> resume_stream(Call& call);
  async::Task<base::Result<Reply>> cancel_stream(Call& call);
  async::Task<base::Result<Reply>> list_sessions(Call& call);
  async::Task<base::Result<Reply>> create_session(Call& call);
  async::Task<base::Result<Reply>> get_session(Call& call);
  async::Task<base::Result<Reply>> delete_session(Call& call);
  async::Task<base::Result<Reply>> list_messages(Call& call);
  async::Task<base::Result<Reply>> erase_user(Call& call);

  base::Result<chat::ChatTurn> turn_from_body(Call& call, const Body& body) const;
  /// Sends a stream's events after number `after` until it ends or the client leaves.
  async::Task<base::Result<Reply>> relay(Call& call, std::string stream_id, uint64_t after, Framing framing);

  const ApiParts& parts_;
  const ApiOptions& options_;
};

}  // namespace tessera::api
