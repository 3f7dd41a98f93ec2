// The upstream of gateway_load: one recorded chat completion for everything, at the least cost.
#include <vector>

#include "gateway_http.h"

namespace gateway_load {
namespace {

struct Upstream {
  string buffer;
  size_t whole = 0;  ///< bytes of the request that is coming; 0: its head is not there yet
};

string answer_of(const string& body) {
  return "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n\r\n" + body;
}

void answer(int socket, const string& text) {
  if (::send(socket, text.data(), text.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(text.size()))
    stop("a short write");
}

/// Whether more may follow.
bool serve(int socket, Upstream& one, const string& completion, size_t& seen) {
  static char data[262144];
  const ssize_t got = ::recv(socket, data, sizeof data, MSG_DONTWAIT);
  if (got < 0) return errno == EAGAIN;
  if (got == 0) return false;
  one.buffer.append(data, static_cast<size_t>(got));
  while (!one.buffer.empty()) {
    if (one.whole == 0) {
      const size_t head = one.buffer.find("\r\n\r\n");
      if (head == string::npos) return true;
      if (strcasestr(one.buffer.substr(0, head).c_str(), "transfer-encoding: chunked") != nullptr) {
        // A body in one or more chunks: its end is enough.
        if (!one.buffer.ends_with("\r\n0\r\n\r\n")) return true;
        one.whole = one.buffer.size();
      } else {
        one.whole = head + 4 + content_length(string_view(one.buffer).substr(0, head));
      }
    }
    if (one.buffer.size() < one.whole) return true;
    const bool asks = one.buffer.starts_with("GET /seen");
    seen += one.buffer.starts_with("POST") ? 1U : 0U;
    answer(socket, asks ? answer_of(std::to_string(seen)) : completion);
    one.buffer.erase(0, one.whole);
    one.whole = 0;
  }
  return true;
}

}  // namespace

void run_upstream(int port) {
  const string completion = answer_of(
      R"({"id":"chatcmpl-BxT7lq5Zk2dEgKj9yWm3","object":"chat.completion","created":1753000000,"model":"gpt-4o-mini",)"
      R"("choices":[{"index":0,"message":{"role":"assistant","content":"The ferry leaves the harbour at seven in the )"
      R"(morning and comes back at noon; on Sundays it does not run at all.","refusal":null,"annotations":[]},)"
      R"("logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":52,"completion_tokens":24,"total_tokens":76,)"
      R"("prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,)"
      R"("audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}},"service_tier":"default",)"
      R"("system_fingerprint":"fp_44added55e"})");
  const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
  const int on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const sockaddr_in address = loopback(port);
  if (::bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) stop("cannot bind");
  ::listen(listener, 1024);
  const int epoll = ::epoll_create1(0);
  epoll_event event{.events = EPOLLIN, .data = {.fd = listener}};
  epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
  std::vector<Upstream> connections(65536);
  size_t seen = 0;
  while (true) {
    epoll_event events[512];
    const int count = ::epoll_wait(epoll, events, std::size(events), -1);
    for (int i = 0; i < count; ++i) {
      const int socket = events[i].data.fd;
      if (socket == listener) {
        const int made = ::accept(listener, nullptr, nullptr);
        if (made < 0) continue;
        setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        connections[static_cast<size_t>(made)] = {};
        epoll_event wanted{.events = EPOLLIN, .data = {.fd = made}};
        epoll_ctl(epoll, EPOLL_CTL_ADD, made, &wanted);
      } else if (!serve(socket, connections[static_cast<size_t>(socket)], completion, seen)) {
        ::close(socket);
      }
    }
  }
}

}  // namespace gateway_load
