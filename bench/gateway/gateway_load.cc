// The client and the upstream of this folder's scripts. One thread, epoll, plain sockets.
//   gateway_load closed PORT REQUESTS CONNECTIONS SECONDS             each connection sends its next request when
//   answered gateway_load open PORT REQUESTS CONNECTIONS SECONDS RATE          RATE requests a second, whatever the
//   answers do; a
//       request's time counts from the moment it was due, so one that had to wait for a connection has waited
//   gateway_load streams PORT REQUESTS CONNECTIONS SECONDS [LARGE RATE]  one stream a connection, begun within a
//   second;
//       tokens are stamps of mock-llm ("NUMBER@NANOSECONDS "). With LARGE, RATE requests a second of that file beside
//       them
//   gateway_load upstream PORT                                        answers every request with one chat completion;
//       GET /seen tells how many
// REQUESTS are raw HTTP requests with Content-Length, one after the other; they are sent in turn, round and round.
// Prints one line of JSON. Times in microseconds.
#include <sys/resource.h>

#include <deque>
#include <fstream>
#include <iterator>
#include <memory>
#include <numeric>
#include <vector>

#include "gateway_http.h"

namespace gateway_load {
namespace {

std::vector<string> read_requests(const char* path) {
  std::ifstream file(path, std::ios::binary);
  const string all{std::istreambuf_iterator<char>(file), {}};
  std::vector<string> out;
  for (size_t at = 0; at < all.size();) {
    const size_t head = all.find("\r\n\r\n", at);
    if (head == string::npos) stop("a request without end");
    const size_t size = head + 4 - at + content_length(string_view(all).substr(at, head - at));
    out.push_back(all.substr(at, size));
    at += size;
  }
  if (out.empty()) stop("no requests");
  return out;
}

/// What a stream of stamps told.
struct StreamTally {
  int64_t expected = 0;  ///< number of the next stamp
  int64_t last_delay = -1;
  int64_t first_at = 0;
  bool ended = false;  ///< saw [DONE]
  string line;
};

struct Connection {
  int socket = -1;
  const string* request = nullptr;
  size_t sent = 0;
  int64_t due = 0;  ///< when the request's time begins
  bool busy = false;
  bool large = false;
  bool begun = false;  ///< the answer's body
  AnswerReader answer;
  string error;
  StreamTally stream;
};

struct Times {
  std::vector<double> all;
  void add(int64_t ns) { all.push_back(static_cast<double>(ns) / 1000.0); }
  [[nodiscard]] string json() {
    if (all.empty()) return "null";
    std::ranges::sort(all);
    const auto at = [&](double share) {
      return all[std::min(all.size() - 1, static_cast<size_t>(share * static_cast<double>(all.size())))];
    };
    char text[256];
    std::snprintf(text, sizeof text, R"({"mean":%.1f,"p50":%.1f,"p95":%.1f,"p99":%.1f,"p999":%.1f,"max":%.1f})",
                  std::accumulate(all.begin(), all.end(), 0.0) / static_cast<double>(all.size()), at(0.5), at(0.95),
                  at(0.99), at(0.999), all.back());
    return text;
  }
};

struct Figures {
  Times times;  ///< whole answers
  Times first;  ///< from the request to the first bytes of its answer's body; of streams, to the first token
  Times large;  ///< whole answers to large requests
  Times delay;  ///< from a stamp to its arrival
  Times gap;    ///< how much longer the pause between two events was here than where they were sent
  size_t failed = 0;
  size_t events = 0;
  size_t lost = 0;
  size_t merged = 0;  ///< events that held more than one token
  size_t unfinished = 0;
  string failure;
};

class Load {
 public:
  Load(int port, std::vector<string> requests, size_t connections) : port_(port), requests_(std::move(requests)) {
    epoll_ = ::epoll_create1(0);
    for (size_t i = 0; i < connections; ++i) open(false);
  }

  void run_closed(double seconds) {
    const int64_t start = now_ns();
    end_ = start + to_ns(seconds);
    for (auto& one : connections_) send_next(*one, now_ns());
    while (busy_ > 0) {
      wait(end_ + to_ns(20));
      if (now_ns() > end_ + to_ns(20)) break;
    }
    print(start);
  }

  void run_open(double seconds, double rate) {
    const int64_t start = now_ns();
    end_ = 0;  // nobody sends of itself
    const auto wanted = static_cast<size_t>(seconds * rate);
    size_t made = 0;
    for (auto& one : connections_) idle_.push_back(one.get());
    while (made < wanted || busy_ > 0 || !waiting_.empty()) {
      const int64_t now = now_ns();
      if (now > start + to_ns(seconds) + to_ns(10)) break;
      int64_t due = start + static_cast<int64_t>(static_cast<double>(made) * 1e9 / rate);
      for (; made < wanted && due <= now; due = start + static_cast<int64_t>(static_cast<double>(made) * 1e9 / rate)) {
        waiting_.push_back(due);
        ++made;
      }
      send_waiting();
      wait(made < wanted ? due : now + to_ns(0.01));
    }
    figures_.unfinished = busy_ + waiting_.size();
    print(start);
  }

