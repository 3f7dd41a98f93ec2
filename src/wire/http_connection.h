#pragma once

#include <array>
#include <atomic>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "async/cancel.h"
#include "async/task.h"
#include "wire/http_head.h"
#include "wire/http_server.h"
#include "wire/input_buffer.h"

namespace tessera::wire {

class HttpConnection;

using Socket = boost::asio::basic_stream_socket<boost::asio::ip::tcp, boost::asio::io_context::executor_type>;

/// What the connections of one server share. Immutable but for the atomics.
struct ServerContext {
  HttpServerOptions options;
  const base::Clock& clock;
  Handler handler;
  ErrorRenderer render_error;
  std::atomic<bool> stopping{false};
  std::atomic<uint64_t> body_bytes{0};  ///< in memory, over all connections
};

/// The connections of one shard; touched on that shard only, except the counters.
struct ConnectionTable {
  std::vector<HttpConnection*> connections;
  bool hard_stop = false;
  std::atomic<size_t> open{0};
  std::atomic<size_t> in_flight{0};
  std::atomic<uint64_t> requests{0};
  std::atomic<uint64_t> accepted{0};
  std::atomic<uint64_t> evicted{0};
  std::atomic<uint64_t> body_bytes_out{0};
};

/// One HTTP/1.1 connection: reads a request, runs the handler, repeats. Owned by its own coroutine `run`; lives on one
/// shard. Time limits are a single deadline that the shard's ticker compares, so a request costs no timer.
class HttpConnection final : public ResponseWriter, public std::enable_shared_from_this<HttpConnection> {
 public:
  HttpConnection(Socket socket, ServerContext& server, ConnectionTable& table);

  /// Until the connection is over. Never throws.
  async::Task<> run();

  // For the ticker and for stopping, on the shard.
  void check_deadline(base::SteadyTime now);
  [[nodiscard]] bool idle() const { return phase_ == Phase::idle; }
  [[nodiscard]] base::SteadyTime idle_since() const { return idle_since_; }
  void close_socket();
  void hard_stop();

  async::Task<base::Result<void>> send(Response response) override;
  async::Task<base::Result<void>> begin_stream(StreamHead head) override;
  async::Task<base::Result<void>> write(std::string bytes) override;
  async::Task<base::Result<void>> finish() override;
  async::CancelToken client_gone() override;
  bool started() const override { return stage_ != Stage::none; }
  async::Task<base::Result<void>> write_raw(std::string bytes) override;
  void end_by_reset() override;

 private:
  enum class Phase { idle, head, body, handling, closing };
  enum class Stage { none, streaming, done };
  using Buffers = std::array<boost::asio::const_buffer, 3>;

  async::Task<> serve();
  async::Task<bool> read_head();
  async::Task<bool> read_body();
  async::Task<bool> read_sized_body();
  async::Task<bool> read_chunked_body(uint64_t limit);
  async::Task<bool> grow_body(size_t used, uint64_t wanted);
  async::Task<bool> handle();
  async::Task<bool> refuse(Refusal refusal);
  async::Task<> linger();
  async::Task<boost::system::error_code> fill();
  async::Task<bool> answer_continue();
  /// Takes the head out of the buffer and parses it.
  std::optional<Refusal> take_head();
  bool charge_body(uint64_t bytes);
  void release_body();
  void arm(base::Millis timeout) {
    deadline_ = server_.clock.now() + timeout;
    timed_out_ = false;
  }
  void disarm() { deadline_ = base::SteadyTime::max(); }
  void watch();
  void on_readable(boost::system::error_code error);
  void lost(std::string_view detail);
  void count_body(size_t bytes) { table_.body_bytes_out.fetch_add(bytes, std::memory_order_relaxed); }
  base::Result<void> broken() const;
  [[nodiscard]] bool closes() const { return !request_.keep_alive || server_.stopping.load(std::memory_order_relaxed); }
  base::Result<bool> write_some(Buffers& buffers);
  async::Task<base::Result<void>> write_rest(Buffers buffers);
  async::Task<base::Result<void>> write_all(Buffers buffers);

  Socket socket_;
  ServerContext& server_;
  ConnectionTable& table_;
  std::string remote_address_;
  uint16_t remote_port_ = 0;

  InputBuffer input_;
  HeadScanner scanner_;
  Request request_;
  BodyFraming framing_;
  uint64_t body_charged_ = 0;

  std::string output_;
  std::optional<base::Error> broken_;
  std::optional<async::CancelSource> gone_;

  base::SteadyTime deadline_ = base::SteadyTime::max();
  base::SteadyTime idle_since_;
  Phase phase_ = Phase::idle;
  Stage stage_ = Stage::none;
  bool fresh_ = true;  ///< no request has come yet
  bool timed_out_ = false;
  bool chunked_out_ = false;
  bool watching_ = false;      ///< a readiness wait is pending on the socket
  bool end_of_input_ = false;  ///< the peer closed its side
  bool cut_ = false;           ///< hard stop
};

}  // namespace tessera::wire
