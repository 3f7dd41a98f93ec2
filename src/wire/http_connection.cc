#include "wire/http_connection.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <charconv>
#include <cstring>

#include "wire/http_render.h"

namespace tessera::wire {

namespace asio = boost::asio;
using base::Code;
using base::Result;
using boost::system::error_code;

namespace {

constexpr size_t kInputBytesMin = 4 * 1024;
constexpr size_t kBodyBytesKept = 64 * 1024;  ///< a body buffer up to this stays with the connection
constexpr size_t kBodyStep = 256 * 1024;      ///< first piece of a body allocated, whatever the peer announced
constexpr size_t kInlineBodyMax = 16 * 1024;  ///< a body up to this is copied behind its head: one write, one buffer
constexpr base::Millis kLingerIdle{2'000};
constexpr uint64_t kLingerBytesMax = 64ULL * 1024 * 1024;

}  // namespace

void InputBuffer::consume(size_t count) {
  begin_ += count;
  if (begin_ == end_) begin_ = end_ = 0;
}

asio::mutable_buffer InputBuffer::room() {
  if (end_ == capacity_ && begin_ > 0) {
    std::memmove(bytes_.get(), bytes_.get() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (end_ == capacity_ && capacity_ < bytes_max_) {
    const size_t grown = std::min(std::max(kInputBytesMin, capacity_ * 2), bytes_max_);
    auto bytes = std::make_unique_for_overwrite<char[]>(grown);
    if (end_ > 0) std::memcpy(bytes.get(), bytes_.get(), end_);
    bytes_ = std::move(bytes);
    capacity_ = grown;
  }
  return {bytes_.get() + end_, capacity_ - end_};
}

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

async::Task<bool> HttpConnection::read_head() {
  scanner_.reset();
  phase_ = Phase::idle;
  request_.method = Method::get;  // a refusal before the head is in must not be shaped by the request before
  idle_since_ = server_.clock.now();
  deadline_ = idle_since_ + (fresh_ ? server_.options.header_timeout : server_.options.keep_alive_timeout);
  timed_out_ = false;
  while (true) {
    if (phase_ == Phase::idle) {
      // Line ends between requests are forgiven (RFC 9112, 2.2).
      while (input_.data().starts_with("\r\n")) input_.consume(2);
      if (!input_.empty()) {
        phase_ = Phase::head;
        if (!fresh_) arm(server_.options.header_timeout);
      }
    }
    const auto state = scanner_.scan(input_.data());
    if (state == HeadScanner::State::done) break;
    if (state == HeadScanner::State::bad) co_return co_await refuse({400, "BAD_REQUEST", "lines must end with CR LF"});
    if (phase_ == Phase::idle && server_.stopping) co_return false;
    const auto room = input_.room();
    if (room.size() == 0) {
      co_return co_await refuse({431, "HEADERS_TOO_LARGE", "the request's headers are too large; send less"});
    }
    if (end_of_input_) co_return false;
    error_code error;
    const size_t count = co_await socket_.async_read_some(room, asio::redirect_error(asio::use_awaitable, error));
    input_.added(count);
    if (!error) continue;
    if (timed_out_ && phase_ == Phase::head) {
      co_return co_await refuse({408, "REQUEST_TIMEOUT", "the request's headers took too long"});
    }
    co_return false;
  }
  fresh_ = false;
  disarm();
  if (const auto refusal = take_head()) co_return co_await refuse(*refusal);
  co_return true;
}

std::optional<Refusal> HttpConnection::take_head() {
  request_.headers.clear();
  request_.body.clear();
  request_.query = {};
  request_.keep_alive = false;
  request_.method = Method::get;
  framing_ = {};
  stage_ = Stage::none;
  request_.remote_address = remote_address_;
  request_.remote_port = remote_port_;
  request_.head_bytes.assign(input_.data().substr(0, scanner_.size()));
  input_.consume(scanner_.size());
  return parse_head(request_, framing_, server_.options.headers_max);
}

async::Task<error_code> HttpConnection::fill() {
  error_code error;
  const auto room = input_.room();
  if (end_of_input_) co_return asio::error::eof;
  arm(server_.options.body_idle_timeout);
  input_.added(co_await socket_.async_read_some(room, asio::redirect_error(asio::use_awaitable, error)));
  disarm();
  co_return error;
}

async::Task<bool> HttpConnection::answer_continue() {
  if (!framing_.expects_continue || !input_.empty()) co_return true;
  constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
  const auto sent = co_await write_all(Buffers{asio::buffer(kContinue)});
  co_return sent.has_value();
}

async::Task<bool> HttpConnection::read_body() {
  phase_ = Phase::body;
  uint64_t limit = server_.options.body_bytes_max;
  if (server_.options.body_limit) limit = server_.options.body_limit(request_);
  if (framing_.length > limit) {
    co_return co_await refuse({413, "BODY_TOO_LARGE", "the request's body is too large; send less at a time"});
  }
  if (server_.body_bytes.load(std::memory_order_relaxed) >= server_.options.body_bytes_in_flight_max) {
    co_return co_await refuse({503, "OVERLOADED", "too many large requests are being received; try again in a moment"});
  }
  if (!co_await answer_continue()) co_return false;
  if (framing_.chunked) co_return co_await read_chunked_body(limit);
  co_return co_await read_sized_body();
}

bool HttpConnection::charge_body(uint64_t bytes) {
  const uint64_t before = server_.body_bytes.fetch_add(bytes, std::memory_order_relaxed);
  if (before + bytes > server_.options.body_bytes_in_flight_max) {
    server_.body_bytes.fetch_sub(bytes, std::memory_order_relaxed);
    return false;
  }
  body_charged_ += bytes;
  return true;
}

void HttpConnection::release_body() {
  if (request_.body.capacity() > kBodyBytesKept) std::string().swap(request_.body);
  if (body_charged_ > 0) server_.body_bytes.fetch_sub(body_charged_, std::memory_order_relaxed);
  body_charged_ = 0;
}

async::Task<bool> HttpConnection::grow_body(size_t used, uint64_t wanted) {
  // Doubling from a small first step: memory follows what was received, not what was announced.
  const auto size = static_cast<size_t>(std::min<uint64_t>(wanted, std::max(kBodyStep, used * 2)));
  if (!charge_body(size - used)) {
    co_return co_await refuse({503, "OVERLOADED", "too many large requests are being received; try again in a moment"});
  }
  request_.body.resize_and_overwrite(size, [size](char*, size_t) { return size; });
  co_return true;
}

async::Task<bool> HttpConnection::read_sized_body() {
  size_t used = 0;
  while (used < framing_.length) {
    if (used == request_.body.size() && !co_await grow_body(used, framing_.length)) co_return false;
    if (!input_.empty()) {
      const auto have = input_.data().substr(0, request_.body.size() - used);
      std::memcpy(request_.body.data() + used, have.data(), have.size());
      used += have.size();
      input_.consume(have.size());
      continue;
    }
    if (end_of_input_) co_return false;
    arm(server_.options.body_idle_timeout);
    error_code error;
    used += co_await socket_.async_read_some(asio::buffer(request_.body.data() + used, request_.body.size() - used),
                                             asio::redirect_error(asio::use_awaitable, error));
    disarm();
    if (error && timed_out_) co_return co_await refuse({408, "REQUEST_TIMEOUT", "the request's body took too long"});
    if (error) co_return false;
  }
  co_return true;
}

async::Task<bool> HttpConnection::read_chunked_body(uint64_t limit) {
  ChunkDecoder decoder(limit);
  while (true) {
    std::string_view rest = input_.data();
    const size_t before = rest.size();
    const auto state = decoder.feed(rest, request_.body);
    input_.consume(before - rest.size());
    if (request_.body.size() > body_charged_ && !charge_body(request_.body.size() - body_charged_)) {
      co_return co_await refuse(
          {503, "OVERLOADED", "too many large requests are being received; try again in a moment"});
    }
    if (state == ChunkDecoder::State::done) co_return true;
    if (state == ChunkDecoder::State::bad)
      co_return co_await refuse({400, "BAD_REQUEST", "the chunked body is malformed"});
    if (state == ChunkDecoder::State::too_large) {
      co_return co_await refuse({413, "BODY_TOO_LARGE", "the request's body is too large; send less at a time"});
    }
    if (const auto error = co_await fill()) {
      if (timed_out_) co_return co_await refuse({408, "REQUEST_TIMEOUT", "the request's body took too long"});
      co_return false;
    }
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

async::Task<bool> HttpConnection::refuse(Refusal refusal) {
  phase_ = Phase::closing;
  timed_out_ = false;
  request_.keep_alive = false;
  const Response answer = server_.render_error(refusal.status, refusal.code, refusal.message);
  output_.clear();
  append_response_head(output_, answer.status, answer.content_type, answer.headers,
                       {.length = answer.body.size(), .close = true});
  if (request_.method != Method::head) output_ += answer.body;
  const auto sent = co_await write_all(Buffers{asio::buffer(output_)});
  if (sent) co_await linger();
  co_return false;
}

async::Task<> HttpConnection::linger() {
  // Closing with unread input makes the kernel send a reset, which can destroy the answer before the client has read
  // it. So: say that we are done, then read and forget for a while.
  error_code error;
  socket_.shutdown(Socket::shutdown_send, error);
  uint64_t forgotten = 0;
  input_.consume(input_.data().size());
  const auto end = server_.clock.now() + 5 * kLingerIdle;
  while (!error && !end_of_input_ && forgotten < kLingerBytesMax && !server_.stopping && server_.clock.now() < end) {
    arm(kLingerIdle);
    forgotten += co_await socket_.async_read_some(input_.room(), asio::redirect_error(asio::use_awaitable, error));
  }
  disarm();
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

Result<bool> HttpConnection::write_some(Buffers& buffers) {
  error_code error;
  size_t count = socket_.write_some(buffers, error);
  if (error && error != asio::error::would_block && error != asio::error::interrupted) {
    lost(error.message());
    return std::unexpected(*broken_);
  }
  if (error) count = 0;
  bool all = true;
  for (auto& buffer : buffers) {
    const size_t part = std::min(count, buffer.size());
    buffer += part;
    count -= part;
    all = all && buffer.size() == 0;
  }
  return all;
}

async::Task<Result<void>> HttpConnection::write_rest(Buffers buffers) {
  while (true) {
    arm(server_.options.write_timeout);
    error_code error;
    co_await socket_.async_wait(Socket::wait_write, asio::redirect_error(asio::use_awaitable, error));
    disarm();
    if (broken_) co_return broken();
    if (timed_out_) {
      timed_out_ = false;
      lost("write timeout");
      broken_ = base::make_error(Code::deadline, "CLIENT_SLOW", "the client did not read the answer in time");
      co_return broken();
    }
    if (error) {
      lost(error.message());
      co_return broken();
    }
    TESSERA_CO_TRY(const bool all, write_some(buffers));
    if (all) co_return Result<void>{};
  }
}

async::Task<Result<void>> HttpConnection::write_all(Buffers buffers) {
  if (broken_) co_return broken();
  TESSERA_CO_TRY(const bool all, write_some(buffers));
  if (all) co_return Result<void>{};
  co_return co_await write_rest(buffers);
}

async::Task<Result<void>> HttpConnection::send(Response response) {
  if (broken_) co_return broken();
  if (stage_ != Stage::none)
    co_return base::fail(Code::internal, "INTERNAL", "an internal error occurred", "answered twice");
  stage_ = Stage::done;
  const bool silent = bodiless(response.status);
  output_.clear();
  append_response_head(output_, response.status, response.content_type, response.headers,
                       {.length = silent ? std::nullopt : std::optional<uint64_t>(response.body.size()),
                        .close = closes(),
                        .keep_alive_word = request_.version_minor == 0 && !closes()});
  Buffers buffers;
  if (!silent && request_.method != Method::head) {
    if (response.body.size() <= kInlineBodyMax) {
      output_ += response.body;
    } else {
      buffers[1] = asio::buffer(response.body);
    }
  }
  buffers[0] = asio::buffer(output_);
  TESSERA_CO_TRY(const bool all, write_some(buffers));
  if (all) co_return Result<void>{};
  co_return co_await write_rest(buffers);
}

async::Task<Result<void>> HttpConnection::begin_stream(StreamHead head) {
  if (broken_) co_return broken();
  if (stage_ != Stage::none)
    co_return base::fail(Code::internal, "INTERNAL", "an internal error occurred", "answered twice");
  stage_ = Stage::streaming;
  chunked_out_ = request_.version_minor == 1 && !bodiless(head.status);
  if (request_.version_minor == 0) request_.keep_alive = false;
  output_.clear();
  append_response_head(output_, head.status, head.content_type, head.headers,
                       {.length = {}, .chunked = chunked_out_, .close = closes()});
  co_return co_await write_all(Buffers{asio::buffer(output_)});
}

async::Task<Result<void>> HttpConnection::write(std::string bytes) {
  if (broken_) co_return broken();
  if (stage_ != Stage::streaming)
    co_return base::fail(Code::internal, "INTERNAL", "an internal error occurred", "write outside a stream");
  if (bytes.empty() || request_.method == Method::head) co_return Result<void>{};
  if (!chunked_out_) {
    if (request_.version_minor == 1) co_return Result<void>{};  // a status without a body
    co_return co_await write_all(Buffers{asio::buffer(bytes)});
  }
  char size[20];
  auto* end = std::to_chars(size, size + 16, bytes.size(), 16).ptr;
  *end++ = '\r';
  *end++ = '\n';
  if (bytes.size() <= kInlineBodyMax) {
    output_.assign(size, end);
    output_ += bytes;
    output_ += "\r\n";
    co_return co_await write_all(Buffers{asio::buffer(output_)});
  }
  co_return co_await write_all(
      Buffers{asio::buffer(size, static_cast<size_t>(end - size)), asio::buffer(bytes), asio::buffer("\r\n", 2)});
}

async::Task<Result<void>> HttpConnection::finish() {
  if (broken_) co_return broken();
  if (stage_ != Stage::streaming)
    co_return base::fail(Code::internal, "INTERNAL", "an internal error occurred", "finish outside a stream");
  stage_ = Stage::done;
  if (!chunked_out_ || request_.method == Method::head) co_return Result<void>{};
  co_return co_await write_all(Buffers{asio::buffer("0\r\n\r\n", 5)});
}

}  // namespace tessera::wire