  void run_streams(double seconds, std::vector<string> large, double rate) {
    streams_ = true;
    large_ = std::move(large);
    const int64_t start = now_ns();
    measured_from_ = start + to_ns(1.5);
    const size_t streams = connections_.size();
    size_t begun = 0;
    int64_t next_large = measured_from_;
    const int64_t give_up = start + to_ns(seconds + 6);
    // Each stream lasts `seconds`; large requests stop when the first of them ends.
    while (begun < streams || busy_ > larges_) {
      const int64_t now = now_ns();
      if (now > give_up) break;
      const auto due = [&] {
        return start + static_cast<int64_t>(begun) * 1'000'000'000 / static_cast<int64_t>(streams);
      };
      while (begun < streams && due() <= now) send_next(*connections_[begun++], now);
      if (!large_.empty() && now >= next_large && now < start + to_ns(seconds)) {
        send_large(now);
        next_large += to_ns(1 / rate);
      }
      int64_t until = begun < streams ? due() : now + to_ns(0.1);
      if (!large_.empty() && now < start + to_ns(seconds)) until = std::min(until, next_large);
      wait(until);
    }
    for (auto& one : connections_) figures_.unfinished += one->busy && !one->large ? 1U : 0U;
    print(start);
  }

 private:
  static int64_t to_ns(double seconds) { return static_cast<int64_t>(seconds * 1e9); }

