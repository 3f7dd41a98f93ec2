// What a handler may do that no server should: raw bytes, no answer, a reset.
#include <gtest/gtest.h>

#include "wire/loopback_test.h"

namespace tessera::wire {
namespace {

using testing::RawClient;
using testing::TestServer;

constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

TEST(Misbehaviour, RawBytesReplaceTheAnswerAndEndTheConnection) {
  const TestServer server([](Request&, ResponseWriter& writer) -> async::Task<void> {
    EXPECT_TRUE(co_await writer.write_raw("no HTTP "));
    EXPECT_TRUE(co_await writer.write_raw("at all"));
  });
  RawClient client(server.port());
  client.send(kGet);
  EXPECT_EQ(client.read_to_close(), "no HTTP at all");
}

TEST(Misbehaviour, AnEmptyRawWriteIsNoAnswer) {
  const TestServer server(
      [](Request&, ResponseWriter& writer) -> async::Task<void> { EXPECT_TRUE(co_await writer.write_raw("")); });
  RawClient client(server.port());
  client.send(kGet);
  EXPECT_EQ(client.read_to_close(), "");
}

TEST(Misbehaviour, AResetCutsTheStreamAfterWhatWasSent) {
  const TestServer server([](Request&, ResponseWriter& writer) -> async::Task<void> {
    EXPECT_TRUE(co_await writer.begin_stream({.status = 200, .content_type = "text/plain"}));
    EXPECT_TRUE(co_await writer.write("half"));
    writer.end_by_reset();
  });
  RawClient client(server.port());
  client.send(kGet);
  const std::string got = client.read_to_close();
  EXPECT_NE(got.find("half"), std::string::npos);
  EXPECT_EQ(got.find("0\r\n\r\n"), std::string::npos);
}

TEST(Misbehaviour, AResetWithoutAnAnswerSendsNothing) {
  const TestServer server([](Request&, ResponseWriter& writer) -> async::Task<void> {
    writer.end_by_reset();
    co_return;
  });
  RawClient client(server.port());
  client.send(kGet);
  EXPECT_TRUE(client.closed_by_peer());
}

}  // namespace
}  // namespace tessera::wire
