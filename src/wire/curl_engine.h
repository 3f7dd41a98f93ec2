#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "async/waiter.h"
#include "wire/http_client.h"

namespace tessera::wire {

class CurlTransfer;

/// libcurl's multi interface driven by one event loop. curl's sockets sit in an epoll set of their own, level-triggered
/// as curl expects, and the loop watches that one descriptor. Idle (no transfer), it holds no pending operation, so it
/// never keeps a loop running. All on the loop's thread; curl's handles are `void*` so that its header stays in the
/// .cc.
class CurlEngine : public std::enable_shared_from_this<CurlEngine> {
 public:
  CurlEngine(boost::asio::io_context& context, std::shared_ptr<const HttpClientOptions> options);
  ~CurlEngine();
  CurlEngine(const CurlEngine&) = delete;
  CurlEngine& operator=(const CurlEngine&) = delete;

  [[nodiscard]] const HttpClientOptions& options() const { return *options_; }
  /// A reset easy handle, from the spare ones if there are any; nullptr when out of memory.
  void* take_handle();
  void give_handle(void* easy);
  void add(CurlTransfer& transfer);
  void remove(CurlTransfer& transfer);
  /// Lets a paused transfer go on; may deliver to it at once.
  void resume(CurlTransfer& transfer);
  /// The loop is being destroyed.
  void shut_down();

  // curl's callbacks.
  void want_socket(int socket, int what, bool known);
  void want_timeout(long timeout_ms);

 private:
  using Executor = boost::asio::io_context::executor_type;
  using Timer = boost::asio::basic_waitable_timer<std::chrono::steady_clock,
                                                  boost::asio::wait_traits<std::chrono::steady_clock>, Executor>;
  void act(int socket, int mask);
  void settle();
  void reap();
  void await_sockets();
  void on_sockets();
  void await_timer();
  void on_timer(bool fired);

  std::shared_ptr<const HttpClientOptions> options_;
  void* multi_ = nullptr;
  std::vector<void*> spare_;
  boost::asio::posix::basic_stream_descriptor<Executor> epoll_;
  Timer timer_;
  size_t active_ = 0;
  bool waiting_ = false;  ///< for epoll_
  bool timer_pending_ = false;
  uint64_t timer_generation_ = 0;
  bool due_now_ = false;                                   ///< curl asked for a timeout of 0
  base::SteadyTime timer_at_ = base::SteadyTime::max();    ///< when timer_ fires
  base::SteadyTime timeout_at_ = base::SteadyTime::max();  ///< what curl wants
};

/// One request on an engine. Used by one coroutine at a time, on the engine's loop; destroying it aborts.
class CurlTransfer {
 public:
  CurlTransfer(std::shared_ptr<CurlEngine> engine, ClientRequest request);
  ~CurlTransfer();
  CurlTransfer(const CurlTransfer&) = delete;
  CurlTransfer& operator=(const CurlTransfer&) = delete;

  /// Sends the request and waits for the response's head.
  async::Task<base::Result<void>> start();
  async::Task<base::Result<std::optional<std::string>>> next();
  void set_idle_timeout(base::Millis timeout) { request_.idle_timeout = timeout; }
  [[nodiscard]] int status() const { return status_; }
  [[nodiscard]] std::vector<Header>& headers() { return headers_; }

  // For the engine and curl's callbacks.
  [[nodiscard]] void* handle() const { return easy_; }
  void ended(int result);
  size_t on_header(std::string_view line);
  size_t on_body(std::string_view bytes);
  int open_socket(const void* address);

 private:
  base::Result<void> prepare();
  void prepare_headers();
  void prepare_method();
  [[nodiscard]] base::Error error_of(int result);
  [[nodiscard]] base::Error unconnected_error(int result, const std::string& detail) const;
  [[nodiscard]] base::Error exchange_error(int result, const std::string& detail) const;
  async::Task<void> wait(base::SteadyTime deadline);
  void abort(base::Error error);
  void detach();
  void notify();
  void reset_response();

  std::shared_ptr<CurlEngine> engine_;
  ClientRequest request_;
  void* easy_ = nullptr;
  void* header_list_ = nullptr;
  char why_[256] = {};  ///< libcurl's own words for a failure
  bool attached_ = false;

  int status_ = 0;
  std::vector<Header> headers_;
  size_t header_bytes_ = 0;
  std::string buffer_;
  uint64_t received_ = 0;
  bool head_done_ = false;
  bool done_ = false;
  bool paused_ = false;
  bool too_large_ = false;
  bool address_refused_ = false;
  bool retried_ = false;
  std::optional<base::Error> error_;
  std::optional<async::Waiter> waiter_;
};

}  // namespace tessera::wire