  Connection& open(bool large) {
    auto one = std::make_unique<Connection>();
    one->large = large;
    one->socket = ::socket(AF_INET, SOCK_STREAM, 0);
    const sockaddr_in address = loopback(port_);
    if (::connect(one->socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
      stop("cannot connect");
    const int on = 1;
    setsockopt(one->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    epoll_event event{.events = EPOLLIN | EPOLLOUT | EPOLLET, .data = {.ptr = one.get()}};
    epoll_ctl(epoll_, EPOLL_CTL_ADD, one->socket, &event);
    connections_.push_back(std::move(one));
    return *connections_.back();
  }

  void send_next(Connection& one, int64_t due) {
    const auto& from = one.large ? large_ : requests_;
    one.request = &from[next_++ % from.size()];
    one.sent = 0;
    one.due = due;
    one.busy = true;
    one.stream = {};
    one.begun = false;
    one.error.clear();
    one.answer.begin();
    ++busy_;
    send_more(one);
  }

  void send_large(int64_t now) {
    for (auto& one : connections_) {
      if (one->large && !one->busy) {
        ++larges_;
        return send_next(*one, now);
      }
    }
    if (larges_ < 16) {
      ++larges_;
      send_next(open(true), now);
    }
  }

  void send_waiting() {
    while (!waiting_.empty() && !idle_.empty()) {
      Connection& one = *idle_.back();
      idle_.pop_back();
      send_next(one, waiting_.front());
      waiting_.pop_front();
    }
  }

  static void send_more(Connection& one) {
    while (one.busy && one.sent < one.request->size()) {
      const ssize_t size = ::send(one.socket, one.request->data() + one.sent, one.request->size() - one.sent,
                                  MSG_NOSIGNAL | MSG_DONTWAIT);
      if (size <= 0) return;
      one.sent += static_cast<size_t>(size);
    }
  }

  void wait(int64_t until) {
    epoll_event events[512];
    const int64_t left = std::max<int64_t>(0, until - now_ns());
    const timespec pause{.tv_sec = left / 1'000'000'000, .tv_nsec = left % 1'000'000'000};
    const int count = ::epoll_pwait2(epoll_, events, std::size(events), &pause, nullptr);
    for (int i = 0; i < count; ++i) {
      auto& one = *static_cast<Connection*>(events[i].data.ptr);
      if ((events[i].events & EPOLLOUT) != 0) send_more(one);
      if ((events[i].events & ~static_cast<uint32_t>(EPOLLOUT)) != 0) receive(one);
    }
  }

  void receive(Connection& one) {
    static char data[262144];
    while (one.socket >= 0) {
      const ssize_t got = ::recv(one.socket, data, sizeof data, MSG_DONTWAIT);
      if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
      if (got <= 0) {
        const string why = "the server closed a connection";
        if (!one.busy && !streams_) stop(why);
        if (one.busy) {
          figures_.failure = why;
          finish(one, true);
        }
        ::close(one.socket);
        one.socket = -1;
        return;
      }
      if (!one.busy) continue;
      const int64_t now = now_ns();
      one.answer.take({data, static_cast<size_t>(got)}, [&](string_view body) {
        if (one.answer.status() != 200) {
          one.error.append(body.substr(0, 300));
        } else if (streams_ && !one.large) {
          take_stream(one.stream, body, now, one.due);
        } else if (!streams_ && !one.begun) {
          one.begun = true;
          figures_.first.add(now - one.due);
        }
      });
      if (one.answer.done()) {
        finish(one, one.answer.status() != 200);
        if (got < static_cast<ssize_t>(sizeof data)) return;
      } else if (got < static_cast<ssize_t>(sizeof data)) {
        return;
      }
    }
  }

  void finish(Connection& one, bool failed) {
    const int64_t now = now_ns();
    one.busy = false;
    --busy_;
    larges_ -= one.large ? 1U : 0U;
    if (failed) {
      ++figures_.failed;
      if (!one.error.empty()) figures_.failure = std::to_string(one.answer.status()) + " " + one.error.substr(0, 300);
    } else if (streams_ && !one.large && !one.stream.ended) {
      ++figures_.unfinished;
    } else {
      (one.large ? figures_.large : figures_.times).add(now - one.due);
    }
    if (streams_) return;
    if (end_ == 0) {
      idle_.push_back(&one);
      send_waiting();
    } else if (now < end_ && !failed) {
      send_next(one, now);
    }
  }

  void take_stream(StreamTally& stream, string_view body, int64_t now, int64_t due) {
    for (size_t at = 0; at < body.size();) {
      const size_t end = body.find('\n', at);
      stream.line.append(body.substr(at, end == string_view::npos ? string_view::npos : end - at));
      if (end == string_view::npos) return;
      at = end + 1;
      take_line(stream, now, due);
      stream.line.clear();
    }
  }

  void take_line(StreamTally& stream, int64_t now, int64_t due) {
    if (stream.line.find("[DONE]") != string::npos) stream.ended = true;
    int stamps = 0;
    for (size_t at = stream.line.find('@'); at != string::npos; at = stream.line.find('@', at + 1)) {
      size_t from = at;
      while (from > 0 && stream.line[from - 1] >= '0' && stream.line[from - 1] <= '9') --from;
      const int64_t number = std::atoll(stream.line.c_str() + from);
      const int64_t sent = std::atoll(stream.line.c_str() + at + 1);
      if (sent == 0) continue;
      ++stamps;
      if (stream.first_at == 0) {
        stream.first_at = now;
        figures_.first.add(now - due);
      }
      if (number != stream.expected)
        figures_.lost += static_cast<size_t>(std::max<int64_t>(1, number - stream.expected));
      stream.expected = number + 1;
      if (now >= measured_from_) {
        figures_.delay.add(now - sent);
        if (stream.last_delay >= 0) figures_.gap.add(std::max<int64_t>(0, now - sent - stream.last_delay));
      }
      stream.last_delay = now - sent;
      ++figures_.events;
    }
    if (stamps > 1) ++figures_.merged;
  }

  void print(int64_t start) {
    const double seconds = static_cast<double>(now_ns() - start) / 1e9;
    const size_t count = figures_.times.all.size();
    for (char& letter : figures_.failure) {
      if (letter == '"' || letter == '\\' || static_cast<unsigned char>(letter) < ' ') letter = '\'';
    }
    std::printf(
        R"({"count":%zu,"seconds":%.4f,"failed":%zu,"unfinished":%zu,"events":%zu,"lost":%zu,"merged":%zu,"times":%s,"first":%s,"large":%s,)"
        R"("delay":%s,"gap":%s,"failure":"%s"})"
        "\n",
        count, seconds, figures_.failed, figures_.unfinished, figures_.events, figures_.lost, figures_.merged,
        figures_.times.json().c_str(), figures_.first.json().c_str(), figures_.large.json().c_str(),
        figures_.delay.json().c_str(), figures_.gap.json().c_str(), figures_.failure.c_str());
  }

  int port_;
  int epoll_ = -1;
  std::vector<string> requests_;
  std::vector<string> large_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<Connection*> idle_;
  std::deque<int64_t> waiting_;  ///< when they were due
  Figures figures_;
  int64_t end_ = 0;
  int64_t measured_from_ = 0;
  size_t next_ = 0;
  size_t busy_ = 0;
  size_t larges_ = 0;
  bool streams_ = false;
};

}  // namespace
}  // namespace gateway_load

int main(int count, char** arguments) {
  using namespace gateway_load;
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  const string what = count > 1 ? arguments[1] : "";
  if (what == "upstream" && count == 3) {
    run_upstream(std::atoi(arguments[2]));
    return 0;
  }
  if (count < 6) stop("usage: closed|open|streams PORT REQUESTS CONNECTIONS SECONDS ... | upstream PORT");
  Load load(std::atoi(arguments[2]), read_requests(arguments[3]), std::strtoul(arguments[4], nullptr, 10));
  const double seconds = std::atof(arguments[5]);
  if (what == "closed" && count == 6) {
    load.run_closed(seconds);
  } else if (what == "open" && count == 7) {
    load.run_open(seconds, std::atof(arguments[6]));
  } else if (what == "streams" && (count == 6 || count == 8)) {
    load.run_streams(seconds, count == 8 ? read_requests(arguments[6]) : std::vector<string>(),
                     count == 8 ? std::atof(arguments[7]) : 1);
  } else {
    stop("unknown mode or wrong number of arguments");
  }
  return 0;
}
