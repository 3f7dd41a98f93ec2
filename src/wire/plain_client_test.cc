// What holds for our own connections only, and what a hostile or hasty server can do to them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <atomic>
#include <future>
#include <random>

#include "async/event.h"
#include "async/run_blocking.h"
#include "async/task_scope.h"
#include "wire/http_client.h"
#include "wire/http_head.h"
#include "wire/loopback_test.h"
#include "wire/plain_url.h"
#include "wire/response_head.h"

namespace tessera::wire {
namespace {

using async::sync_wait;
using testing::RawServer;
using testing::to;
using namespace std::chrono_literals;

bool parses(std::string_view bytes) {
  HeadScanner scanner;
  ResponseHead head;
  return scanner.scan(bytes) == HeadScanner::State::done && parse_response_head(bytes.substr(0, scanner.size()), head);
}

TEST(ResponseHead, TellsHowTheMessageEnds) {
  ResponseHead head;
  ASSERT_TRUE(parse_response_head("HTTP/1.1 200 OK\r\nContent-Length: 12\r\nX-A: \t b c \r\n\r\n", head));
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.length, 12U);
  EXPECT_TRUE(head.keep_alive);
  EXPECT_FALSE(head.chunked);
  EXPECT_EQ(head.headers.at(1).value, "b c");
  ASSERT_TRUE(parse_response_head("HTTP/1.1 503\r\ntransfer-encoding: Chunked\r\nConnection: x, Close\r\n\r\n", head));
  EXPECT_TRUE(head.chunked);
  EXPECT_FALSE(head.keep_alive);
  ASSERT_TRUE(parse_response_head("HTTP/1.0 200 fine thanks\r\n\r\n", head));
  EXPECT_FALSE(head.keep_alive);
  ASSERT_TRUE(parse_response_head("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n\r\n", head));
  EXPECT_TRUE(head.keep_alive);
}

TEST(ResponseHead, RefusesWhatTwoParsersCouldReadDifferently) {
  for (const char* bytes :
       {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA : b\r\n\r\n", "HTTP/1.1 200 OK\nA: b\n\n", "HTTP/2 200\r\n\r\n", "HTTP/1.1 99 no\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n", "HTTP/1.2 200 OK\r\n\r\n", "ICY 200 OK\r\n\r\n"}) {
    EXPECT_FALSE(parses(bytes)) << bytes;
  }
}

TEST(PlainUrl, TakesSimpleOnesApart) {
  const auto url = split_plain_url("http://[::1]:8080/v1/chat?x=1");
  ASSERT_TRUE(url.has_value());
  EXPECT_EQ(url->authority, "[::1]:8080");
  EXPECT_EQ(url->host, "::1");
  EXPECT_EQ(url->port, 8080);
  EXPECT_EQ(url->target, "/v1/chat?x=1");
  EXPECT_EQ(split_plain_url("http://vllm.svc")->port, 80);
  for (const char* other : {"https://a/", "http://u:p@a/", "http://a/#f", "http://a/../b", "http://a:0/",
                            "http://a:65536/", "http://a:/", "http://:80/", "http://", "http://a?b", "http://[::1",
                            "http://[::1]x/", "http://\xc3\xa4/", "http://a/\xc3\xa4", "HTTP://a/"}) {
    EXPECT_FALSE(split_plain_url(other).has_value()) << other;
  }
}

TEST(PlainClient, TakesAnEarlyAnswerWhileTheRequestIsStillBeingSent) {
  RawServer server([](int fd, int) {
    RawServer::read_head(fd);
    RawServer::send(fd, "HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig");
    pollfd gone{.fd = fd, .events = POLLRDHUP, .revents = 0};
    ::poll(&gone, 1, 5'000);
  });
  HttpClient client;
  auto request = to(server.url());
  request.method = "POST";
  request.body = std::string(50'000'000, 'x');
  const auto response = sync_wait(client.fetch(std::move(request)));
  ASSERT_TRUE(response.has_value()) << response.error().name;
  EXPECT_EQ(response->status, 413);
  EXPECT_EQ(response->body, "big");
}

TEST(PlainClient, NeverTakesWhatAnIdleConnectionSaidForAnAnswer) {
  // A server that says 408 to an idle connection: the next request must go over a new one.
  std::promise<void> said;
  RawServer server([&](int fd, int n) {
    RawServer::read_head(fd);
    RawServer::send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + std::to_string(n));
    if (n == 0) {
      RawServer::send(fd, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n");
      said.set_value();
    }
  });
  HttpClient client;
  sync_wait([](HttpClient& http, std::string url, std::future<void> idle) -> async::Task<> {
    const auto first = co_await http.fetch(to(url));
    EXPECT_EQ(first.value().body, "0");
    idle.wait();
    const async::Waiter turn;
    (void)co_await turn.wait({.deadline = base::SystemClock().now() + 20ms});
    const auto second = co_await http.fetch(to(url));
    EXPECT_EQ(second.value().status, 200);
    EXPECT_EQ(second.value().body, "1");
  }(client, server.url(), said.get_future()));
}

TEST(PlainClient, WaitsForARoomWhenAllConnectionsAreInUse) {
  std::atomic<int> at_once{0};
  std::atomic<int> most{0};
  testing::TestServer server([&](Request&, ResponseWriter& writer) -> async::Task<void> {
    most = std::max(most.load(), ++at_once);
    const async::Waiter pause;
    (void)co_await pause.wait({.deadline = base::SystemClock().now() + 1ms});
    --at_once;
    co_await testing::answer(writer, "ok");
  });
  HttpClient client({.connections_max = 3});
  async::Shards shards(1);
  std::atomic<int> good{0};
  async::TaskScope scope(shards.executor(0));
  for (int i = 0; i < 60; ++i) {
    scope.spawn([&]() -> async::Task<> {
      const auto response = co_await client.fetch(to("http://127.0.0.1:" + std::to_string(server.port())));
      if (response) ++good;
    });
  }
  EXPECT_TRUE(scope.join_blocking(20s));
  EXPECT_EQ(good, 60);
  EXPECT_LE(most, 3);
}

TEST(PlainClient, CancellingAStreamThatNobodyReadsClosesTheConnectionAtOnce) {
  std::promise<std::chrono::steady_clock::time_point> closed;
  RawServer server([&](int fd, int) {
    RawServer::read_head(fd);
    RawServer::send(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n");
    pollfd gone{.fd = fd, .events = POLLRDHUP, .revents = 0};
    ::poll(&gone, 1, 5'000);
    closed.set_value(base::SystemClock().now());
  });
  HttpClient client;
  sync_wait([](HttpClient& http, std::string url, std::future<base::SteadyTime> when) -> async::Task<> {
    async::CancelSource source;
    auto request = to(url);
    request.cancel = source.token();
    auto stream = co_await http.open(std::move(request));
    EXPECT_TRUE(stream.has_value());
    const auto start = base::SystemClock().now();
    source.cancel();
    const async::Waiter turn;
    (void)co_await turn.wait({.deadline = start + 1ms});
    EXPECT_LT(when.get() - start, 100ms);
    const auto after = co_await (*stream)->next();
    EXPECT_EQ(after.error().name, "CANCELLED");
  }(client, server.url(), closed.get_future()));
}

/// What the scripted server does with one request, by its number.
struct Script {
  enum class End { keep, close, reset, cut };
  enum class Framing { sized, chunked, until_close };
  Framing framing = Framing::sized;
  End end = End::keep;
  std::string body;
  bool interim = false;
  size_t step = 1;  ///< bytes written at a time
};

Script script_of(uint64_t seed) {
  std::mt19937_64 random(seed);
  Script script;
  script.framing = static_cast<Script::Framing>(random() % 3);
  script.end = static_cast<Script::End>(random() % 8 < 5 ? 0 : 1 + random() % 3);
  if (script.framing == Script::Framing::until_close && script.end == Script::End::keep)
    script.end = Script::End::close;
  script.body =
      std::string(random() % 4 == 0 ? random() % 100'000 : random() % 200, static_cast<char>('a' + seed % 26));
  script.interim = random() % 4 == 0;
  script.step = 1 + random() % 50'000;
  return script;
}

std::string answer_of(const Script& script) {
  std::string out = script.interim ? "HTTP/1.1 102 Processing\r\n\r\n" : "";
  out += "HTTP/1.1 200 OK\r\n";
  if (script.framing == Script::Framing::sized) {
    out += "Content-Length: " + std::to_string(script.body.size()) + "\r\n\r\n" + script.body;
  } else if (script.framing == Script::Framing::until_close) {
    out += "\r\n" + script.body;
  } else {
    out += "Transfer-Encoding: chunked\r\n\r\n";
    for (size_t at = 0; at < script.body.size(); at += 777) {
      const auto piece = script.body.substr(at, 777);
      char size[20];
      (void)std::snprintf(size, sizeof size, "%zx;ext\r\n", piece.size());
      out += size + piece + "\r\n";
    }
    out += "0\r\nTrailer: x\r\n\r\n";
  }
  return out;
}

/// Serves requests "GET /SEED" on one connection until a script ends it.
void serve_scripts(int fd) {
  std::string pending;
  while (true) {
    size_t end = 0;
    while ((end = pending.find("\r\n\r\n")) == std::string::npos) {
      char bytes[4096];
      const ssize_t count = ::recv(fd, bytes, sizeof bytes, 0);
      if (count <= 0) return;
      pending.append(bytes, static_cast<size_t>(count));
    }
    const Script script = script_of(std::strtoull(pending.c_str() + 5, nullptr, 10));
    pending.erase(0, end + 4);
    std::string answer = answer_of(script);
    if (script.end == Script::End::cut) answer.resize(answer.size() / 2);
    for (size_t at = 0; at < answer.size(); at += script.step) {
      RawServer::send(fd, std::string_view(answer).substr(at, script.step));
    }
    if (script.end == Script::End::reset) {
      const linger hard{.l_onoff = 1, .l_linger = 0};
      ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    }
    if (script.end != Script::End::keep) return;
  }
}

TEST(PlainClient, AgreesWithTheModelWhateverTheServerDoes) {
  RawServer server([](int fd, int) { serve_scripts(fd); });
  HttpClient client;
  for (uint64_t seed = 1; seed <= 600; seed += 20) {
    // In groups on one loop, so that connections are reused in every state.
    sync_wait([](HttpClient& http, std::string url, uint64_t first) -> async::Task<> {
      for (uint64_t at = first; at < first + 20; ++at) {
        const Script script = script_of(at);
        auto request = to(url + std::to_string(at));
        request.first_byte_timeout = 5s;
        request.idle_timeout = 5s;
        const auto response = co_await http.fetch(std::move(request));
        if (script.end == Script::End::cut) {
          // Half an answer until the peer closes is an answer, if its head is whole; otherwise an error.
          const bool open_ended = script.framing == Script::Framing::until_close;
          EXPECT_TRUE(!response || open_ended) << at;
        } else if (script.end == Script::End::reset) {
          EXPECT_EQ(response ? response->body : script.body, script.body) << at;
        } else {
          EXPECT_TRUE(response.has_value()) << at << " " << (response ? "" : response.error().name);
          EXPECT_EQ(response ? response->body : script.body, script.body) << at;
        }
      }
    }(client, server.url("/"), seed));
  }
}

}  // namespace
}  // namespace tessera::wire
