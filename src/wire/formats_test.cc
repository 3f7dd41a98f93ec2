#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/random.h"
#include "wire/http_head.h"
#include "wire/multipart.h"
#include "wire/sse.h"

namespace tessera::wire {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// --- server-sent events -------------------------------------------------------------------------------------------

std::vector<SseEvent> parse(std::string_view bytes) {
  SseParser parser;
  std::vector<SseEvent> events;
  EXPECT_TRUE(parser.feed(bytes, events));
  return events;
}

TEST(Sse, ParsesTheStandardsExamples) {
  EXPECT_THAT(parse("data: YHOO\ndata: +2\ndata: 10\n\n"), ElementsAre(SseEvent{"", "YHOO\n+2\n10", ""}));
  EXPECT_THAT(parse(": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n"),
              ElementsAre(SseEvent{"", "first event", "1"}, SseEvent{"", "second event", ""},
                          SseEvent{"", " third event", ""}));
  EXPECT_THAT(parse("data\n\ndata\ndata\n\ndata:"), ElementsAre(SseEvent{"", "", ""}, SseEvent{"", "\n", ""}));
  EXPECT_THAT(parse("data:test\n\ndata: test\n\n"), ElementsAre(SseEvent{"", "test", ""}, SseEvent{"", "test", ""}));
  EXPECT_THAT(parse("event: lonely\n\ndata: x\n\n"), ElementsAre(SseEvent{"", "x", ""}));
  EXPECT_THAT(parse(std::string("id: a\0b\ndata: x\n\n", 17)), ElementsAre(SseEvent{"", "x", ""}));
  EXPECT_THAT(parse("data: unfinished\n"), IsEmpty());
  EXPECT_THAT(parse("\xEF\xBB\xBF"
                    "data: bom\n\n"),
              ElementsAre(SseEvent{"", "bom", ""}));
}

TEST(Sse, ReadsRetryAndKeepsTheLastId) {
  SseParser parser;
  std::vector<SseEvent> events;
  ASSERT_TRUE(parser.feed("retry: 1500\nretry: x\nretry:\nid: 7\ndata: a\n\ndata: b\n\n", events));
  EXPECT_EQ(parser.retry_ms(), 1500U);
  EXPECT_EQ(parser.last_event_id(), "7");
  EXPECT_EQ(events.at(1).id, "7");
}

TEST(Sse, GivesTheSameWhereverTheBytesAreCut) {
  const std::string stream =
      "\xEF\xBB\xBF: hi\r\n\r\nid: 1\r\nevent: a\r\ndata: one\r\ndata: two\r\n\r\ndata: cr\rdata: more\r\rid: 2\ndata: "
      "lf\n\n\r\n\n\rdata: x\r\n\r\n";
  const auto whole = parse(stream);
  ASSERT_EQ(whole.size(), 4U);
  EXPECT_EQ(whole[1], (SseEvent{"", "cr\nmore", "1"}));
  for (size_t i = 0; i <= stream.size(); ++i) {
    for (size_t j = i; j <= stream.size(); ++j) {
      SseParser parser;
      std::vector<SseEvent> events;
      ASSERT_TRUE(parser.feed(std::string_view(stream).substr(0, i), events));
      ASSERT_TRUE(parser.feed(std::string_view(stream).substr(i, j - i), events));
      ASSERT_TRUE(parser.feed(std::string_view(stream).substr(j), events));
      ASSERT_EQ(events, whole) << i << " " << j;
    }
  }
}

TEST(Sse, WritesWhatItReads) {
  std::string out;
  append_sse(out, "5", "token", "one\ntwo\r\nthree\rfour");
  append_sse_comment(out, "alive");
  append_sse(out, "6\ndata: injected", "a\rb", "");
  append_sse(out, "", "", "{\"x\": 1}");
  EXPECT_THAT(parse(out), ElementsAre(SseEvent{"token", "one\ntwo\nthree\nfour", "5"}, SseEvent{"a", "", "6"},
                                      SseEvent{"", "{\"x\": 1}", "6"}));
}

TEST(Sse, BoundsAnEvent) {
  for (const std::string& stream : {std::string(200, 'x'), "data: " + std::string(200, 'x') + "\n\n", [] {
                                      std::string lines;
                                      for (int i = 0; i < 50; ++i) lines += "data: xxxxx\n";
                                      return lines;
                                    }()}) {
    SseParser parser(100);
    std::vector<SseEvent> events;
    const auto fed = parser.feed(stream, events);
    ASSERT_FALSE(fed);
    EXPECT_EQ(fed.error().name, "SSE_EVENT_TOO_LARGE");
    EXPECT_FALSE(parser.feed("data: a\n\n", events));
    EXPECT_THAT(events, IsEmpty());
  }
  SseParser parser(100);
  std::vector<SseEvent> events;
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(parser.feed("data: " + std::string(80, 'y') + "\n\n", events));
  EXPECT_EQ(events.size(), 100U);
}

TEST(Sse, ReadsRecordedProviderStreams) {
  const std::filesystem::path folder =
      std::filesystem::path(TESSERA_SOURCE_DIR) / ".." / "shared" / "data" / "provider-streams";
  if (!std::filesystem::is_directory(folder)) {
    GTEST_SKIP() << "no recorded provider streams at " << folder << ": the parser was NOT tried on real traffic";
  }
  base::SeededRandom random(1);
  size_t files = 0;
  size_t events_total = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file() || entry.path().extension() != ".sse") continue;
    std::stringstream text;
    text << std::ifstream(entry.path(), std::ios::binary).rdbuf();
    const std::string bytes = text.str();
    const auto whole = parse(bytes);
    EXPECT_FALSE(whole.empty()) << entry.path();
    SseParser parser;
    std::vector<SseEvent> events;
    for (size_t at = 0; at < bytes.size();) {
      const size_t step = 1 + random.below(40);
      ASSERT_TRUE(parser.feed(std::string_view(bytes).substr(at, step), events));
      at += step;
    }
    EXPECT_EQ(events, whole) << entry.path();
    for (const auto& event : whole)
      EXPECT_TRUE(event.data.starts_with('{') || event.data == "[DONE]") << entry.path() << event.data.substr(0, 60);
    ++files;
    events_total += whole.size();
  }
  EXPECT_GT(files, 0U);
  EXPECT_GT(events_total, files);
}

