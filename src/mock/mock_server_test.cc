// The mock over real loopback sockets: what a client sees byte for byte. The official client is in tests/api.
#include "mock/mock_server.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <sstream>
#include <thread>

namespace tessera::mock {
namespace {

namespace json = boost::json;

/// One connection; reads are bounded to ten seconds.
class Peer {
 public:
  explicit Peer(uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const timeval bound{.tv_sec = 10, .tv_usec = 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &bound, sizeof bound);
    EXPECT_EQ(::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  ~Peer() { leave(); }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  void leave() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  void ask(const std::string& method, const std::string& path, const std::string& body,
           const std::string& headers = "") const {
    const std::string text = method + " " + path + " HTTP/1.1\r\nHost: x\r\n" + headers +
                             "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
    EXPECT_EQ(::send(fd_, text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
  }
  /// Until `end` is in it, or the connection is over.
  std::string read_until(const std::string& end) {
    char bytes[4096];
    while (end.empty() || got.find(end) == std::string::npos) {
      const ssize_t count = ::recv(fd_, bytes, sizeof bytes, 0);
      if (count <= 0) {
        was_reset = count < 0 && errno == ECONNRESET;
        closed = count == 0 || was_reset;
        break;
      }
      got.append(bytes, static_cast<size_t>(count));
    }
    return got;
  }
  std::string read_to_close() { return read_until(""); }

  std::string got;
  bool closed = false;
  bool was_reset = false;

 private:
  int fd_;
};

class MockServerTest : public testing::Test {
 protected:
  void start(MockOptions options = {}) {
    auto made = MockServer::start(std::move(options), shards_, clock_);
    ASSERT_TRUE(made) << made.error().message;
    server_ = *std::move(made);
  }
  static std::string chat(const std::string& model, const std::string& more = "") {
    return R"({"model": ")" + model + R"(", "messages": [{"role": "user", "content": "Hello you"}])" + more + "}";
  }
  /// An answer to one request on a connection of its own.
  std::string post(const std::string& path, const std::string& body, const std::string& headers = "") {
    Peer peer(server_->port());
    peer.ask("POST", path, body, headers + "Connection: close\r\n");
    return peer.read_to_close();
  }
  json::value get(const std::string& path) {
    Peer peer(server_->port());
    peer.ask("GET", path, "", "Connection: close\r\n");
    const std::string text = peer.read_to_close();
    return json::parse(text.substr(text.find("\r\n\r\n") + 4));
  }
  std::vector<json::value> transcript() {
    Peer peer(server_->port());
    peer.ask("GET", "/mock/transcript", "", "Connection: close\r\n");
    const std::string text = peer.read_to_close();
    std::istringstream lines(text.substr(text.find("\r\n\r\n") + 4));
    std::vector<json::value> values;
    for (std::string line; std::getline(lines, line);) values.push_back(json::parse(line));
    return values;
  }
  /// The transcript as soon as it has that many entries.
  std::vector<json::value> transcript_of(size_t count) {
    std::vector<json::value> seen;
    for (int tries = 0; tries < 5000 && seen.size() < count; ++tries) {
      std::this_thread::yield();
      seen = transcript();
    }
    return seen;
  }
  static std::string body_of(const std::string& answer) { return answer.substr(answer.find("\r\n\r\n") + 4); }

  base::SystemClock clock_;
  async::Shards shards_{1};
  std::unique_ptr<MockServer> server_;
};

TEST_F(MockServerTest, AnswersCountsAndCharges) {
  MockOptions options;
  options.price = {.input = 2'500'000, .output = 10'000'000, .cached_input = 1'250'000};
  start(std::move(options));
  const std::string answer =
      post("/v1/chat/completions", chat("gpt-4o"), "X-Mock: tokens=5; prompt-tokens=100; cached-tokens=40\r\n");
  EXPECT_EQ(answer.rfind("HTTP/1.1 200 OK", 0), 0U);
  const json::value body = json::parse(body_of(answer));
  EXPECT_EQ(body.at("choices").at(0).at("message").at("content"), "Lorem ipsum dolor sit amet");
  EXPECT_EQ(body.at("usage").at("prompt_tokens"), 100);
  EXPECT_EQ(body.at("usage").at("prompt_tokens_details").at("cached_tokens"), 40);
  EXPECT_EQ(body.at("usage").at("completion_tokens"), 5);
  const json::value totals = get("/mock/totals");
  EXPECT_EQ(totals.at("microdollars"), 60 * 5 / 2 + 40 * 5 / 4 + 5 * 10);
  EXPECT_EQ(totals.at("models").at("gpt-4o").at("completion_tokens"), 5);
}

TEST_F(MockServerTest, WhatComesLaterOverrules) {
  MockOptions options;
  options.directives = {{"tokens", "1"}};
  options.script.defaults = {{"tokens", "9"}, {"chunk", "2"}};
  options.script.rules.push_back({.name = "r",
                                  .model = "*tokens-3",
                                  .path = {},
                                  .key = {},
                                  .user = {},
                                  .stream = {},
                                  .times = {},
                                  .answers = {{{"tokens", "2"}}}});
  start(std::move(options));
  const auto tokens = [&](const std::string& path, const std::string& body, const std::string& headers) {
    return json::parse(body_of(post(path, body, headers))).at("usage").at("completion_tokens").as_int64();
  };
  EXPECT_EQ(tokens("/v1/chat/completions", chat("x"), ""), 1);
  EXPECT_EQ(tokens("/v1/chat/completions", chat("my-tokens-3"), ""), 2);
  EXPECT_EQ(tokens("/v1/chat/completions", chat("mock/tokens-3"), ""), 3);
  EXPECT_EQ(tokens("/v1/chat/completions?mock=tokens%3D4", chat("mock/tokens-3"), ""), 4);
  EXPECT_EQ(tokens("/v1/chat/completions?mock=tokens%3D4", chat("mock/tokens-3"), "X-Mock: tokens=5\r\n"), 5);
  EXPECT_EQ(tokens("/v1/chat/completions?mock=tokens%3D4", chat("mock/tokens-3", R"(, "mock": {"tokens": 6})"),
                   "X-Mock: tokens=5\r\n"),
            6);
  EXPECT_EQ(transcript().at(1).at("rule"), "r");
}

TEST_F(MockServerTest, MistakesAreRefused) {
  start();
  EXPECT_NE(post("/v1/chat/completions", chat("mock/no-such-thing")).find("HTTP/1.1 404"), std::string::npos);
  EXPECT_NE(post("/v1/chat/completions", chat("x"), "X-Mock: tokns=5\r\n").find("did you mean"), std::string::npos);
  EXPECT_NE(post("/v1/chat/completions", "{").find("HTTP/1.1 400"), std::string::npos);
  EXPECT_NE(post("/v1/chat/completions", R"({"messages": [{}]})").find(R"(\"model\" must be given)"),
            std::string::npos);
  EXPECT_NE(post("/v1/nowhere", "{}").find("HTTP/1.1 404"), std::string::npos);
  const auto seen = transcript();
  ASSERT_EQ(seen.size(), 4U);
  for (const json::value& entry : seen) EXPECT_EQ(entry.at("outcome"), "invalid");
}

TEST_F(MockServerTest, StreamsBreakWhereTheyAreTold) {
  start();
  const auto events = [](const std::string& text) {
    size_t count = 0;
    for (size_t at = text.find("\"delta\":{\"content\":\""); at != std::string::npos;
         at = text.find("\"delta\":{\"content\":\"", at + 1))
      ++count;
    return count;
  };
  struct Case {
    const char* words;
    bool reset;
    const char* outcome;
  };
  for (const Case& one : {Case{"reset-after-5", true, "broken"}, Case{"close-after-5", false, "broken"},
                          Case{"error-after-5", false, "broken"}, Case{"garbage-after-5", false, "broken"}}) {
    Peer peer(server_->port());
    peer.ask("POST", "/v1/chat/completions", chat(std::string("mock/") + one.words, R"(, "stream": true)"),
             "Connection: close\r\n");
    const std::string text = peer.read_to_close();
    EXPECT_TRUE(peer.closed) << one.words;
    EXPECT_EQ(peer.was_reset, one.reset) << one.words;
    EXPECT_EQ(events(text), 5U) << one.words << text;
    EXPECT_EQ(text.find("[DONE]"), std::string::npos) << one.words;
    const json::value entry = transcript().back();
    EXPECT_EQ(entry.at("outcome"), one.outcome);
    EXPECT_EQ(entry.at("completion_tokens"), 5);
  }
}

TEST_F(MockServerTest, BreaksBeforeTheHeadSendNothing) {
  start();
  for (const bool stream : {false, true}) {
    for (const char* words : {"reset", "close"}) {
      Peer peer(server_->port());
      peer.ask("POST", "/v1/chat/completions", chat(std::string("mock/") + words, stream ? R"(, "stream": true)" : ""));
      EXPECT_EQ(peer.read_to_close(), "") << words;
      EXPECT_TRUE(peer.closed) << words;
      EXPECT_EQ(peer.was_reset, std::string_view(words) == "reset");
    }
    EXPECT_EQ(post("/v1/chat/completions", chat("mock/garbage")).find("HTTP/"), std::string::npos);
  }
}

TEST_F(MockServerTest, AHangEndsWhenTheClientLeaves) {
  start();
  Peer before(server_->port());
  before.ask("POST", "/v1/chat/completions", chat("mock/hang"));
  Peer within(server_->port());
  within.ask("POST", "/v1/chat/completions", chat("mock/hang-after-2", R"(, "stream": true)"));
  EXPECT_NE(within.read_until("ipsum").find("Lorem"), std::string::npos);
  EXPECT_EQ(get("/mock/totals").at("in_flight"), 2);
  before.leave();
  within.leave();
  const auto seen = transcript_of(2);
  ASSERT_EQ(seen.size(), 2U);
  for (const json::value& entry : seen) EXPECT_EQ(entry.at("outcome"), "client_gone");
  EXPECT_EQ(get("/mock/totals").at("in_flight"), 0);
}

TEST_F(MockServerTest, AHangEndsWhenTheServerStops) {
  start();
  Peer peer(server_->port());
  peer.ask("POST", "/v1/chat/completions", chat("mock/hang-after-1", R"(, "stream": true)"));
  (void)peer.read_until("Lorem");
  server_.reset();
  (void)peer.read_to_close();
  EXPECT_TRUE(peer.closed);
}

TEST_F(MockServerTest, ErrorsCarryWhenToTryAgain) {
  start();
  const std::string answer = post("/v1/chat/completions", chat("mock/429+retry-after-1.5"));
  EXPECT_EQ(answer.rfind("HTTP/1.1 429", 0), 0U);
  EXPECT_NE(answer.find("Retry-After: 2\r\n"), std::string::npos);
  EXPECT_NE(answer.find("retry-after-ms: 1500\r\n"), std::string::npos);
  EXPECT_NE(answer.find("rate_limit_exceeded"), std::string::npos);
  EXPECT_NE(post("/v1/messages", chat("mock/529")).find("overloaded_error"), std::string::npos);
  EXPECT_NE(post("/v1/chat/completions", chat("mock/refuse")).find("content_filter"), std::string::npos);
}

TEST_F(MockServerTest, SlowHeadersDribble) {
  start();
  for (const char* body : {"", R"(, "stream": true)"}) {
    const auto begin = clock_.now();
    const std::string answer = post("/v1/chat/completions", chat("mock/slow-headers-120", body));
    EXPECT_GE(clock_.now() - begin, std::chrono::milliseconds(100));
    EXPECT_EQ(answer.rfind("HTTP/1.1 200 OK\r\n", 0), 0U);
    EXPECT_NE(answer.find("ipsum"), std::string::npos);
  }
  EXPECT_NE(post("/v1/chat/completions", chat("mock/503+slow-headers-60")).find("server_error"), std::string::npos);
}

TEST_F(MockServerTest, PacedStreamsKeepTheirPace) {
  start();
  const auto begin = clock_.now();
  const std::string text =
      post("/v1/chat/completions", chat("mock/stamp+tokens-11+rate-100+first-50", R"(, "stream": true)"));
  const auto took = std::chrono::duration_cast<base::Millis>(clock_.now() - begin);
  EXPECT_GE(took.count(), 145);
  std::vector<int64_t> times;
  for (int i = 0; i < 11; ++i) {
    const std::string mark = "\"" + std::to_string(i) + "@";
    const size_t at = text.find(mark);
    ASSERT_NE(at, std::string::npos) << mark;
    times.push_back(std::stoll(text.substr(at + mark.size())));
  }
  for (size_t i = 1; i < times.size(); ++i) EXPECT_GT(times[i], times[i - 1]);
  EXPECT_GE(times.back() - times.front(), 95'000'000);
}

TEST_F(MockServerTest, TruncatedAndMislabelledAnswersAreWellFramed) {
  start();
  const std::string cut = post("/v1/chat/completions", chat("mock/truncate"));
  EXPECT_NE(cut.find("\r\n0\r\n\r\n"), std::string::npos);
  EXPECT_EQ(cut.find("finish_reason"), std::string::npos);
  EXPECT_NE(post("/v1/chat/completions", chat("mock/wrong-type")).find("Content-Type: text/html"), std::string::npos);
  const std::string stream = post("/v1/chat/completions", chat("mock/no-done+tokens-2", R"(, "stream": true)"));
  EXPECT_NE(stream.find("\"finish_reason\":\"stop\""), std::string::npos);
  EXPECT_EQ(stream.find("[DONE]"), std::string::npos);
}

TEST_F(MockServerTest, TheSameSeedGivesTheSameAnswers) {
  const auto run = [&](uint64_t seed) {
    MockOptions options;
    options.seed = seed;
    options.directives = {{"tokens", "1..50"}};
    options.script.rules.push_back({.name = "sometimes",
                                    .model = {},
                                    .path = {},
                                    .key = {},
                                    .user = {},
                                    .stream = {},
                                    .times = {},
                                    .chance = 0.3,
                                    .answers = {{{"status", "500"}}}});
    start(std::move(options));
    std::string fates;
    for (int i = 0; i < 40; ++i) fates += body_of(post("/v1/chat/completions", chat("x"))).substr(0, 5000) + "\n";
    std::string result;
    for (const json::value& entry : transcript()) {
      result += std::to_string(entry.at("status").as_int64()) + ":" +
                std::to_string(entry.at("completion_tokens").as_int64()) + " ";
    }
    return result;
  };
  const std::string once = run(5);
  EXPECT_EQ(run(5), once);
  EXPECT_NE(run(6), once);
  EXPECT_NE(once.find("500:0"), std::string::npos);
  EXPECT_NE(once.find("200:"), std::string::npos);
}

TEST_F(MockServerTest, TextsAreKeptOnlyWhenAsked) {
  start();
  (void)post("/v1/chat/completions", chat("x"), "Authorization: Bearer sk-secret\r\n");
  EXPECT_FALSE(transcript().at(0).as_object().contains("body"));
  EXPECT_EQ(json::serialize(transcript().at(0)).find("secret"), std::string::npos);
  MockOptions options;
  options.keep_text = true;
  start(std::move(options));
  (void)post("/v1/chat/completions", chat("x"), "Authorization: Bearer sk-secret\r\n");
  EXPECT_EQ(transcript().at(0).at("body").as_string(), chat("x"));
}

TEST_F(MockServerTest, ResetStartsOver) {
  start();
  (void)post("/v1/chat/completions", chat("x"));
  EXPECT_EQ(post("/mock/reset", "").rfind("HTTP/1.1 200", 0), 0U);
  EXPECT_EQ(get("/mock/totals").at("seen"), 0);
  EXPECT_NE(post("/v1/chat/completions", chat("x")).find("chatcmpl-mock-1\""), std::string::npos);
}

}  // namespace
}  // namespace tessera::mock
