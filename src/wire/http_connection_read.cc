// The reading half of a connection: heads, bodies, their limits.
#include <algorithm>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstring>

#include "wire/http_connection.h"

namespace tessera::wire {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

constexpr size_t kBodyBytesKept = 64 * 1024;  ///< a body buffer up to this stays with the connection
constexpr size_t kBodyStep = 256 * 1024;      ///< first piece of a body allocated, whatever the peer announced

}  // namespace

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
    // The deadline may strike between the arrival of bytes and this point, when there is nothing left to cancel. Then
    // it still counts, unless these are the first bytes after an idle time.
    if (!error && (!timed_out_ || (phase_ == Phase::idle && !fresh_))) continue;
    if (timed_out_ && (phase_ == Phase::head || !error)) {
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
  const bool small = !framing_.chunked && framing_.length <= server_.options.body_bytes_free;
  if (server_.options.body_limit && !small) limit = server_.options.body_limit(request_);
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

}  // namespace tessera::wire
