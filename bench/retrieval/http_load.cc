// The client of hybrid_http.py, and the bare round trip beside it. Plain blocking sockets, a thread a connection.
//   http_load load PORT PATH BODIES CONNECTIONS SECONDS SKIP   POSTs BODIES' lines (from line SKIP on, round and round)
//       over kept-alive connections, each sending its next request when it has its answer. Prints: requests, seconds,
//       mean, p50, p95, p99 and slowest in microseconds, mean bytes of a body.
//   http_load echo PORT BYTES                                  answers every request with BYTES bytes, until killed
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void stop(const std::string& why) {
  std::fprintf(stderr, "http_load: %s\n", why.c_str());
  std::exit(1);
}

sockaddr_in loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

void send_all(int socket, const std::string& data) {
  for (size_t at = 0; at < data.size();) {
    const ssize_t sent = ::send(socket, data.data() + at, data.size() - at, MSG_NOSIGNAL);
    if (sent <= 0) stop("the other side closed");
    at += static_cast<size_t>(sent);
  }
}

/// One message (request or answer) with a Content-Length: fills `buffer`; the size of its body, or -1 at the end.
ssize_t receive_message(int socket, std::string& buffer) {
  buffer.clear();
  char part[65536];
  size_t head = std::string::npos;
  size_t whole = 0;
  while (head == std::string::npos || buffer.size() < whole) {
    const ssize_t got = ::recv(socket, part, sizeof part, 0);
    if (got <= 0) return -1;
    buffer.append(part, static_cast<size_t>(got));
    if (head != std::string::npos) continue;
    head = buffer.find("\r\n\r\n");
    if (head == std::string::npos) continue;
    const char* length = strcasestr(buffer.c_str(), "\r\ncontent-length:");
    if (length == nullptr) stop("an answer has no Content-Length: " + buffer.substr(0, head));
    whole = head + 4 + std::strtoul(length + 17, nullptr, 10);
  }
  return static_cast<ssize_t>(whole - head - 4);
}

struct Load {
  int port = 0;
  std::string path;
  std::vector<std::string> requests;
  std::atomic<size_t> next = 0;
  std::atomic<size_t> bytes = 0;
  Clock::time_point end;
};

void run_connection(Load& load, std::vector<double>& times) {
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  const sockaddr_in address = loopback(load.port);
  if (::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) stop("cannot connect");
  const int on = 1;
  setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  std::string answer;
  while (Clock::now() < load.end) {
    const std::string& request = load.requests[load.next++ % load.requests.size()];
    const auto start = Clock::now();
    send_all(socket, request);
    const ssize_t size = receive_message(socket, answer);
    times.push_back(std::chrono::duration<double, std::micro>(Clock::now() - start).count());
    if (size < 0) stop("the server closed the connection");
    if (answer.compare(0, 12, "HTTP/1.1 200") != 0) stop("not answered 200: " + answer.substr(0, 300));
    load.bytes += static_cast<size_t>(size);
  }
  ::close(socket);
}

void run_load(char** arguments) {
  Load load;
  load.port = std::atoi(arguments[0]);
  std::ifstream bodies(arguments[2]);
  for (std::string line; std::getline(bodies, line);) {
    load.requests.push_back("POST " + std::string(arguments[1]) +
                            " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: " +
                            std::to_string(line.size()) + "\r\n\r\n" + line);
  }
  if (load.requests.empty()) stop("no bodies");
  const size_t connections = std::strtoul(arguments[3], nullptr, 10);
  load.next = std::strtoul(arguments[5], nullptr, 10);
  const auto start = Clock::now();
  load.end = start + std::chrono::microseconds(static_cast<int64_t>(std::atof(arguments[4]) * 1e6));
  std::vector<std::vector<double>> times(connections);
  std::vector<std::thread> threads;
  for (auto& own : times) threads.emplace_back([&load, &own] { run_connection(load, own); });
  for (auto& thread : threads) thread.join();
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  std::vector<double> all;
  for (const auto& own : times) all.insert(all.end(), own.begin(), own.end());
  std::ranges::sort(all);
  const auto at = [&](double share) {
    return all[std::min(all.size() - 1, static_cast<size_t>(share * static_cast<double>(all.size())))];
  };
  const auto count = static_cast<double>(all.size());
  std::printf("%zu %.3f %.1f %.1f %.1f %.1f %.1f %.0f\n", all.size(), seconds,
              std::accumulate(all.begin(), all.end(), 0.0) / count, at(0.5), at(0.95), at(0.99), all.back(),
              static_cast<double>(load.bytes) / count);
}

void echo(int port, size_t bytes) {
  const std::string answer =
      "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(bytes) + "\r\n\r\n" +
      std::string(bytes, 'x');
  const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
  const int on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const sockaddr_in address = loopback(port);
  if (::bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) stop("cannot bind");
  ::listen(listener, 64);
  while (true) {
    const int socket = ::accept(listener, nullptr, nullptr);
    if (socket < 0) stop("cannot accept");
    setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    std::thread([socket, &answer] {
      std::string request;
      while (receive_message(socket, request) >= 0) send_all(socket, answer);
      ::close(socket);
    }).detach();
  }
}

}  // namespace

int main(int count, char** arguments) {
  const std::string what = count > 1 ? arguments[1] : "";
  if (what == "load" && count == 8) {
    run_load(arguments + 2);
  } else if (what == "echo" && count == 4) {
    echo(std::atoi(arguments[2]), std::strtoul(arguments[3], nullptr, 10));
  } else {
    stop("usage: load PORT PATH BODIES CONNECTIONS SECONDS SKIP | echo PORT BYTES");
  }
  return 0;
}
