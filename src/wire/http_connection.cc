#include "wire/http_connection.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <charconv>
#include <cstring>

namespace tessera::wire {

namespace asio = boost::asio;
using base::Code;
using base::Result;
using boost::system::error_code;

HttpConnection::HttpConnection(Socket socket, ServerContext& server, ConnectionTable& table)
    : socket_(std::move(socket)), server_(server), table_(table), input_(server.options.header_bytes_max) {
  error_code error;
  const auto peer = socket_.remote_endpoint(error);
  if (!error) {
    remote_address_ = peer.address().to_string();
    remote_port_ = peer.port();
  }
  socket_.non_blocking(true, error);
}

async::Task<> HttpConnection::run() {
  // The frame keeps the connection alive; callbacks that outlive it hold their own share.
  const auto self = shared_from_this();
  if (table_.hard_stop) co_return;
  table_.connections.push_back(this);
  table_.open.store(table_.connections.size(), std::memory_order_relaxed);
  try {
    co_await serve();
  } catch (...) {
    // Memory ran out, or the socket layer threw: this connection ends, the others go on.
  }
  phase_ = Phase::closing;
  release_body();
  close_socket();
  std::erase(table_.connections, this);
  table_.open.store(table_.connections.size(), std::memory_order_relaxed);
}

async::Task<> HttpConnection::serve() {
  while (true) {
    if (!co_await read_head()) co_return;
    if ((framing_.length > 0 || framing_.chunked) && !co_await read_body()) co_return;
    if (!co_await handle()) co_return;
    if (closes() || broken_) co_return;
  }
}

async::Task<bool> HttpConnection::handle() {
  phase_ = Phase::handling;
  table_.in_flight.fetch_add(1, std::memory_order_relaxed);
  table_.requests.store(table_.requests.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  try {
    co_await server_.handler(request_, *this);
  } catch (...) {
    // Answered below, as an answer that is missing.
  }
  if (stage_ == Stage::none && !broken_) {
    auto answer = server_.render_error(500, "INTERNAL", "an internal error occurred");
    (void)co_await send(std::move(answer));
  }
  table_.in_flight.fetch_sub(1, std::memory_order_relaxed);
  gone_.reset();
  release_body();
  // A stream without its end must not look complete: the connection is cut.
  co_return stage_ == Stage::done && !broken_;
}

void HttpConnection::check_deadline(base::SteadyTime now) {
  if (now < deadline_) return;
  disarm();
  timed_out_ = true;
  error_code ignored;
  socket_.cancel(ignored);
}

void HttpConnection::close_socket() {
  error_code ignored;
  socket_.close(ignored);
}

void HttpConnection::hard_stop() {
  cut_ = true;
  lost("the server is stopping");
  close_socket();
}

void HttpConnection::lost(std::string_view detail) {
  if (!broken_) {
    broken_ = base::make_error(Code::cancelled, "CLIENT_GONE", "the client closed the connection", std::string(detail));
  }
  // A copy: a callback may end the request and with it gone_.
  if (auto gone = gone_) gone->cancel();
}

Result<void> HttpConnection::broken() const {
  if (broken_) return std::unexpected(*broken_);
  return {};
}

async::CancelToken HttpConnection::client_gone() {
  if (!gone_) {
    gone_.emplace();
    if (cut_ || broken_ || end_of_input_) {
      gone_->cancel();
    } else if (!watching_) {
      // Posted, so that a handler that never suspends pays no system call for the watch.
      asio::post(socket_.get_executor(), [self = shared_from_this()] { self->watch(); });
    }
  }
  return gone_->token();
}

void HttpConnection::watch() {
  if (watching_ || !gone_ || phase_ != Phase::handling || !socket_.is_open()) return;
  // With the buffer full of pipelined requests we stop looking; such a client is noticed when we write.
  if (input_.room().size() == 0) return;
  watching_ = true;
  socket_.async_wait(Socket::wait_read, [self = shared_from_this()](const error_code& error) {
    self->watching_ = false;
    self->on_readable(error);
  });
}

void HttpConnection::on_readable(error_code error) {
  if (error || !gone_ || phase_ != Phase::handling) return;
  const size_t count = socket_.read_some(input_.room(), error);
  input_.added(count);
  if (!error || error == asio::error::would_block) return watch();
  end_of_input_ = true;
  if (auto gone = gone_) gone->cancel();
}

}  // namespace tessera::wire
