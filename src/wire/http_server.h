#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "async/cancel.h"
#include "async/shards.h"
#include "async/task.h"
#include "base/clock.h"
#include "base/result.h"
#include "wire/http_types.h"

namespace tessera::wire {

/// How a handler answers: `send` once, or `begin_stream`, any number of `write`, `finish`. Used by the handler's
/// coroutine only. Every call waits until the kernel took the bytes (back-pressure). Errors: cancelled CLIENT_GONE,
/// deadline CLIENT_SLOW (nothing was taken for write_timeout); after an error every later call gives it again.
class ResponseWriter {
 public:
  virtual ~ResponseWriter() = default;
  [[nodiscard]] virtual async::Task<base::Result<void>> send(Response response) = 0;
  /// Chunked for HTTP/1.1, until close for 1.0. On HEAD the pieces are swallowed.
  [[nodiscard]] virtual async::Task<base::Result<void>> begin_stream(StreamHead head) = 0;
  /// Goes out at once; larger pieces cost less. Empty pieces are skipped.
  [[nodiscard]] virtual async::Task<base::Result<void>> write(std::string bytes) = 0;
  [[nodiscard]] virtual async::Task<base::Result<void>> finish() = 0;
  /// Fires when the peer closes or resets while the handler runs, or when the server stops hard. Costs nothing when not
  /// asked for.
  [[nodiscard]] virtual async::CancelToken client_gone() = 0;
  /// Whether a head was sent.
  [[nodiscard]] virtual bool started() const = 0;

  // For a server that misbehaves on purpose, to test clients. After either, the connection ends with the handler.
  /// Bytes as they are, whatever was sent before; empty: no answer at all.
  [[nodiscard]] virtual async::Task<base::Result<void>> write_raw(std::string bytes) = 0;
  /// The connection ends by a reset (RST), not by an orderly close.
  virtual void end_by_reset() = 0;
};

/// Answers one request, on the connection's shard. The references are valid until the coroutine ends. A handler that
/// throws or ends without answering gives 500 (or a cut stream, if the head is out).
using Handler = std::function<async::Task<void>(Request&, ResponseWriter&)>;

/// Renders the server's own refusals; `code` is an upper-case name, `message` a client-safe sentence.
using ErrorRenderer = std::function<Response(int status, std::string_view code, std::string_view message)>;

struct HttpServerOptions {
  std::string address = "127.0.0.1";  ///< numeric, IPv4 or IPv6
  uint16_t port = 0;                  ///< 0: any free one, see port()
  size_t header_bytes_max = 16 * 1024;
  size_t headers_max = 100;
  uint64_t body_bytes_max = 64ULL * 1024 * 1024;
  /// Decides from the head (no body yet) how long the body may be; empty: body_bytes_max for all.
  std::function<uint64_t(const Request&)> body_limit = {};
  /// A body announced with at most so many bytes is read without asking body_limit.
  uint64_t body_bytes_free = 0;
  uint64_t body_bytes_in_flight_max = 256ULL * 1024 * 1024;  ///< over all connections; beyond: 503
  size_t connections_max = 10'000;                           ///< beyond: idle ones are closed, then accepting pauses
  base::Millis header_timeout{15'000};                       ///< from the first byte to the end of the head
  base::Millis body_idle_timeout{30'000};                    ///< between two pieces of a body
  base::Millis keep_alive_timeout{75'000};                   ///< between requests
  base::Millis write_timeout{30'000};                        ///< without any progress of a send
};

struct HttpServerStats {
  size_t connections = 0;
  size_t requests_in_flight = 0;
  uint64_t requests_total = 0;
  uint64_t accepted_total = 0;    ///< connections
  uint64_t evicted_total = 0;     ///< idle connections closed to make room
  uint64_t body_bytes_total = 0;  ///< of answers, sent
  uint64_t body_bytes_in_flight = 0;
};

/// An HTTP/1.1 server on all shards (one listening socket each, SO_REUSEPORT); a connection stays on its shard. Create
/// and stop it from outside the shards; it must be stopped before they are. Bad input is answered (400, 408, 413, 417,
/// 431, 501, 503, 505) and the connection closed. Errors of create: unavailable LISTEN_FAILED, invalid BAD_ADDRESS.
class HttpServer {
 public:
  static base::Result<std::unique_ptr<HttpServer>> create(HttpServerOptions options, async::Shards& shards,
                                                          const base::Clock& clock, Handler handler,
                                                          ErrorRenderer render_error);
  /// Stops with no grace.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  [[nodiscard]] uint16_t port() const;
  [[nodiscard]] HttpServerStats stats() const;

  /// Stops accepting and closes idle connections; waits up to `grace` for requests in flight; then fires their
  /// client_gone, cuts their sockets and waits for the handlers to end. Blocks; idempotent. True when nothing had to be
  /// cut.
  bool stop(base::Millis grace);

 private:
  struct Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tessera::wire
