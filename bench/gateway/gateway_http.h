#pragma once
// What the client and the upstream of gateway_load share: addresses, and the framing of HTTP/1.1.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

namespace gateway_load {

using std::string;
using std::string_view;

inline int64_t now_ns() {
  return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1);  // CLOCK_MONOTONIC
}

[[noreturn]] inline void stop(const string& why) {
  std::fprintf(stderr, "gateway_load: %s\n", why.c_str());
  std::exit(1);
}

inline size_t content_length(string_view head) {
  const string text(head);
  const char* const at = strcasestr(text.c_str(), "\r\ncontent-length:");
  return at == nullptr ? 0 : std::strtoul(at + 17, nullptr, 10);
}

inline sockaddr_in loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

/// Reads answers from the bytes of a connection as they come; hands out the data of a body without its framing.
class AnswerReader {
 public:
  enum class State { head, length, chunk_size, chunk, chunk_end, trailer, done };

  void begin() {
    state_ = State::head;
    buffer_.clear();
  }
  [[nodiscard]] bool done() const { return state_ == State::done; }
  [[nodiscard]] bool in_body() const { return state_ != State::head; }
  [[nodiscard]] int status() const { return status_; }

  template <class Sink>
  void take(string_view data, const Sink& sink) {
    buffer_.append(data);
    size_t at = 0;
    while (state_ != State::done && step(at, sink)) {
    }
    buffer_.erase(0, at);
  }

 private:
  template <class Sink>
  bool step(size_t& at, const Sink& sink) {
    if (state_ == State::length || state_ == State::chunk) {
      const size_t size = std::min(left_, buffer_.size() - at);
      if (size > 0) sink(string_view(buffer_).substr(at, size));
      at += size;
      left_ -= size;
      if (left_ > 0) return false;
      state_ = state_ == State::length ? State::done : State::chunk_end;
      return true;
    }
    const string_view end = state_ == State::head ? "\r\n\r\n" : "\r\n";
    const size_t found = buffer_.find(end, at);
    if (found == string::npos) return false;
    const string_view line = string_view(buffer_).substr(at, found - at);
    at = found + end.size();
    if (state_ == State::head) {
      read_head(line);
    } else if (state_ == State::chunk_size) {
      left_ = 0;
      std::from_chars(line.data(), line.data() + line.size(), left_, 16);
      state_ = left_ == 0 ? State::trailer : State::chunk;
    } else if (state_ == State::chunk_end) {
      state_ = State::chunk_size;
    } else if (line.empty()) {
      state_ = State::done;
    }
    return true;
  }

  void read_head(string_view head) {
    status_ = head.size() > 12 ? std::atoi(head.data() + 9) : 0;
    const string text(head);
    if (strcasestr(text.c_str(), "\r\ntransfer-encoding: chunked") != nullptr) {
      state_ = State::chunk_size;
      return;
    }
    left_ = content_length(head);
    state_ = left_ > 0 ? State::length : State::done;
  }

  State state_ = State::done;
  string buffer_;
  size_t left_ = 0;
  int status_ = 0;
};

/// Answers on this port with one chat completion, until killed.
void run_upstream(int port);

}  // namespace gateway_load
