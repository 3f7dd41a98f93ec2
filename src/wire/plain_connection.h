#pragma once

#include <array>
#include <boost/asio/async_result.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <memory>
#include <optional>

#include "async/task.h"
#include "wire/client_rules.h"
#include "wire/input_buffer.h"
#include "wire/plain_engine.h"

namespace tessera::wire {

/// A socket to a plain HTTP server. One read is pending at (almost) all times: while idle it tells that the peer closed
/// or says what nobody asked for, and costs nothing more when the connection is used again. Pending operations keep the
/// connection alive, but not the loop running. All on the loop's thread; one coroutine waits at a time.
class PlainConnection : public std::enable_shared_from_this<PlainConnection> {
 public:
  enum class Cut { none, timed_out, cancelled };
  using Buffers = std::array<boost::asio::const_buffer, 2>;

  PlainConnection(PlainEngine& engine, std::shared_ptr<PlainHost> host);

  /// Begins to connect; `connecting` until that ended.
  void start_connect(const boost::asio::ip::tcp::endpoint& endpoint);
  [[nodiscard]] bool connecting() const { return connecting_; }
  [[nodiscard]] bool connected() const { return connected_; }

  /// Begins to read if no read is pending; false when the input is full.
  bool start_read();
  [[nodiscard]] bool reading() const { return reading_; }
  [[nodiscard]] bool ended() const { return ended_; }
  /// Only while no read is pending.
  InputBuffer& input() { return input_; }

  /// What the kernel takes now; true when that was all.
  base::Result<bool> write_some(Buffers& buffers);
  void start_await_writable();
  [[nodiscard]] bool writable() const { return writable_; }

  /// Until something happened: look at the state and wait again.
  async::Task<void> wait();
  /// Closes the socket, so that whoever waits goes on.
  void cut(Cut why);
  [[nodiscard]] Cut why_cut() const { return cut_; }
  void close();
  /// Closed, and ready to connect to another address.
  void reopen();
  /// The loop is being destroyed: whoever waits is destroyed with it.
  void abandon();
  [[nodiscard]] const boost::system::error_code& error() const { return error_; }

  // For the engine.
  base::SteadyTime deadline = base::SteadyTime::max();
  base::SteadyTime idle_since{};
  size_t place = 0;      ///< among the engine's connections
  uint64_t serial = 0;   ///< counts its requests
  bool idle = false;     ///< in the pool
  bool dropped = false;  ///< no longer among the engine's
  const std::shared_ptr<PlainHost> host;

 private:
  using Socket = boost::asio::basic_stream_socket<boost::asio::ip::tcp, boost::asio::io_context::executor_type>;
  using Handler =
      boost::asio::async_result<boost::asio::use_awaitable_t<boost::asio::any_io_executor>, void()>::handler_type;
  void resume();
  void uncounted(bool begins);

  PlainEngine& engine_;
  Socket socket_;
  InputBuffer input_;
  std::optional<Handler> waiting_;
  boost::system::error_code error_;
  Cut cut_ = Cut::none;
  bool connecting_ = false;
  bool connected_ = false;
  bool reading_ = false;
  bool writable_ = false;
  bool ended_ = false;
};

}  // namespace tessera::wire
