#include <curl/curl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "async/channel.h"
#include "wire/address_policy.h"
#include "wire/client_rules.h"
#include "wire/curl_engine.h"

namespace tessera::wire {

using base::Code;
using base::Error;
using base::Result;

namespace {

size_t header_callback(char* bytes, size_t size, size_t count, void* transfer) {
  return static_cast<CurlTransfer*>(transfer)->on_header({bytes, size * count});
}

size_t body_callback(char* bytes, size_t size, size_t count, void* transfer) {
  return static_cast<CurlTransfer*>(transfer)->on_body({bytes, size * count});
}

curl_socket_t open_socket_callback(void* transfer, curlsocktype /*purpose*/, curl_sockaddr* address) {
  return static_cast<CurlTransfer*>(transfer)->open_socket(address);
}

}  // namespace

CurlTransfer::CurlTransfer(std::shared_ptr<CurlEngine> engine, ClientRequest request)
    : engine_(std::move(engine)), request_(std::move(request)), easy_(engine_->take_handle()) {}

CurlTransfer::~CurlTransfer() {
  detach();
  if (easy_ != nullptr) engine_->give_handle(easy_);
  curl_slist_free_all(static_cast<curl_slist*>(header_list_));
}

void CurlTransfer::detach() {
  if (!attached_) return;
  attached_ = false;
  engine_->remove(*this);
}

void CurlTransfer::prepare_headers() {
  auto* list = static_cast<curl_slist*>(nullptr);
  const auto append = [&](const std::string& line) {
    if (auto* longer = curl_slist_append(list, line.c_str())) list = longer;
  };
  for (const auto& header : request_.headers) {
    // A semicolon is curl's way to say "empty value".
    append(header.value.empty() ? header.name + ";" : header.name + ": " + header.value);
  }
  // Things curl adds of its own accord and servers stumble over.
  append("Expect:");
  if (find_header(request_.headers, "content-type") == nullptr) append("Content-Type:");
  header_list_ = list;
  curl_easy_setopt(easy_, CURLOPT_HTTPHEADER, list);
}

void CurlTransfer::prepare_method() {
  const bool has_body = !request_.body.empty() || request_.method == "POST";
  if (has_body) {
    curl_easy_setopt(easy_, CURLOPT_POST, 1L);
    curl_easy_setopt(easy_, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request_.body.size()));
    curl_easy_setopt(easy_, CURLOPT_POSTFIELDS, request_.body.data());
    if (request_.method != "POST") curl_easy_setopt(easy_, CURLOPT_CUSTOMREQUEST, request_.method.c_str());
  } else if (request_.method == "HEAD") {
    curl_easy_setopt(easy_, CURLOPT_NOBODY, 1L);
  } else if (request_.method != "GET") {
    curl_easy_setopt(easy_, CURLOPT_CUSTOMREQUEST, request_.method.c_str());
  }
}

