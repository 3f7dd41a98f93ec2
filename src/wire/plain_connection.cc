#include "wire/plain_connection.h"

#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/socket_base.hpp>

namespace tessera::wire {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {
constexpr size_t kInputBytesMin = size_t{16} * 1024;
}  // namespace

PlainConnection::PlainConnection(PlainEngine& engine, std::shared_ptr<PlainHost> to)
    : host(std::move(to)), engine_(engine), socket_(engine.context()), input_(kResponseHeadBytesMax, kInputBytesMin) {}

void PlainConnection::uncounted(bool begins) {
  // Whoever waits for a response keeps the loop running; an idle connection must not.
  const auto executor = socket_.get_executor();
  if (begins) {
    executor.on_work_finished();
  } else {
    executor.on_work_started();
  }
}

void PlainConnection::start_connect(const asio::ip::tcp::endpoint& endpoint) {
  error_code ignored;
  error_.clear();
  const int fd = ::socket(endpoint.protocol().family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) {
    error_.assign(errno, boost::system::system_category());
    return;
  }
  socket_.assign(endpoint.protocol(), fd, error_);
  if (error_) {
    ::close(fd);
    return;
  }
  socket_.non_blocking(true, ignored);
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
  socket_.set_option(asio::socket_base::keep_alive(true), ignored);
  connecting_ = true;
  socket_.async_connect(endpoint, [self = shared_from_this()](const error_code& error) {
    self->uncounted(false);
    self->connecting_ = false;
    self->connected_ = !error;
    self->error_ = error;
    self->resume();
  });
  uncounted(true);
}

bool PlainConnection::start_read() {
  if (reading_ || ended_) return true;
  const auto room = input_.room();
  if (room.size() == 0) return false;
  reading_ = true;
  socket_.async_read_some(room, [self = shared_from_this()](const error_code& error, size_t count) {
    self->uncounted(false);
    self->reading_ = false;
    self->input_.added(count);
    if (error) {
      self->ended_ = true;
      self->error_ = error;
    }
    if (self->idle) {
      self->engine_.drop(*self);
    } else {
      self->resume();
    }
  });
  uncounted(true);
  return true;
}

base::Result<bool> PlainConnection::write_some(Buffers& buffers) {
  error_code error;
  size_t count = socket_.write_some(buffers, error);
  if (error && error != asio::error::would_block && error != asio::error::interrupted) {
    return std::unexpected(lost_error(error.message()));
  }
  if (error) count = 0;
  for (auto& buffer : buffers) {
    const size_t part = std::min(count, buffer.size());
    buffer += part;
    count -= part;
  }
  return buffers[0].size() + buffers[1].size() == 0;
}

void PlainConnection::start_await_writable() {
  writable_ = false;
  socket_.async_wait(Socket::wait_write, [self = shared_from_this()](const error_code&) {
    self->uncounted(false);
    self->writable_ = true;
    self->resume();
  });
  uncounted(true);
}

async::Task<void> PlainConnection::wait() {
  return asio::async_initiate<const asio::use_awaitable_t<>, void()>(
      [this](Handler handler) { waiting_.emplace(std::move(handler)); }, asio::use_awaitable);
}

void PlainConnection::resume() {
  if (!waiting_) return;
  auto handler = std::move(*waiting_);
  waiting_.reset();
  std::move(handler)();
}

void PlainConnection::cut(Cut why) {
  if (cut_ == Cut::none) cut_ = why;
  close();
}

void PlainConnection::close() {
  error_code ignored;
  socket_.close(ignored);
  connected_ = false;
}

void PlainConnection::reopen() {
  close();
  cut_ = Cut::none;
}

void PlainConnection::abandon() {
  close();
  const auto destroyed = std::exchange(waiting_, std::nullopt);
}

}  // namespace tessera::wire
