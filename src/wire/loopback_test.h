#pragma once

#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "wire/http_client.h"
#include "wire/http_server.h"

namespace tessera::wire::testing {

/// A request of nothing but its address.
inline ClientRequest to(std::string url) {
  ClientRequest request;
  request.url = std::move(url);
  return request;
}

/// A blocking TCP client that sends and reads raw bytes, for tests. Every read is bounded in time.
class RawClient {
 public:
  explicit RawClient(uint16_t port, int receive_buffer = 0);
  ~RawClient();
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  void send(std::string_view bytes) const;
  /// As much as the kernel takes without waiting.
  size_t send_some(std::string_view bytes) const;
  /// Until `end` was received, the peer closed, or five seconds passed; what came.
  std::string read_until(std::string_view end);
  std::string read_to_close() { return read_until({}); }
  /// One whole response with Content-Length.
  std::string read_response();
  /// True when the peer closes (or resets) within five seconds.
  bool closed_by_peer();
  void shut_writing() const;
  void reset();  ///< closes with a reset

 private:
  bool receive();
  int fd_ = -1;
  std::string pending_;
  bool eof_ = false;
};

/// A server on one shard (or more) with a handler, for tests.
struct TestServer {
  explicit TestServer(Handler handler, HttpServerOptions options = {}, size_t shard_count = 1);
  ~TestServer();
  [[nodiscard]] uint16_t port() const { return server->port(); }

  base::SystemClock system_clock;
  async::Shards shards;
  std::unique_ptr<HttpServer> server;
};

/// A raw server for misbehaving peers: runs `serve(fd, n)` for the n-th connection on a thread of its own, then closes
/// it.
class RawServer {
 public:
  explicit RawServer(std::function<void(int fd, int n)> serve);
  ~RawServer();
  [[nodiscard]] uint16_t port() const { return port_; }
  [[nodiscard]] std::string url(std::string_view path = "/") const;
  /// Reads one request's head (and nothing more than it finds with it).
  static std::string read_head(int fd);
  static void send(int fd, std::string_view bytes);

 private:
  int listener_ = -1;
  uint16_t port_ = 0;
  std::thread thread_;
};

/// Answers 200 with `body`.
async::Task<void> answer(ResponseWriter& writer, std::string body);

}  // namespace tessera::wire::testing