// --- forms --------------------------------------------------------------------------------------------------------

TEST(Multipart, FindsTheBoundary) {
  EXPECT_EQ(multipart_boundary("multipart/form-data; boundary=abc").value(), "abc");
  EXPECT_EQ(multipart_boundary("Multipart/Form-Data ; charset=utf-8;boundary=\"a b;c\"").value(), "a b;c");
  for (const char* type : {"", "text/plain; boundary=a", "multipart/form-data",
                           "multipart/form-data; boundary=", "multipart/form-data; boundary=\"abc",
                           "multipart/form-data; boundary=\"a\x01\"", "multipart/form-data; x"}) {
    const auto boundary = multipart_boundary(type);
    ASSERT_FALSE(boundary) << type;
    EXPECT_EQ(boundary.error().name, "BAD_MULTIPART");
  }
  EXPECT_FALSE(multipart_boundary("multipart/form-data; boundary=" + std::string(71, 'a')));
}

TEST(Multipart, SplitsABrowsersForm) {
  const std::string body =
      "--XX\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\nA \"title\"\r\nof two lines\r\n"
      "--XX\r\ncontent-type: text/markdown\r\nCONTENT-DISPOSITION: form-data; name=\"file\"; "
      "filename=\"a\\\"b;c.md\"\r\n\r\n# One\r\n--X\r\n\r\n"
      "--XX\r\nContent-Disposition: form-data; name=f2; filename=\"plain.txt\"; "
      "filename*=UTF-8''na%C3%AFve%20file.txt\r\n\r\n\r\n"
      "--XX--\r\n";
  const auto parts = parse_multipart(body, "XX");
  ASSERT_TRUE(parts) << parts.error().message;
  ASSERT_EQ(parts->size(), 3U);
  EXPECT_EQ(parts->at(0).name, "title");
  EXPECT_FALSE(parts->at(0).is_file);
  EXPECT_EQ(parts->at(0).body, "A \"title\"\r\nof two lines");
  EXPECT_EQ(parts->at(1).file_name, "a\"b;c.md");
  EXPECT_EQ(parts->at(1).content_type, "text/markdown");
  EXPECT_EQ(parts->at(1).body, "# One\r\n--X\r\n");
  EXPECT_EQ(parts->at(2).file_name, "na\xC3\xAFve file.txt");
  EXPECT_EQ(parts->at(2).body, "");
}

