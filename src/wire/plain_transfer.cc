#include "wire/plain_transfer.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <charconv>

#include "async/channel.h"
#include "wire/address_policy.h"
#include "wire/http_render.h"

namespace tessera::wire {

namespace asio = boost::asio;
using async::Wake;
using base::Error;
using base::Result;

namespace {

constexpr base::Millis kAddressMin{250};  ///< for one of several addresses of a name

void append_line(std::string& out, std::string_view name, std::string_view value) {
  out.append(name);
  out.append(": ");
  out.append(value);
  out.append("\r\n");
}

base::SteadyTime after(base::SteadyTime now, base::Millis timeout) {
  const auto most = std::chrono::duration_cast<base::Millis>(base::SteadyTime::max() - now) - base::Millis(1);
  return now + std::clamp(timeout, base::Millis(1), most);
}

}  // namespace

PlainTransfer::PlainTransfer(std::shared_ptr<PlainEngine> engine, ClientRequest request)
    : engine_(std::move(engine)), request_(std::move(request)), chunks_(request_.body_bytes_max) {
  const PlainUrl url = split_plain_url(request_.url).value();
  host_ = engine_->host(url);
  render_head(url);
}

PlainTransfer::~PlainTransfer() {
  release(false);
}

void PlainTransfer::render_head(const PlainUrl& url) {
  std::string& out = request_head_;
  out.reserve(512);
  out.append(request_.method).append(" ");
  if (!url.target.starts_with('/')) out.append("/");
  out.append(url.target).append(" HTTP/1.1\r\n");
  const auto& headers = request_.headers;
  if (find_header(headers, "host") == nullptr) append_line(out, "Host", url.authority);
  if (find_header(headers, "user-agent") == nullptr) append_line(out, "User-Agent", engine_->options().user_agent);
  if (find_header(headers, "accept") == nullptr) append_line(out, "Accept", "*/*");
  for (const auto& header : headers) {
    // The framing of the body and of the connection are ours to say.
    if (equal_nocase(header.name, "content-length") || equal_nocase(header.name, "transfer-encoding") ||
        equal_nocase(header.name, "connection")) {
      continue;
    }
    append_line(out, header.name, header.value);
  }
  if (!request_.body.empty() || request_.method == "POST" || request_.method == "PUT" || request_.method == "PATCH") {
    char digits[20];
    const auto* end = std::to_chars(digits, digits + sizeof digits, request_.body.size()).ptr;
    append_line(out, "Content-Length", {digits, static_cast<size_t>(end - digits)});
  }
  out.append("\r\n");
}

void PlainTransfer::use(std::shared_ptr<PlainConnection> connection) {
  connection_ = std::move(connection);
  on_cancel_.reset();
  if (!request_.cancel.can_cancel()) return;
  on_cancel_.emplace(request_.cancel, [this] {
    // Any thread. The transfer outlives this callback, but not the posted one, nor need the connection still be its.
    asio::post(engine_->context(), [connection = connection_, serial = connection_->serial] {
      if (connection->serial == serial) connection->cut(PlainConnection::Cut::cancelled);
    });
  });
}

void PlainTransfer::release(bool keep) {
  on_cancel_.reset();
  if (!connection_) return;
  const auto connection = std::exchange(connection_, nullptr);
  if (keep) {
    engine_->keep(connection);
  } else {
    engine_->drop(*connection);
  }
}

Error PlainTransfer::cut_or(Error error) const {
  if (request_.cancel.cancelled()) return async::wait_error(Wake::cancelled);
  if (connection_ && connection_->why_cut() == PlainConnection::Cut::timed_out) return timeout_error();
  return error;
}

Error PlainTransfer::fail(Error error) {
  error_ = cut_or(std::move(error));
  done_ = true;
  release(false);
  return *error_;
}

async::Task<Result<void>> PlainTransfer::start() {
  if (request_.cancel.cancelled()) co_return std::unexpected(async::wait_error(Wake::cancelled));
  TESSERA_CO_CHECK(check_request(request_));
  const auto now = base::SystemClock().now();
  first_byte_at_ = after(now, request_.first_byte_timeout);
  total_at_ = after(now, request_.total_timeout);
  auto head = co_await exchange(false);
  if (!head && reused_ && !answered_ && head.error().name == "CONNECTION_LOST") {
    // The pooled connection had died unnoticed; the peer saw nothing of this request, or gave no sign of it.
    release(false);
    error_.reset();
    head = co_await exchange(true);
  }
  if (!head) co_return std::unexpected(fail(std::move(head).error()));
  begin_body();
  if (error_) co_return std::unexpected(*error_);
  co_return check_redirect(head_.status, head_.headers, request_.addresses);
}

async::Task<Result<void>> PlainTransfer::exchange(bool fresh) {
  auto idle = engine_->take_idle(*host_);
  while (fresh && idle) {
    // The others of that host are likely as dead.
    engine_->drop(*idle);
    idle = engine_->take_idle(*host_);
  }
  reused_ = idle != nullptr;
  sent_all_ = false;
  if (reused_) {
    use(std::move(idle));
  } else {
    TESSERA_CO_CHECK(co_await take_connection(fresh));
  }
  engine_->arm(*connection_, first_byte_deadline());
  connection_->start_read();
  // After the others that are ready: requests then leave together, and a server on this machine is woken once for all.
  co_await asio::post(engine_->context(), asio::use_awaitable);
  // What an old connection said before it was asked anything is no answer.
  if (reused_ && !connection_->reading()) co_return std::unexpected(cut_or(lost_error("it ended before the request")));
  PlainConnection::Buffers buffers{asio::buffer(request_head_), asio::buffer(request_.body)};
  const auto sent = connection_->write_some(buffers);
  // When the peer is gone, what it said before is still to be read.
  sent_all_ = sent && *sent;
  if (sent && !*sent) TESSERA_CO_CHECK(co_await send_rest(buffers));
  co_return co_await read_head();
}

async::Task<Result<void>> PlainTransfer::take_connection(bool fresh) {
  while (true) {
    if (auto made = engine_->make(host_)) {
      use(std::move(made));
      co_return co_await connect();
    }
    const auto why = co_await engine_->await_slot(host_, {.deadline = first_byte_deadline(), .token = request_.cancel});
    if (why == Wake::deadline) co_return std::unexpected(timeout_error());
    if (why == Wake::cancelled) co_return std::unexpected(async::wait_error(why));
    if (fresh) continue;
    if (auto idle = engine_->take_idle(*host_)) {
      reused_ = true;
      use(std::move(idle));
      co_return Result<void>{};
    }
  }
}

async::Task<Result<void>> PlainTransfer::connect() {
  const auto started = base::SystemClock().now();
  const auto connect_at = after(started, request_.connect_timeout);
  const auto limit = std::min(connect_at, first_byte_deadline());
  const auto late = [&] { return limit == connect_at ? connect_error("it took too long") : timeout_error(); };
  auto endpoints = co_await engine_->resolve(host_, {.deadline = limit, .token = request_.cancel});
  if (!endpoints && endpoints.error().name == "UPSTREAM_TIMEOUT") co_return std::unexpected(late());
  if (!endpoints) co_return std::unexpected(std::move(endpoints).error());
  bool refused = false;
  if (request_.addresses == AddressPolicy::public_only) {
    refused = std::erase_if(*endpoints, [](const auto& each) { return !is_public_address(*each.data()); }) > 0;
  }
  std::string detail = "no address";
  for (size_t i = 0; i < endpoints->size(); ++i) {
    const auto now = base::SystemClock().now();
    if (request_.cancel.cancelled()) co_return std::unexpected(async::wait_error(Wake::cancelled));
    if (now >= limit) co_return std::unexpected(late());
    const auto share = (limit - now) / static_cast<int64_t>(endpoints->size() - i);
    const auto until = std::min(limit, now + std::max<base::SteadyTime::duration>(share, kAddressMin));
    engine_->arm(*connection_, until);
    connection_->start_connect((*endpoints)[i]);
    while (connection_->connecting()) co_await connection_->wait();
    connection_->deadline = base::SteadyTime::max();
    if (connection_->connected()) co_return Result<void>{};
    if (request_.cancel.cancelled()) co_return std::unexpected(async::wait_error(Wake::cancelled));
    detail = connection_->error().message();
    const bool timed_out = connection_->why_cut() == PlainConnection::Cut::timed_out;
    connection_->reopen();
    if (timed_out && until == limit) co_return std::unexpected(late());
  }
  co_return std::unexpected(refused ? private_address_error() : connect_error(detail));
}

async::Task<Result<void>> PlainTransfer::send_rest(PlainConnection::Buffers buffers) {
  connection_->start_await_writable();
  while (true) {
    co_await connection_->wait();
    // An answer, or the end, before the peer has taken the request: it will not take the rest.
    if (!connection_->reading()) co_return Result<void>{};
    if (!connection_->writable()) continue;
    auto all = connection_->write_some(buffers);
    if (!all) co_return Result<void>{};  // what the peer said before it closed is still to be read
    if (*all) {
      sent_all_ = true;
      co_return Result<void>{};
    }
    connection_->start_await_writable();
  }
}

async::Task<Result<void>> PlainTransfer::read_head() {
  while (true) {
    while (connection_->reading()) co_await connection_->wait();
    if (!connection_->input().empty()) answered_ = true;
    if (connection_->why_cut() != PlainConnection::Cut::none) co_return std::unexpected(cut_or(timeout_error()));
    if (auto taken = take_head()) {
      connection_->deadline = base::SteadyTime::max();
      co_return *std::move(taken);
    }
    if (connection_->ended()) co_return std::unexpected(cut_or(lost_error(connection_->error().message())));
    if (!connection_->start_read()) co_return std::unexpected(bad_response_error("the head is too large"));
  }
}

std::optional<Result<void>> PlainTransfer::take_head() {
  while (true) {
    const std::string_view bytes = connection_->input().data();
    if (!may_be_response(bytes)) return std::unexpected(bad_response_error("not HTTP/1.x"));
    const auto state = scanner_.scan(bytes);
    if (state == HeadScanner::State::bad) return std::unexpected(bad_response_error("a line without CR LF"));
    if (state == HeadScanner::State::more) return std::nullopt;
    const size_t size = scanner_.size();
    const bool good = parse_response_head(bytes.substr(0, size), head_);
    connection_->input().consume(size);
    scanner_.reset();
    interim_bytes_ += size;
    if (!good || head_.status == 101 || interim_bytes_ > kResponseHeadBytesMax) {
      return std::unexpected(bad_response_error("a malformed head"));
    }
    if (head_.status >= 200) return Result<void>{};
  }
}

void PlainTransfer::begin_body() {
  left_ = request_.body_bytes_max;
  if (request_.method == "HEAD" || bodiless(head_.status)) {
    body_ = Body::none;
  } else if (head_.chunked) {
    body_ = Body::chunked;
  } else if (head_.length) {
    if (*head_.length > request_.body_bytes_max) {
      fail(too_large_error());
      return;
    }
    body_ = *head_.length == 0 ? Body::none : Body::sized;
    left_ = *head_.length;
  } else {
    body_ = Body::until_close;
  }
  if (body_ == Body::none) end_body();
}

void PlainTransfer::end_body() {
  done_ = true;
  // What follows the body belongs to no request of ours.
  release(head_.keep_alive && sent_all_ && body_ != Body::until_close && !connection_->ended() &&
          connection_->why_cut() == PlainConnection::Cut::none && !connection_->reading() &&
          connection_->input().empty());
}

std::optional<Error> PlainTransfer::decode(std::string& piece) {
  InputBuffer& input = connection_->input();
  std::string_view bytes = input.data();
  if (body_ == Body::chunked) {
    const size_t before = bytes.size();
    const auto state = chunks_.feed(bytes, piece);
    input.consume(before - bytes.size());
    if (state == ChunkDecoder::State::bad) return cut_error("a malformed chunk");
    if (state == ChunkDecoder::State::too_large) return too_large_error();
    if (state == ChunkDecoder::State::done) end_body();
    return std::nullopt;
  }
  const auto take = static_cast<size_t>(std::min<uint64_t>(left_, bytes.size()));
  if (body_ == Body::until_close && take < bytes.size()) return too_large_error();
  piece.assign(bytes.substr(0, take));
  input.consume(take);
  left_ -= take;
  if (body_ == Body::sized && left_ == 0) end_body();
  return std::nullopt;
}

std::optional<Error> PlainTransfer::end_of_input() {
  if (body_ != Body::until_close || connection_->error() != asio::error::eof) {
    return cut_error(connection_->error().message());
  }
  end_body();
  return std::nullopt;
}

async::Task<Result<std::optional<std::string>>> PlainTransfer::next() {
  if (!done_ && request_.cancel.cancelled()) fail(async::wait_error(Wake::cancelled));
  while (true) {
    if (error_) co_return std::unexpected(*error_);
    if (done_) co_return std::optional<std::string>{};
    if (!connection_->reading() && !connection_->input().empty()) {
      std::optional<std::string> piece(std::in_place);
      if (auto error = decode(*piece)) fail(*std::move(error));
      if (!piece->empty()) co_return piece;
      continue;
    }
    if (connection_->ended() || connection_->why_cut() != PlainConnection::Cut::none) {
      if (auto error = end_of_input()) fail(*std::move(error));
      continue;
    }
    const auto now = base::SystemClock().now();
    if (now >= total_at_) {
      fail(timeout_error());
      continue;
    }
    engine_->arm(*connection_, std::min(total_at_, after(now, request_.idle_timeout)));
    connection_->start_read();
    while (connection_->reading()) co_await connection_->wait();
    connection_->deadline = base::SteadyTime::max();
  }
}

}  // namespace tessera::wire
