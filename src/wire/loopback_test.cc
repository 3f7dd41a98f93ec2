#include "wire/loopback_test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>

#include "base/assert.h"

namespace tessera::wire::testing {

namespace {

constexpr int kPatienceMs = 5'000;

sockaddr_in loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

}  // namespace

RawClient::RawClient(uint16_t port, int receive_buffer) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
  if (receive_buffer > 0) ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
  const int yes = 1;
  ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  const auto address = loopback(port);
  TESSERA_ASSERT(::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
}

RawClient::~RawClient() {
  if (fd_ >= 0) ::close(fd_);
}

void RawClient::send(std::string_view bytes) const {
  while (!bytes.empty()) {
    const ssize_t count = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count <= 0) return;
    bytes.remove_prefix(static_cast<size_t>(count));
  }
}

size_t RawClient::send_some(std::string_view bytes) const {
  const ssize_t count = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  return count < 0 ? 0 : static_cast<size_t>(count);
}

bool RawClient::receive() {
  if (eof_) return false;
  pollfd poll{.fd = fd_, .events = POLLIN, .revents = 0};
  if (::poll(&poll, 1, kPatienceMs) != 1) return false;
  char bytes[16 * 1024];
  const ssize_t count = ::recv(fd_, bytes, sizeof bytes, 0);
  if (count <= 0) {
    eof_ = true;
    return false;
  }
  pending_.append(bytes, static_cast<size_t>(count));
  return true;
}

std::string RawClient::read_until(std::string_view end) {
  size_t found = std::string::npos;
  while (end.empty() || (found = pending_.find(end)) == std::string::npos) {
    if (!receive()) return std::exchange(pending_, {});
  }
  std::string out = pending_.substr(0, found + end.size());
  pending_.erase(0, out.size());
  return out;
}

std::string RawClient::read_response() {
  std::string out = read_until("\r\n\r\n");
  const size_t at = out.find("Content-Length: ");
  if (at == std::string::npos) return out;
  const size_t length = std::strtoul(out.c_str() + at + 16, nullptr, 10);
  while (pending_.size() < length && receive()) {
  }
  out += pending_.substr(0, length);
  pending_.erase(0, length);
  return out;
}

bool RawClient::closed_by_peer() {
  while (receive()) {
  }
  return eof_;
}

void RawClient::shut_writing() const {
  ::shutdown(fd_, SHUT_WR);
}

void RawClient::reset() {
  const linger hard{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  ::close(std::exchange(fd_, -1));
}

TestServer::TestServer(Handler handler, HttpServerOptions options, size_t shard_count) : shards(shard_count) {
  auto created = HttpServer::create(std::move(options), shards, system_clock, std::move(handler),
                                    [](int status, std::string_view code, std::string_view message) {
                                      return Response{.status = status,
                                                      .content_type = "text/plain",
                                                      .headers = {},
                                                      .body = std::string(code) + ": " + std::string(message)};
                                    });
  TESSERA_ASSERT(created.has_value());
  server = *std::move(created);
}

TestServer::~TestServer() {
  server.reset();
}

RawServer::RawServer(std::function<void(int, int)> serve) : listener_(::socket(AF_INET, SOCK_STREAM, 0)) {
  auto address = loopback(0);
  socklen_t size = sizeof address;
  TESSERA_ASSERT(::bind(listener_, reinterpret_cast<const sockaddr*>(&address), size) == 0);
  TESSERA_ASSERT(::listen(listener_, 16) == 0);
  ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this, serve = std::move(serve)] {
    for (int n = 0;; ++n) {
      const int fd = ::accept(listener_, nullptr, nullptr);
      if (fd < 0) return;
      serve(fd, n);
      ::close(fd);
    }
  });
}

RawServer::~RawServer() {
  ::shutdown(listener_, SHUT_RDWR);
  thread_.join();
  ::close(listener_);
}

std::string RawServer::url(std::string_view path) const {
  return "http://127.0.0.1:" + std::to_string(port_) + std::string(path);
}

std::string RawServer::read_head(int fd) {
  std::string head;
  while (head.find("\r\n\r\n") == std::string::npos) {
    char bytes[4096];
    const ssize_t count = ::recv(fd, bytes, sizeof bytes, 0);
    if (count <= 0) break;
    head.append(bytes, static_cast<size_t>(count));
  }
  return head;
}

void RawServer::send(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count <= 0) return;
    bytes.remove_prefix(static_cast<size_t>(count));
  }
}

async::Task<void> answer(ResponseWriter& writer, std::string body) {
  (void)co_await writer.send({.status = 200, .content_type = "text/plain", .headers = {}, .body = std::move(body)});
}

}  // namespace tessera::wire::testing