TEST(Multipart, AcceptsPreambleAndAnEmptyForm) {
  EXPECT_EQ(
      parse_multipart("ignored\r\n--B \t\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx\r\n--B--junk", "B")
          ->at(0)
          .body,
      "x");
  EXPECT_THAT(parse_multipart("--B--\r\n", "B").value(), IsEmpty());
  EXPECT_EQ(parse_multipart("--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n--B--", "B")->at(0).body, "");
}

TEST(Multipart, RefusesWhatIsBroken) {
  const std::string head = "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n";
  for (const std::string& body :
       {std::string(), std::string("no boundary"), std::string("--B"), std::string("--B\r\n"), head, head + "x",
        head + "x\r\n--B", head + "x\r\n--Bx\r\n", std::string("--B\r\n\r\nx\r\n--B--"),
        std::string("--B\r\nContent-Type: a\r\n\r\nx\r\n--B--"),
        std::string("--B\r\nContent-Disposition: attachment; name=\"a\"\r\n\r\nx\r\n--B--"),
        std::string("--B\r\nContent-Disposition: form-data\r\n\r\nx\r\n--B--"),
        std::string("--B\r\nContent-Disposition: form-data; name=\"a\r\n\r\nx\r\n--B--"),
        std::string("--B\r\nno colon\r\n\r\nx\r\n--B--")}) {
    const auto parts = parse_multipart(body, "B");
    ASSERT_FALSE(parts) << body;
    EXPECT_EQ(parts.error().name, "BAD_MULTIPART") << body;
  }
}

TEST(Multipart, KeepsItsLimits) {
  std::string body;
  for (int i = 0; i < 5; ++i) body += "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n12345\r\n";
  body += "--B--\r\n";
  EXPECT_EQ(parse_multipart(body, "B")->size(), 5U);
  EXPECT_EQ(parse_multipart(body, "B", {.parts_max = 4}).error().name, "MULTIPART_TOO_LARGE");
  EXPECT_EQ(parse_multipart(body, "B", {.part_header_bytes_max = 20}).error().code, base::Code::too_large);
  EXPECT_EQ(parse_multipart(body, "B", {.part_bytes_max = 4}).error().name, "MULTIPART_TOO_LARGE");
}

// --- chunked bodies -----------------------------------------------------------------------------------------------

/// Random bodies in random chunks, cut at random places, come out as they went in.
TEST(ChunkDecoder, UndoesAnyChunking) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    base::SeededRandom random(seed);
    std::string body;
    std::string wire;
    for (uint64_t chunks = random.below(6); chunks > 0; --chunks) {
      const std::string data(1 + random.below(50), static_cast<char>('a' + random.below(26)));
      wire += fmt::format("{:x}{}\r\n{}\r\n", data.size(), random.below(2) == 0 ? "" : ";ext=\"1\"", data);
      body += data;
    }
    wire += random.below(2) == 0 ? "0\r\n\r\n" : "000\r\nTrailer: x\r\nB: y\r\n\r\n";
    const std::string next = "GET / HTTP/1.1";
    wire += next;
    ChunkDecoder decoder(body.size());
    std::string out;
    std::string left;
    auto state = ChunkDecoder::State::more;
    for (size_t at = 0; at < wire.size() && state == ChunkDecoder::State::more;) {
      const size_t step = 1 + random.below(20);
      std::string_view piece = std::string_view(wire).substr(at, step);
      at += piece.size();
      state = decoder.feed(piece, out);
      left = std::string(piece) + wire.substr(at);
    }
    ASSERT_EQ(state, ChunkDecoder::State::done) << seed;
    EXPECT_EQ(out, body);
    EXPECT_EQ(left, next);
    if (body.empty()) continue;
    ChunkDecoder strict(body.size() - 1);
    std::string_view all = wire;
    out.clear();
    EXPECT_EQ(strict.feed(all, out), ChunkDecoder::State::too_large);
    EXPECT_LT(out.size(), body.size());
  }
}

}  // namespace
}  // namespace tessera::wire
