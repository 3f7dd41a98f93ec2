#pragma once

#include <memory>
#include <optional>
#include <string>

#include "wire/http_head.h"
#include "wire/plain_connection.h"
#include "wire/plain_engine.h"
#include "wire/response_head.h"

namespace tessera::wire {

/// One request to a plain HTTP server. Reads when it is asked to, so a slow caller pauses the sender. Used by one
/// coroutine at a time, on the engine's loop; destroying it before the end of the body closes the connection.
class PlainTransfer {
 public:
  /// The URL is one that split_plain_url takes apart.
  PlainTransfer(std::shared_ptr<PlainEngine> engine, ClientRequest request);
  ~PlainTransfer();
  PlainTransfer(const PlainTransfer&) = delete;
  PlainTransfer& operator=(const PlainTransfer&) = delete;

  /// Sends the request and waits for the response's head.
  async::Task<base::Result<void>> start();
  async::Task<base::Result<std::optional<std::string>>> next();
  void set_idle_timeout(base::Millis timeout) { request_.idle_timeout = timeout; }
  [[nodiscard]] int status() const { return head_.status; }
  [[nodiscard]] std::vector<Header>& headers() { return head_.headers; }

 private:
  enum class Body { none, sized, chunked, until_close };

  void render_head(const PlainUrl& url);
  async::Task<base::Result<void>> exchange(bool fresh);
  async::Task<base::Result<void>> take_connection(bool fresh);
  async::Task<base::Result<void>> connect();
  async::Task<base::Result<void>> send_rest(PlainConnection::Buffers buffers);
  async::Task<base::Result<void>> read_head();
  /// Nothing: more input is needed.
  std::optional<base::Result<void>> take_head();
  void begin_body();
  std::optional<base::Error> decode(std::string& piece);
  void end_body();
  [[nodiscard]] std::optional<base::Error> end_of_input();
  base::Error fail(base::Error error);
  void use(std::shared_ptr<PlainConnection> connection);
  void release(bool keep);
  [[nodiscard]] base::Error cut_or(base::Error error) const;
  [[nodiscard]] base::SteadyTime first_byte_deadline() const { return std::min(first_byte_at_, total_at_); }

  std::shared_ptr<PlainEngine> engine_;
  ClientRequest request_;
  std::shared_ptr<PlainHost> host_;
  std::string request_head_;
  std::shared_ptr<PlainConnection> connection_;
  std::optional<async::CancelCallback> on_cancel_;
  base::SteadyTime first_byte_at_{};
  base::SteadyTime total_at_{};

  ResponseHead head_;
  HeadScanner scanner_;
  size_t interim_bytes_ = 0;
  Body body_ = Body::none;
  uint64_t left_ = 0;  ///< of a sized body; of what is allowed until the peer closes
  ChunkDecoder chunks_;
  bool reused_ = false;
  bool answered_ = false;  ///< a byte of the response came
  bool sent_all_ = false;
  bool done_ = false;
  std::optional<base::Error> error_;
};

}  // namespace tessera::wire
