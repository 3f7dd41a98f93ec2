// The writing half of a connection: answers, streams, refusals.
#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <charconv>

#include "wire/http_connection.h"
#include "wire/http_render.h"

namespace tessera::wire {

namespace asio = boost::asio;
using base::Code;
using base::Result;
using boost::system::error_code;

namespace {

constexpr size_t kInlineBodyMax = 16 * 1024;  ///< a body up to this is copied behind its head: one write, one buffer
constexpr base::Millis kLingerIdle{2'000};
constexpr uint64_t kLingerBytesMax = 64ULL * 1024 * 1024;

}  // namespace

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
  const bool with_body = !silent && request_.method != Method::head;
  output_.clear();
  append_response_head(output_, response.status, response.content_type, response.headers,
                       {.length = silent ? std::nullopt : std::optional<uint64_t>(response.body.size()),
                        .close = closes(),
                        .keep_alive_word = request_.version_minor == 0 && !closes()});
  Buffers buffers;
  if (with_body) {
    if (response.body.size() <= kInlineBodyMax) {
      output_ += response.body;
    } else {
      buffers[1] = asio::buffer(response.body);
    }
  }
  buffers[0] = asio::buffer(output_);
  // After the others that are ready: answers then leave together, and a client on this machine is woken once for all.
  co_await asio::post(socket_.get_executor(), asio::use_awaitable);
  if (broken_) co_return broken();
  TESSERA_CO_TRY(const bool all, write_some(buffers));
  if (!all) TESSERA_CO_CHECK(co_await write_rest(buffers));
  if (with_body) count_body(response.body.size());
  co_return Result<void>{};
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
    TESSERA_CO_CHECK(co_await write_all(Buffers{asio::buffer(bytes)}));
    count_body(bytes.size());
    co_return Result<void>{};
  }
  char size[20];
  auto* end = std::to_chars(size, size + 16, bytes.size(), 16).ptr;
  *end++ = '\r';
  *end++ = '\n';
  if (bytes.size() <= kInlineBodyMax) {
    output_.assign(size, end);
    output_ += bytes;
    output_ += "\r\n";
    TESSERA_CO_CHECK(co_await write_all(Buffers{asio::buffer(output_)}));
  } else {
    TESSERA_CO_CHECK(co_await write_all(
        Buffers{asio::buffer(size, static_cast<size_t>(end - size)), asio::buffer(bytes), asio::buffer("\r\n", 2)}));
  }
  count_body(bytes.size());
  co_return Result<void>{};
}

async::Task<Result<void>> HttpConnection::finish() {
  if (broken_) co_return broken();
  if (stage_ != Stage::streaming)
    co_return base::fail(Code::internal, "INTERNAL", "an internal error occurred", "finish outside a stream");
  stage_ = Stage::done;
  if (!chunked_out_ || request_.method == Method::head) co_return Result<void>{};
  co_return co_await write_all(Buffers{asio::buffer("0\r\n\r\n", 5)});
}

async::Task<Result<void>> HttpConnection::write_raw(std::string bytes) {
  if (broken_) co_return broken();
  stage_ = Stage::streaming;  // never done: handle() closes the connection
  if (bytes.empty()) co_return Result<void>{};
  co_return co_await write_all(Buffers{asio::buffer(bytes)});
}

void HttpConnection::end_by_reset() {
  stage_ = Stage::streaming;
  error_code ignored;
  socket_.set_option(asio::socket_base::linger(true, 0), ignored);
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
  if (sent && request_.method != Method::head) count_body(answer.body.size());
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

}  // namespace tessera::wire
