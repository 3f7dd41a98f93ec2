#include "wire/http_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>

#include "async/deadline.h"
#include "async/event.h"
#include "wire/loopback_test.h"

namespace tessera::wire {
namespace {

using testing::answer;
using ::testing::HasSubstr;
using testing::RawClient;
using ::testing::StartsWith;
using testing::TestServer;
using namespace std::chrono_literals;
using namespace std::string_literals;

/// Says what it received.
async::Task<void> echo(Request& request, ResponseWriter& writer) {
  std::string said = std::string(request.method_text) + " " + request.path + " [" + std::string(request.query) + "] " +
                     std::to_string(request.body.size()) + " " + request.body.substr(0, 64);
  co_await answer(writer, std::move(said));
}

constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

TEST(HttpServer, AnswersAndKeepsTheConnection) {
  TestServer server(echo);
  RawClient client(server.port());
  for (int i = 0; i < 3; ++i) {
    client.send("GET /a%20b?q=1 HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_THAT(client.read_response(), HasSubstr("\r\n\r\nGET /a b [q=1] 0 "));
  }
  EXPECT_EQ(server.server->stats().connections, 1U);
  EXPECT_EQ(server.server->stats().requests_total, 3U);
}

TEST(HttpServer, ServesPipelinedRequestsInOrder) {
  TestServer server(echo);
  RawClient client(server.port());
  std::string all;
  for (int i = 0; i < 500; ++i)
    all += "POST /" + std::to_string(i) + " HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
  std::thread sender([&] { client.send(all); });
  for (int i = 0; i < 500; ++i) {
    ASSERT_THAT(client.read_response(), HasSubstr("POST /" + std::to_string(i) + " [] 3 abc"));
  }
  sender.join();
}

TEST(HttpServer, ReadsARequestCutAtEveryByte) {
  TestServer server(echo);
  const std::string request =
      "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;e=1\r\nabc\r\nA\r\n0123456789\r\n0\r\nT: "
      "1\r\n\r\n";
  RawClient client(server.port());
  for (size_t cut = 1; cut < request.size(); ++cut) {
    client.send(request.substr(0, cut));
    client.send(request.substr(cut));
    ASSERT_THAT(client.read_response(), HasSubstr("POST /x [] 13 abc0123456789")) << cut;
  }
}

TEST(HttpServer, RefusesMalformedRequests) {
  TestServer server(echo);
  const std::vector<std::pair<std::string, int>> cases = {
      {"GET /\r\n\r\n", 400},
      {"GET / HTTP/1.1\n\n", 400},
      {"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: a\r\nA b: c\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n"s, 400},
      {"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", 400},
      {"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"GET nowhere HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"G@T / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
      {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505},
      {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na", 400},
      {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na", 400},
      {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\na", 400},
      {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\na", 400},
      {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
      {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501},
      {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501},
      {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\nab\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: a\r\nExpect: magic\r\n\r\n", 417},
  };
  for (const auto& [request, status] : cases) {
    RawClient client(server.port());
    client.send(request);
    EXPECT_THAT(client.read_to_close(), StartsWith("HTTP/1.1 " + std::to_string(status))) << request;
  }
  RawClient client(server.port());
  client.send(kGet);
  EXPECT_THAT(client.read_response(), StartsWith("HTTP/1.1 200 OK"));
}

TEST(HttpServer, UnderstandsTheAbsoluteFormAndHttp10) {
  TestServer server(echo);
  RawClient client(server.port());
  client.send("GET http://somewhere/x?y=1 HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_THAT(client.read_response(), HasSubstr("GET /x [y=1]"));
  RawClient old(server.port());
  old.send("GET /old HTTP/1.0\r\n\r\n");
  EXPECT_THAT(old.read_to_close(), HasSubstr("GET /old"));
  RawClient kept(server.port());
  kept.send("GET /old HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
  EXPECT_THAT(kept.read_response(), HasSubstr("Connection: keep-alive"));
  kept.send(kGet);
  EXPECT_THAT(kept.read_response(), StartsWith("HTTP/1.1 200"));
}

TEST(HttpServer, AnswersHeadWithoutABody) {
  TestServer server(echo);
  RawClient client(server.port());
  client.send("HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_THAT(client.read_until("\r\n\r\n"), HasSubstr("Content-Length: "));
  client.send("GET /y HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_THAT(client.read_response(), ::testing::AllOf(StartsWith("HTTP/1.1 200 OK"), HasSubstr("GET /y")));
}

TEST(HttpServer, RefusesHeadersThatAreTooLarge) {
  TestServer server(echo, {.header_bytes_max = 4096});
  RawClient client(server.port());
  client.send("GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(10'000, 'x') + "\r\n\r\n");
  EXPECT_THAT(client.read_to_close(), StartsWith("HTTP/1.1 431 "));
  RawClient many(server.port());
  std::string request = "GET / HTTP/1.1\r\nHost: a\r\n";
  for (int i = 0; i < 120; ++i) request += "A: b\r\n";
  many.send(request + "\r\n");
  EXPECT_THAT(many.read_to_close(), StartsWith("HTTP/1.1 431 "));
}

TEST(HttpServer, RefusesABodyBeforeReadingIt) {
  HttpServerOptions options;
  options.body_bytes_max = 1000;
  options.body_limit = [](const Request& request) -> uint64_t { return request.path == "/large" ? 1'000'000 : 1000; };
  TestServer server(echo, options);
  RawClient client(server.port());
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n");
  // A client that goes on sending still sees the answer.
  client.send(std::string(500'000, 'x'));
  EXPECT_THAT(client.read_to_close(), StartsWith("HTTP/1.1 413 "));
  RawClient chunked(server.port());
  chunked.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3E8\r\n" + std::string(1000, 'x') +
               "\r\n1\r\n");
  EXPECT_THAT(chunked.read_to_close(), StartsWith("HTTP/1.1 413 "));
  RawClient large(server.port());
  large.send("POST /large HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n" + std::string(900'000, 'x'));
  EXPECT_THAT(large.read_response(), HasSubstr("900000 xxx"));
}

TEST(HttpServer, AsksNobodyAboutSmallBodies) {
  HttpServerOptions options;
  options.body_bytes_free = 500;
  options.body_limit = [](const Request&) -> uint64_t { return 0; };
  TestServer server(echo, options);
  RawClient client(server.port());
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\n" + std::string(500, 'x'));
  EXPECT_THAT(client.read_response(), HasSubstr("500 xxx"));
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 501\r\n\r\n" + std::string(501, 'x'));
  EXPECT_THAT(client.read_to_close(), StartsWith("HTTP/1.1 413 "));
  RawClient chunked(server.port());
  chunked.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n");
  EXPECT_THAT(chunked.read_to_close(), StartsWith("HTTP/1.1 413 "));
}

TEST(HttpServer, BoundsTheBodiesInMemory) {
  HttpServerOptions options;
  options.body_bytes_in_flight_max = 300'000;
  async::Event release;
  std::promise<void> entered;
  TestServer server(
      [&](Request& request, ResponseWriter& writer) -> async::Task<void> {
        if (request.path == "/hold") {
          entered.set_value();
          (void)co_await release.wait();
        }
        co_await answer(writer, "ok");
      },
      options);
  RawClient first(server.port());
  first.send("POST /hold HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n" + std::string(200'000, 'x'));
  entered.get_future().wait();
  EXPECT_EQ(server.server->stats().body_bytes_in_flight, 200'000U);
  RawClient second(server.port());
  second.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n" + std::string(200'000, 'x'));
  EXPECT_THAT(second.read_to_close(), StartsWith("HTTP/1.1 503 "));
  release.set();
  EXPECT_THAT(first.read_response(), StartsWith("HTTP/1.1 200 "));
  RawClient third(server.port());
  third.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n" + std::string(200'000, 'x'));
  EXPECT_THAT(third.read_response(), StartsWith("HTTP/1.1 200 "));
}

TEST(HttpServer, SaysContinueOnlyWhenItWillRead) {
  TestServer server(echo, {.body_bytes_max = 100});
  RawClient client(server.port());
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(client.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  client.send("abc");
  EXPECT_THAT(client.read_response(), HasSubstr("3 abc"));
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 300\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_THAT(client.read_response(), StartsWith("HTTP/1.1 413 "));
}

TEST(HttpServer, TimesOutSlowRequests) {
  HttpServerOptions options;
  options.header_timeout = 60ms;
  options.body_idle_timeout = 60ms;
  options.keep_alive_timeout = 60ms;
  TestServer server(echo, options);
  RawClient head(server.port());
  head.send("GET / HT");
  EXPECT_THAT(head.read_to_close(), StartsWith("HTTP/1.1 408 "));
  RawClient body(server.port());
  body.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab");
  EXPECT_THAT(body.read_to_close(), StartsWith("HTTP/1.1 408 "));
  RawClient idle(server.port());
  idle.send(kGet);
  EXPECT_THAT(idle.read_response(), StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(idle.read_to_close(), "");
  RawClient silent(server.port());
  EXPECT_TRUE(silent.closed_by_peer());
}

TEST(HttpServer, HeaderTimeoutIsNotProlongedByDripping) {
  HttpServerOptions options;
  options.header_timeout = 80ms;
  options.header_bytes_max = 64 << 20;
  TestServer server(echo, options);
  RawClient client(server.port());
  std::atomic<bool> over{false};
  std::thread dripper([&] {
    client.send("GET / HTTP/1.1\r\nHost: a\r\nX: ");
    while (!over) client.send("x");
  });
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_THAT(client.read_to_close(), StartsWith("HTTP/1.1 408 "));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 4s);
  over = true;
  dripper.join();
}

TEST(HttpServer, StreamsInChunks) {
  TestServer server([](Request&, ResponseWriter& writer) -> async::Task<void> {
    (void)co_await writer.begin_stream({.status = 200, .content_type = "text/event-stream", .headers = {{"X-A", "b"}}});
    (void)co_await writer.write("hello");
    (void)co_await writer.write("");
    (void)co_await writer.write(std::string(40'000, 'x'));
    (void)co_await writer.finish();
  });
  RawClient client(server.port());
  client.send(kGet);
  const auto head = client.read_until("\r\n\r\n");
  EXPECT_THAT(head, ::testing::AllOf(HasSubstr("Transfer-Encoding: chunked"), HasSubstr("X-A: b\r\n"),
                                     HasSubstr("text/event-stream")));
  EXPECT_EQ(client.read_until("hello\r\n"), "5\r\nhello\r\n");
  EXPECT_EQ(client.read_until("\r\n0\r\n\r\n"), "9c40\r\n" + std::string(40'000, 'x') + "\r\n0\r\n\r\n");
  client.send(kGet);
  EXPECT_THAT(client.read_until("\r\n\r\n"), StartsWith("HTTP/1.1 200"));
  RawClient old(server.port());
  old.send("GET / HTTP/1.0\r\n\r\n");
  EXPECT_THAT(old.read_to_close(), HasSubstr("\r\n\r\nhellox"));
}

TEST(HttpServer, HandlerThatFailsGives500OrACutStream) {
  TestServer server([](Request& request, ResponseWriter& writer) -> async::Task<void> {
    if (request.path == "/silent") co_return;
    if (request.path == "/cut") {
      (void)co_await writer.begin_stream({.status = 200, .content_type = "text/plain", .headers = {}});
      (void)co_await writer.write("half");
    }
    throw std::runtime_error("no");
  });
  RawClient client(server.port());
  client.send("GET /silent HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_THAT(client.read_response(), StartsWith("HTTP/1.1 500 "));
  client.send(kGet);
  EXPECT_THAT(client.read_response(), StartsWith("HTTP/1.1 500 "));
  client.send("GET /cut HTTP/1.1\r\nHost: a\r\n\r\n");
  const auto all = client.read_to_close();
  EXPECT_THAT(all, HasSubstr("half"));
  EXPECT_THAT(all, ::testing::Not(HasSubstr("\r\n0\r\n")));
}

TEST(HttpServer, LeavesUnsafeHeadersOut) {
  TestServer server([](Request&, ResponseWriter& writer) -> async::Task<void> {
    (void)co_await writer.send(
        {.status = 200, .content_type = "text/plain", .headers = {{"A", "b\r\nEvil: yes"}, {"C", "d"}}, .body = ""});
  });
  RawClient client(server.port());
  client.send(kGet);
  const auto head = client.read_response();
  EXPECT_THAT(head, HasSubstr("C: d\r\n"));
  EXPECT_THAT(head, ::testing::Not(HasSubstr("Evil")));
}

/// Holds requests until the client is gone, and measures how long the news took.
struct GoneProbe {
  std::promise<void> entered;
  std::promise<async::Wake> outcome;
  std::promise<std::string> write_error;

  Handler handler() {
    return [this](Request&, ResponseWriter& writer) -> async::Task<void> {
      const auto gone = writer.client_gone();
      entered.set_value();
      const async::Waiter never;
      outcome.set_value(co_await never.wait({.deadline = base::SystemClock().now() + 4s, .token = gone}));
      (void)co_await writer.begin_stream({.status = 200, .content_type = "", .headers = {}});
      base::Result<void> sent;
      for (int i = 0; i < 10'000 && sent; ++i) sent = co_await writer.write(std::string(10'000, 'x'));
      write_error.set_value(sent ? "none" : sent.error().name);
    };
  }
};

TEST(HttpServer, NoticesAClientThatLeaves) {
  for (const bool reset : {false, true}) {
    GoneProbe probe;
    TestServer server(probe.handler());
    auto client = std::make_unique<RawClient>(server.port());
    client->send(kGet);
    probe.entered.get_future().wait();
    const auto begin = std::chrono::steady_clock::now();
    if (reset) client->reset();
    client.reset();
    EXPECT_EQ(probe.outcome.get_future().get(), async::Wake::cancelled);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 100ms);
    EXPECT_EQ(probe.write_error.get_future().get(), "CLIENT_GONE");
  }
}

TEST(HttpServer, WatchingLosesNoPipelinedBytes) {
  async::Event release;
  std::promise<void> entered;
  TestServer server([&](Request& request, ResponseWriter& writer) -> async::Task<void> {
    const auto gone = writer.client_gone();
    if (request.path == "/first") {
      entered.set_value();
      (void)co_await release.wait();
    }
    co_await answer(writer, "path " + request.path + (gone.cancelled() ? " gone" : " here"));
  });
  RawClient client(server.port());
  client.send("GET /first HTTP/1.1\r\nHost: a\r\n\r\n");
  entered.get_future().wait();
  std::string more;
  for (int i = 0; i < 20; ++i) more += "GET /" + std::to_string(i) + " HTTP/1.1\r\nHost: a\r\n\r\n";
  client.send(more);
  release.set();
  EXPECT_THAT(client.read_response(), HasSubstr("path /first here"));
  for (int i = 0; i < 20; ++i) ASSERT_THAT(client.read_response(), HasSubstr("path /" + std::to_string(i) + " here"));
}

TEST(HttpServer, AnswersAClientThatClosedItsSideOnly) {
  TestServer server(echo);
  RawClient client(server.port());
  client.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n");
  client.shut_writing();
  EXPECT_THAT(client.read_to_close(), ::testing::AllOf(HasSubstr("GET /a"), HasSubstr("GET /b")));
}

TEST(HttpServer, GivesUpOnASlowReader) {
  HttpServerOptions options;
  options.write_timeout = 100ms;
  std::promise<std::string> outcome;
  TestServer server(
      [&](Request&, ResponseWriter& writer) -> async::Task<void> {
        (void)co_await writer.begin_stream({.status = 200, .content_type = "", .headers = {}});
        base::Result<void> sent;
        while (sent) sent = co_await writer.write(std::string(100'000, 'x'));
        outcome.set_value(sent.error().name);
      },
      options);
  RawClient client(server.port(), 4096);
  client.send(kGet);
  EXPECT_EQ(outcome.get_future().get(), "CLIENT_SLOW");
}

TEST(HttpServer, SendsALargeBodyToASlowReader) {
  TestServer server([](Request&, ResponseWriter& writer) -> async::Task<void> {
    co_await answer(writer, std::string(8'000'000, '~'));
  });
  RawClient client(server.port(), 4096);
  client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  const auto all = client.read_to_close();
  EXPECT_EQ(std::count(all.begin(), all.end(), '~'), 8'000'000);
}

TEST(HttpServer, StopLetsRequestsFinish) {
  async::Event release;
  std::promise<void> entered;
  TestServer server([&](Request&, ResponseWriter& writer) -> async::Task<void> {
    entered.set_value();
    (void)co_await release.wait();
    co_await answer(writer, "done");
  });
  RawClient idle(server.port());
  RawClient busy(server.port());
  busy.send(kGet);
  entered.get_future().wait();
  auto stopped = std::async(std::launch::async, [&] { return server.server->stop(5s); });
  EXPECT_TRUE(idle.closed_by_peer());
  release.set();
  const auto reply = busy.read_to_close();
  EXPECT_THAT(reply, ::testing::AllOf(HasSubstr("Connection: close"), HasSubstr("done")));
  EXPECT_TRUE(stopped.get());
}

TEST(HttpServer, StopCutsWhatOutlivesTheGrace) {
  GoneProbe probe;
  TestServer server(probe.handler());
  RawClient client(server.port());
  client.send(kGet);
  probe.entered.get_future().wait();
  EXPECT_FALSE(server.server->stop(50ms));
  EXPECT_EQ(probe.outcome.get_future().get(), async::Wake::cancelled);
  EXPECT_TRUE(client.closed_by_peer());
}

TEST(HttpServer, ClosesIdleConnectionsToMakeRoom) {
  TestServer server(echo, {.connections_max = 4});
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 20; ++i) {
    clients.push_back(std::make_unique<RawClient>(server.port()));
    clients.back()->send(kGet);
    ASSERT_THAT(clients.back()->read_response(), StartsWith("HTTP/1.1 200")) << i;
  }
  const HttpServerStats stats = server.server->stats();
  EXPECT_LE(stats.connections, 5U);
  EXPECT_EQ(stats.accepted_total, 20U);
  EXPECT_GE(stats.evicted_total, 15U);
}

TEST(HttpServer, ServesManyClientsOnTwoShards) {
  TestServer server(echo, {}, 2);
  std::vector<std::thread> threads;
  std::atomic<int> good{0};
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int c = 0; c < 10; ++c) {
        RawClient client(server.port());
        for (int i = 0; i < 10; ++i) {
          const std::string path = "/" + std::to_string(t * 1000 + c * 10 + i);
          client.send("GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n");
          if (client.read_response().find(path + " ") != std::string::npos) ++good;
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(good, 800);
}

TEST(HttpServer, SaysWhyItCannotListen) {
  TestServer server(echo);
  async::Shards shards(1);
  base::SystemClock clock;
  const auto render = [](int status, std::string_view, std::string_view) {
    return Response{.status = status, .content_type = {}, .headers = {}, .body = {}};
  };
  auto bad = HttpServer::create({.address = "not an address"}, shards, clock, echo, render);
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().name, "BAD_ADDRESS");
  auto foreign = HttpServer::create({.address = "192.0.2.1"}, shards, clock, echo, render);
  ASSERT_FALSE(foreign);
  EXPECT_EQ(foreign.error().name, "LISTEN_FAILED");
  auto taken = HttpServer::create({.port = server.port()}, shards, clock, echo, render);
  ASSERT_FALSE(taken) << "a second server must not share the first one's connections";
  EXPECT_EQ(taken.error().name, "LISTEN_FAILED");
}

TEST(HttpTypes, DecodesQueries) {
  Request request;
  request.query = "a=1&b=x%20y+z&c&b=2&bad=%g1&=v";
  EXPECT_EQ(request.query_value("a"), "1");
  EXPECT_EQ(request.query_value("b"), "x y z");
  EXPECT_EQ(request.query_value("c"), "");
  EXPECT_EQ(request.query_value("bad"), std::nullopt);
  EXPECT_EQ(request.query_value("d"), std::nullopt);
  EXPECT_EQ(request.query_fields().size(), 5U);
  EXPECT_EQ(percent_decode(percent_encode("a b/\xff&")), "a b/\xff&");
}

}  // namespace
}  // namespace tessera::wire