Result<void> CurlTransfer::prepare() {
  if (easy_ == nullptr) return base::fail(Code::internal, "INTERNAL", "an internal error occurred", "no curl handle");
  TESSERA_CHECK(check_request(request_));
  curl_easy_setopt(easy_, CURLOPT_PRIVATE, this);
  static_assert(sizeof why_ >= CURL_ERROR_SIZE);
  curl_easy_setopt(easy_, CURLOPT_ERRORBUFFER, why_);
  curl_easy_setopt(easy_, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy_, CURLOPT_QUICK_EXIT, 1L);  // giving up must not wait for the resolver's thread
  curl_easy_setopt(easy_, CURLOPT_URL, request_.url.c_str());
  curl_easy_setopt(easy_, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy_, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(easy_, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  curl_easy_setopt(easy_, CURLOPT_USERAGENT, engine_->options().user_agent.c_str());
  curl_easy_setopt(easy_, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_2TLS));
  curl_easy_setopt(easy_, CURLOPT_PIPEWAIT, 1L);  // rather share the connection that is being made than make many
  curl_easy_setopt(easy_, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(easy_, CURLOPT_CONNECTTIMEOUT_MS,
                   static_cast<long>(std::max<int64_t>(1, request_.connect_timeout.count())));
  curl_easy_setopt(easy_, CURLOPT_TIMEOUT_MS, static_cast<long>(std::max<int64_t>(1, request_.total_timeout.count())));
  curl_easy_setopt(easy_, CURLOPT_SSL_VERIFYPEER, 1L);
  curl_easy_setopt(easy_, CURLOPT_SSL_VERIFYHOST, 2L);
  if (!engine_->options().ca_file.empty()) curl_easy_setopt(easy_, CURLOPT_CAINFO, engine_->options().ca_file.c_str());
  curl_easy_setopt(easy_, CURLOPT_HEADERFUNCTION, &header_callback);
  curl_easy_setopt(easy_, CURLOPT_HEADERDATA, this);
  curl_easy_setopt(easy_, CURLOPT_WRITEFUNCTION, &body_callback);
  curl_easy_setopt(easy_, CURLOPT_WRITEDATA, this);
  if (request_.addresses == AddressPolicy::public_only) {
    curl_easy_setopt(easy_, CURLOPT_PROXY, "");  // a proxy would connect in our place, unjudged
    curl_easy_setopt(easy_, CURLOPT_OPENSOCKETFUNCTION, &open_socket_callback);
    curl_easy_setopt(easy_, CURLOPT_OPENSOCKETDATA, this);
  } else if (request_.url.starts_with("http://127.")) {
    curl_easy_setopt(easy_, CURLOPT_PROXY, "");  // no proxy's loopback is this machine's
  }
  prepare_method();
  prepare_headers();
  return {};
}

int CurlTransfer::open_socket(const void* opaque) {
  const auto& address = *static_cast<const curl_sockaddr*>(opaque);
  if (!is_public_address(address.addr)) {
    address_refused_ = true;
    return CURL_SOCKET_BAD;
  }
  return ::socket(address.family, address.socktype | SOCK_CLOEXEC, address.protocol);
}

void CurlTransfer::reset_response() {
  status_ = 0;
  headers_.clear();
  header_bytes_ = 0;
}

size_t CurlTransfer::on_header(std::string_view line) {
  const size_t taken = line.size();
  if (head_done_) return taken;  // trailers
  header_bytes_ += line.size();
  if (header_bytes_ > kResponseHeadBytesMax) return 0;
  while (!line.empty() && (line.back() == '\r' || line.back() == '\n')) line.remove_suffix(1);
  if (line.starts_with("HTTP/") && headers_.empty()) {
    long status = 0;
    curl_easy_getinfo(easy_, CURLINFO_RESPONSE_CODE, &status);
    status_ = static_cast<int>(status);
  } else if (!line.empty()) {
    const size_t colon = line.find(':');
    if (colon != std::string_view::npos) {
      std::string_view value = line.substr(colon + 1);
      while (!value.empty() && (value.front() == ' ' || value.front() == '\t')) value.remove_prefix(1);
      headers_.push_back({.name = std::string(line.substr(0, colon)), .value = std::string(value)});
    }
  } else if (status_ >= 200) {
    head_done_ = true;
    notify();
  } else {
    reset_response();  // an interim answer
  }
  return taken;
}

size_t CurlTransfer::on_body(std::string_view bytes) {
  if (buffer_.size() >= engine_->options().stream_buffer_bytes) {
    paused_ = true;
    return CURL_WRITEFUNC_PAUSE;
  }
  received_ += bytes.size();
  if (received_ > request_.body_bytes_max) {
    too_large_ = true;
    return 0;
  }
  buffer_.append(bytes);
  notify();
  return bytes.size();
}

void CurlTransfer::notify() {
  if (!waiter_) return;
  waiter_->wake();
  waiter_.reset();
}

void CurlTransfer::ended(int result) {
  detach();
  const bool lost = result == CURLE_GOT_NOTHING || result == CURLE_SEND_ERROR || result == CURLE_RECV_ERROR;
  if (lost && status_ == 0 && !retried_) {
    long connects = 1;
    curl_easy_getinfo(easy_, CURLINFO_NUM_CONNECTS, &connects);
    if (connects == 0) {
      // The pooled connection had died unnoticed; the peer saw nothing of this request, or gave no sign of it.
      retried_ = true;
      reset_response();
      curl_easy_setopt(easy_, CURLOPT_FRESH_CONNECT, 1L);
      attached_ = true;
      engine_->add(*this);
      return;
    }
  }
  if (result != CURLE_OK && !error_) error_ = error_of(result);
  done_ = true;
  notify();
}

Error CurlTransfer::error_of(int result) {
  const std::string detail = why_[0] != '\0' ? why_ : curl_easy_strerror(static_cast<CURLcode>(result));
  if (too_large_) return too_large_error(detail);
  curl_off_t connected_us = 0;
  curl_easy_getinfo(easy_, CURLINFO_PRETRANSFER_TIME_T, &connected_us);
  return connected_us == 0 ? unconnected_error(result, detail) : exchange_error(result, detail);
}

Error CurlTransfer::unconnected_error(int result, const std::string& detail) const {
  switch (result) {
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
      return base::make_error(Code::invalid, "BAD_URL", "the URL is malformed or not http or https", detail);
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
      return base::make_error(Code::upstream, "TLS_FAILED", "the other server could not prove who it is", detail);
    default:
      break;
  }
  if (address_refused_) {
    return base::make_error(Code::forbidden, "PRIVATE_ADDRESS",
                            "the URL leads to an address that is not public; use a public one");
  }
  return base::make_error(Code::unavailable, "CONNECT_FAILED", "the other server could not be reached", detail);
}

Error CurlTransfer::exchange_error(int result, const std::string& detail) const {
  if (result == CURLE_OPERATION_TIMEDOUT) return timeout_error(detail);
  if (head_done_) return cut_error(detail);
  if (result == CURLE_GOT_NOTHING || result == CURLE_SEND_ERROR || result == CURLE_RECV_ERROR) {
    return lost_error(detail);
  }
  return bad_response_error(detail);
}

void CurlTransfer::abort(Error error) {
  detach();
  done_ = true;
  if (!error_) error_ = std::move(error);
}

async::Task<void> CurlTransfer::wait(base::SteadyTime deadline) {
  const async::Waiter waiter = waiter_.emplace();
  const auto why = co_await waiter.wait({.deadline = deadline, .token = request_.cancel});
  waiter_.reset();
  if (why == async::Wake::cancelled) abort(async::wait_error(why));
  if (why == async::Wake::deadline) abort(timeout_error());
}

async::Task<Result<void>> CurlTransfer::start() {
  if (request_.cancel.cancelled()) co_return std::unexpected(async::wait_error(async::Wake::cancelled));
  TESSERA_CO_CHECK(prepare());
  const auto deadline = base::SystemClock().now() + request_.first_byte_timeout;
  attached_ = true;
  engine_->add(*this);
  while (!head_done_ && !done_) co_await wait(deadline);
  if (!head_done_ || too_large_) co_return std::unexpected(error_.value_or(Error{}));
  if (error_ && error_->code == Code::cancelled) co_return std::unexpected(*error_);
  co_return check_redirect(status_, headers_, request_.addresses);
}

async::Task<Result<std::optional<std::string>>> CurlTransfer::next() {
  if (!done_ && request_.cancel.cancelled()) abort(async::wait_error(async::Wake::cancelled));
  while (true) {
    if (!buffer_.empty() && !(error_ && error_->code == Code::cancelled)) {
      std::optional<std::string> piece(std::move(buffer_));
      buffer_.clear();
      if (std::exchange(paused_, false) && attached_) engine_->resume(*this);
      co_return piece;
    }
    if (error_) co_return std::unexpected(*error_);
    if (done_) co_return std::optional<std::string>{};
    co_await wait(base::SystemClock().now() + request_.idle_timeout);
  }
}

}  // namespace tessera::wire
