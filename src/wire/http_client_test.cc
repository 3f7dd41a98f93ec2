#include "wire/http_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <future>

#include "async/deadline.h"
#include "async/event.h"
#include "async/run_blocking.h"
#include "async/task_scope.h"
#include "wire/loopback_test.h"

namespace tessera::wire {
namespace {

using async::sync_wait;
using testing::answer;
using ::testing::HasSubstr;
using testing::RawServer;
using testing::TestServer;
using testing::to;
using namespace std::chrono_literals;

std::string url_of(const TestServer& server, std::string_view path = "/") {
  return "http://127.0.0.1:" + std::to_string(server.port()) + std::string(path);
}

/// Both ways a plain http:// request can go.
class HttpClientTest : public ::testing::TestWithParam<bool> {
 protected:
  static HttpClientOptions options() { return {.own_connections = GetParam()}; }
};

INSTANTIATE_TEST_SUITE_P(Ways, HttpClientTest, ::testing::Bool(),
                         [](const auto& each) { return each.param ? "Own" : "Curl"; });

/// Everything a stream gives, and how it ended.
struct Drained {
  std::string body;
  size_t pieces = 0;
  std::string error;
};

async::Task<Drained> drain(ClientStream& stream) {
  Drained drained;
  while (true) {
    auto piece = co_await stream.next();
    if (!piece) drained.error = piece.error().name;
    if (!piece || !*piece) co_return drained;
    drained.body += **piece;
    ++drained.pieces;
  }
}

async::Task<Drained> open_and_drain(HttpClient& client, ClientRequest request) {
  auto stream = co_await client.open(std::move(request));
  if (!stream) co_return Drained{.body = "", .pieces = 0, .error = stream.error().name};
  co_return co_await drain(**stream);
}

async::Task<void> describe(Request& request, ResponseWriter& writer) {
  std::string text = std::string(request.method_text) + " " + std::string(request.target) + "\n";
  for (const auto& header : request.headers) text += std::string(header.name) + "=" + std::string(header.value) + "\n";
  text += "body=" + request.body;
  (void)co_await writer.send(
      {.status = 201, .content_type = "text/plain", .headers = {{"X-Here", "yes"}}, .body = std::move(text)});
}

TEST_P(HttpClientTest, FetchesAndReusesTheConnection) {
  TestServer server(describe);
  HttpClient client(options());
  sync_wait([](HttpClient& http, std::string url) -> async::Task<> {
    for (int i = 0; i < 5; ++i) {
      ClientRequest request = to(url);
      request.headers = {{"X-Sent", "1"}, {"X-Empty", ""}};
      if (i % 2 == 1) {
        request.method = "POST";
        request.body = "hello";
      }
      const auto response = co_await http.fetch(std::move(request));
      EXPECT_TRUE(response.has_value());
      if (!response) co_return;
      EXPECT_EQ(response->status, 201);
      EXPECT_EQ(response->header("x-here"), "yes");
      EXPECT_THAT(response->body, HasSubstr("X-Sent=1\nX-Empty=\n"));
      EXPECT_THAT(response->body, HasSubstr(i % 2 == 1 ? "POST /a?b=1" : "GET /a?b=1"));
      EXPECT_THAT(response->body, HasSubstr(i % 2 == 1 ? "body=hello" : "body="));
      EXPECT_THAT(response->body, ::testing::Not(HasSubstr("urlencoded")));
    }
  }(client, url_of(server, "/a?b=1")));
  EXPECT_EQ(server.server->stats().requests_total, 5U);
}

TEST_P(HttpClientTest, SendsEveryMethodAndALargeBody) {
  TestServer server(describe);
  HttpClient client(options());
  const auto one = [&](std::string method, std::string body) {
    ClientRequest request = to(url_of(server));
    request.method = std::move(method);
    request.body = std::move(body);
    return sync_wait(client.fetch(std::move(request)));
  };
  EXPECT_THAT(one("DELETE", "")->body, HasSubstr("DELETE /"));
  EXPECT_THAT(one("PUT", "x")->body, HasSubstr("PUT /"));
  EXPECT_THAT(one("POST", "")->body, HasSubstr("Content-Length=0"));
  EXPECT_EQ(one("HEAD", "")->status, 201);
  const std::string large(3'000'000, 'z');
  EXPECT_THAT(one("POST", large)->body, ::testing::EndsWith(large));
}

TEST_P(HttpClientTest, StreamsPiecesAsTheyCome) {
  async::Event second;
  TestServer server([&](Request&, ResponseWriter& writer) -> async::Task<void> {
    (void)co_await writer.begin_stream({.status = 200, .content_type = "text/event-stream"});
    (void)co_await writer.write("one");
    (void)co_await second.wait();
    (void)co_await writer.write("two");
    (void)co_await writer.finish();
  });
  HttpClient client(options());
  sync_wait([](HttpClient& http, std::string url, async::Event& go_on) -> async::Task<> {
    auto stream = co_await http.open(to(url));
    EXPECT_TRUE(stream.has_value());
    if (!stream) co_return;
    EXPECT_EQ((*stream)->status(), 200);
    EXPECT_EQ((*stream)->header("content-type"), "text/event-stream");
    auto piece = co_await (*stream)->next();
    EXPECT_EQ(piece.value(), "one");
    go_on.set();
    piece = co_await (*stream)->next();
    EXPECT_EQ(piece.value(), "two");
    piece = co_await (*stream)->next();
    EXPECT_EQ(piece.value(), std::nullopt);
    piece = co_await (*stream)->next();
    EXPECT_EQ(piece.value(), std::nullopt);
  }(client, url_of(server), second));
}

TEST_P(HttpClientTest, PausesASenderThatIsTooFast) {
  async::Event all_sent;
  TestServer server([&](Request&, ResponseWriter& writer) -> async::Task<void> {
    (void)co_await writer.begin_stream({.status = 200});
    for (int i = 0; i < 400; ++i) {
      if (!co_await writer.write(std::string(100'000, 'x'))) co_return;
    }
    all_sent.set();
    (void)co_await writer.finish();
  });
  auto small = options();
  small.stream_buffer_bytes = 64 * 1024;
  HttpClient client(small);
  const auto drained = sync_wait([](HttpClient& http, std::string url, async::Event& sent) -> async::Task<Drained> {
    ClientRequest request = to(url);
    request.body_bytes_max = 1'000'000'000;
    auto stream = co_await http.open(std::move(request));
    // While nobody reads, the sender gets no further than the kernel's buffers and ours.
    EXPECT_EQ(co_await sent.wait({.deadline = base::SystemClock().now() + 200ms}), async::Wake::deadline);
    const auto first = co_await (*stream)->next();
    EXPECT_LE((*first)->size(), 64U * 1024 + 16 * 1024);
    auto rest = co_await drain(**stream);
    rest.body += **first;
    co_return rest;
  }(client, url_of(server), all_sent));
  EXPECT_EQ(drained.body.size(), 40'000'000U);
  EXPECT_EQ(drained.error, "");
}

TEST_P(HttpClientTest, ManyAtOnceOnOneLoop) {
  TestServer server(describe);
  HttpClient client(options());
  async::Shards shards(1);
  std::atomic<int> good{0};
  async::TaskScope scope(shards.executor(0));
  for (int i = 0; i < 200; ++i) {
    scope.spawn([&, i]() -> async::Task<> {
      const auto response = co_await client.fetch(to(url_of(server, "/" + std::to_string(i))));
      if (response && response->body.find("GET /" + std::to_string(i) + "\n") == 0) ++good;
    });
  }
  EXPECT_TRUE(scope.join_blocking(20s));
  EXPECT_EQ(good, 200);
}

TEST_P(HttpClientTest, RetriesWhenAPooledConnectionDied) {
  // Promises to keep the connection, then closes it: after the first answer, and again on receiving the second request.
  RawServer server([](int fd, int n) {
    RawServer::read_head(fd);
    RawServer::send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nn" + std::to_string(n));
    if (n == 0) RawServer::read_head(fd);
  });
  HttpClient client(options());
  sync_wait([](HttpClient& http, std::string url) -> async::Task<> {
    for (int i = 0; i < 3; ++i) {
      ClientRequest request = to(url);
      request.method = "POST";
      request.body = "again";
      const auto response = co_await http.fetch(std::move(request));
      EXPECT_TRUE(response.has_value()) << (response ? "" : response.error().detail);
      if (!response) co_return;
      EXPECT_EQ(response->body, "n" + std::to_string(i));
    }
  }(client, server.url()));
}

TEST_P(HttpClientTest, SurvivesAServerThatClosesAfterAStream) {
  RawServer server([](int fd, int) {
    RawServer::read_head(fd);
    RawServer::send(
        fd,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nKeep-Alive: timeout=5, max=100\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
  });
  HttpClient client(options());
  sync_wait([](HttpClient& http, std::string url) -> async::Task<> {
    for (int i = 0; i < 20; ++i) {
      const auto drained = co_await open_and_drain(http, to(url));
      EXPECT_EQ(drained.body + drained.error, "abc");
    }
  }(client, server.url()));
}

TEST_P(HttpClientTest, MapsBrokenPeers) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "CONNECTION_LOST"},
      {"nonsense\r\n\r\n", "BAD_RESPONSE"},
      {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", "RESPONSE_CUT"},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "RESPONSE_CUT"},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab", "RESPONSE_CUT"},
      {"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n", "UPSTREAM_REDIRECT"},
      {"HTTP/1.1 200 OK\r\nX: " + std::string(200'000, 'x') + "\r\n\r\n", "BAD_RESPONSE"},
  };
  for (const auto& each : cases) {
    const auto& [bytes, name] = each;
    RawServer server([&each](int fd, int) {
      RawServer::read_head(fd);
      RawServer::send(fd, each.first);
    });
    HttpClient client(options());
    const auto response = sync_wait(client.fetch(to(server.url())));
    ASSERT_FALSE(response) << bytes.substr(0, 60);
    EXPECT_EQ(response.error().name, name) << bytes.substr(0, 60) << response.error().detail;
  }
}

TEST_P(HttpClientTest, ReadsInterimAnswersAndBodiesUntilClose) {
  RawServer server([](int fd, int) {
    RawServer::read_head(fd);
    RawServer::send(fd, "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nX: y\r\n\r\nuntil close");
  });
  HttpClient client(options());
  const auto response = sync_wait(client.fetch(to(server.url())));
  ASSERT_TRUE(response.has_value());
  EXPECT_EQ(response->status, 200);
  EXPECT_EQ(response->headers.size(), 1U);
  EXPECT_EQ(response->body, "until close");
}

TEST_P(HttpClientTest, BoundsTheResponse) {
  TestServer server([](Request&, ResponseWriter& writer) -> async::Task<void> {
    co_await answer(writer, std::string(100'000, 'x'));
  });
  HttpClient client(options());
  auto request = to(url_of(server));
  request.body_bytes_max = 50'000;
  const auto response = sync_wait(client.fetch(std::move(request)));
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().name, "RESPONSE_TOO_LARGE");
  EXPECT_EQ(response.error().code, base::Code::too_large);
}

TEST_P(HttpClientTest, TimesOut) {
  TestServer server([](Request& request, ResponseWriter& writer) -> async::Task<void> {
    const async::Waiter never;
    if (request.path != "/head") {
      (void)co_await writer.begin_stream({.status = 200});
      (void)co_await writer.write("a");
    }
    if (request.path == "/drip") {
      while (co_await writer.write("a")) {
      }
      co_return;
    }
    (void)co_await never.wait({.token = writer.client_gone()});
  });
  HttpClient client(options());
  auto head = to(url_of(server, "/head"));
  head.first_byte_timeout = 50ms;
  EXPECT_EQ(sync_wait(open_and_drain(client, std::move(head))).error, "UPSTREAM_TIMEOUT");
  auto idle = to(url_of(server, "/idle"));
  idle.idle_timeout = 50ms;
  const auto drained = sync_wait(open_and_drain(client, std::move(idle)));
  EXPECT_EQ(drained.body, "a");
  EXPECT_EQ(drained.error, "UPSTREAM_TIMEOUT");
  auto total = to(url_of(server, "/drip"));
  total.total_timeout = 100ms;
  total.body_bytes_max = UINT64_MAX;
  EXPECT_EQ(sync_wait(open_and_drain(client, std::move(total))).error, "UPSTREAM_TIMEOUT");
}

TEST_P(HttpClientTest, SaysWhenItCannotConnect) {
  uint16_t closed_port = 0;
  {
    closed_port = RawServer([](int, int) {}).port();
  }
  HttpClient client(options());
  const auto refused = sync_wait(client.fetch(to("http://127.0.0.1:" + std::to_string(closed_port))));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().name, "CONNECT_FAILED");
  EXPECT_EQ(refused.error().code, base::Code::unavailable);
  for (const char* url : {"ftp://127.0.0.1/", "file:///etc/passwd", "http://", "http://a b/", "gopher://127.0.0.1/"}) {
    const auto bad = sync_wait(client.fetch(to(url)));
    ASSERT_FALSE(bad) << url;
    EXPECT_EQ(bad.error().name, "BAD_URL") << url;
  }
  auto injected = to("http://127.0.0.1:1/");
  injected.headers = {{"A", "b\r\nC: d"}};
  EXPECT_EQ(sync_wait(client.fetch(std::move(injected))).error().name, "BAD_HEADER");
}

TEST_P(HttpClientTest, CancelsFromAnotherThreadAndTheServerNotices) {
  std::promise<void> entered;
  std::promise<async::Wake> server_saw;
  TestServer server([&](Request&, ResponseWriter& writer) -> async::Task<void> {
    entered.set_value();
    const async::Waiter never;
    server_saw.set_value(
        co_await never.wait({.deadline = base::SystemClock().now() + 4s, .token = writer.client_gone()}));
  });
  HttpClient client(options());
  async::CancelSource source;
  auto request = to(url_of(server));
  request.cancel = source.token();
  auto result = std::async(std::launch::async, [&] { return sync_wait(client.fetch(std::move(request))); });
  entered.get_future().wait();
  source.cancel();
  EXPECT_EQ(result.get().error().name, "CANCELLED");
  EXPECT_EQ(server_saw.get_future().get(), async::Wake::cancelled);
}

TEST_P(HttpClientTest, RefusesAddressesThatAreNotPublic) {
  TestServer server(describe);
  HttpClient client(options());
  // A connection made under the other policy is in the pool, and must not be used.
  ASSERT_TRUE(sync_wait(client.fetch(to(url_of(server)))));
  for (const std::string host : {"127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1"}) {
    auto request = to("http://" + host + ":" + std::to_string(server.port()) + "/");
    request.addresses = AddressPolicy::public_only;
    const auto response = sync_wait(client.fetch(std::move(request)));
    ASSERT_FALSE(response) << host;
    EXPECT_EQ(response.error().name, "PRIVATE_ADDRESS") << host << " " << response.error().detail;
    EXPECT_EQ(response.error().code, base::Code::forbidden);
  }
}

}  // namespace
}  // namespace tessera::wire
