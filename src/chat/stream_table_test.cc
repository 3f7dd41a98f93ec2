#include "chat/stream_table.h"

#include <gtest/gtest.h>

#include <thread>

#include "async/run_blocking.h"
#include "base/random.h"

namespace tessera::chat {
namespace {

using async::sync_wait;

const core::Tenant kApp{"app"};

std::string text_of(const NumberedEvent& event) {
  return std::get<Token>(event.event).text;
}

async::WaitBounds no_waiting() {
  async::WaitBounds bounds;
  bounds.deadline = base::SystemClock().now();
  return bounds;
}

TEST(StreamTable, ResumesWhereAReaderStopped) {
  base::ManualClock clock;
  StreamTable table(clock);
  auto writer = *table.open(kApp, "s");
  for (const std::string text : {"a", "b", "c"}) EXPECT_TRUE(writer->write(Token{text}));
  EXPECT_EQ(text_of(**sync_wait(table.next(kApp, "s", 0))), "a");
  EXPECT_EQ(text_of(**sync_wait(table.next(kApp, "s", 2))), "c");
  EXPECT_EQ(sync_wait(table.next(kApp, "s", 3, no_waiting())).error().code, base::Code::deadline);
  writer->finish();
  EXPECT_FALSE(sync_wait(table.next(kApp, "s", 3))->has_value());
  EXPECT_EQ((*sync_wait(table.next(kApp, "s", 1)))->id, 2U);
  EXPECT_FALSE(writer->write(Token{"late"}));
}

TEST(StreamTable, TenantsDoNotMeet) {
  base::ManualClock clock;
  StreamTable table(clock);
  const auto writer = *table.open(kApp, "s");
  const core::Tenant other{"other"};
  EXPECT_EQ(sync_wait(table.next(other, "s", 0)).error().name, "STREAM_NOT_FOUND");
  EXPECT_EQ(table.cancel(other, "s").error().name, "STREAM_NOT_FOUND");
  EXPECT_FALSE(writer->token().cancelled());
  EXPECT_TRUE(table.open(other, "s"));
  EXPECT_EQ(table.open(kApp, "s").error().name, "STREAM_EXISTS");
}

TEST(StreamTable, CancelReachesTheWriter) {
  base::ManualClock clock;
  StreamTable table(clock);
  const auto writer = *table.open(kApp, "s");
  ASSERT_TRUE(table.cancel(kApp, "s"));
  EXPECT_TRUE(writer->token().cancelled());
  EXPECT_FALSE(sync_wait(writer->on_event(Token{"x"})));
  EXPECT_TRUE(writer->write(Failed{base::make_error(base::Code::cancelled, "C", "Stopped.")}));  // the last word
  writer->finish();
  EXPECT_EQ(event_name((*sync_wait(table.next(kApp, "s", 0)))->event), "error");
}

TEST(StreamTable, FinishedStreamsAreForgottenInTime) {
  base::ManualClock clock;
  StreamTableOptions options;
  options.keep_finished = base::Millis(1000);
  StreamTable table(clock, options);
  auto writer = *table.open(kApp, "s");
  writer->write(Token{"a"});
  writer = nullptr;
  clock.advance(base::Millis(999));
  table.expire();
  EXPECT_EQ(table.streams(), 1U);
  clock.advance(base::Millis(1));
  table.expire();
  EXPECT_EQ(table.streams(), 0U);
  EXPECT_EQ(table.bytes(), 0U);
}

TEST(StreamTable, LimitsForgetFinishedStreamsFirstAndRefuseThen) {
  base::ManualClock clock;
  StreamTableOptions options;
  options.streams_max = 2;
  StreamTable table(clock, options);
  auto a = *table.open(kApp, "a");
  auto b = *table.open(kApp, "b");
  EXPECT_EQ(table.open(kApp, "c").error().name, "TOO_MANY_STREAMS");
  a->finish();
  EXPECT_TRUE(table.open(kApp, "c"));
  EXPECT_EQ(sync_wait(table.next(kApp, "a", 0)).error().name, "STREAM_NOT_FOUND");
}

TEST(StreamTable, ALongStreamForgetsItsBeginning) {
  base::ManualClock clock;
  StreamTableOptions options;
  options.stream_bytes_max = 4 * (sizeof(ChatEvent) + 10);
  StreamTable table(clock, options);
  auto writer = *table.open(kApp, "s");
  for (int i = 0; i < 10; ++i) writer->write(Token{std::string(10, 'x')});
  EXPECT_EQ(sync_wait(table.next(kApp, "s", 0)).error().name, "STREAM_EVENTS_LOST");
  EXPECT_EQ((*sync_wait(table.next(kApp, "s", 9)))->id, 10U);
  EXPECT_LE(table.bytes(), options.stream_bytes_max);
}

// Random operations against vectors of texts.
TEST(StreamTable, RandomOperationsFollowTheModel) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE(seed);
    base::SeededRandom random(seed);
    base::ManualClock clock;
    StreamTableOptions options;
    options.keep_finished = base::Millis(50);
    StreamTable table(clock, options);
    struct Model {
      std::vector<std::string> texts;
      std::shared_ptr<StreamWriter> writer;
      bool finished = false;
      int64_t finished_at = 0;
    };
    std::map<std::string, Model> model;
    int64_t now = 0;
    for (int step = 0; step < 400; ++step) {
      const std::string id = "s" + std::to_string(random.below(4));
      const auto it = model.find(id);
      switch (random.below(5)) {
        case 0: {
          const auto opened = table.open(kApp, id);
          std::erase_if(model,
                        [&](const auto& item) { return item.second.finished && now - item.second.finished_at >= 50; });
          EXPECT_EQ(opened.has_value(), !model.contains(id));
          if (opened) model[id].writer = *opened;
          break;
        }
        case 1:
          if (it != model.end()) {
            const std::string text = std::to_string(random.next());
            EXPECT_EQ(it->second.writer->write(Token{text}), !it->second.finished);
            if (!it->second.finished) it->second.texts.push_back(text);
          }
          break;
        case 2:
          if (it != model.end() && random.below(3) == 0 && !it->second.finished) {
            it->second.writer->finish();
            it->second.finished = true;
            it->second.finished_at = now;
          }
          break;
        case 3:
          now += 10;
          clock.advance(base::Millis(10));
          break;
        default: {
          if (it == model.end()) break;
          const auto after = random.below(it->second.texts.size() + 1);
          const auto next = sync_wait(table.next(kApp, id, after, no_waiting()));
          if (after < it->second.texts.size()) {
            ASSERT_TRUE(next);
            EXPECT_EQ((*next)->id, after + 1);
            EXPECT_EQ(text_of(**next), it->second.texts[after]);
          } else if (it->second.finished) {
            EXPECT_TRUE(next && !next->has_value());
          } else {
            EXPECT_EQ(next.error().code, base::Code::deadline);
          }
        }
      }
    }
  }
}

TEST(StreamTable, ManyReadersOnManyThreadsSeeEverythingInOrder) {
  base::ManualClock clock;
  StreamTable table(clock);
  auto writer = *table.open(kApp, "s");
  constexpr uint64_t kEvents = 2000;
  std::vector<std::thread> readers;
  std::atomic<uint64_t> seen{0};
  for (int r = 0; r < 4; ++r) {
    readers.emplace_back([&] {
      uint64_t after = 0;
      while (true) {
        const auto next = sync_wait(table.next(kApp, "s", after));
        ASSERT_TRUE(next);
        if (!next->has_value()) break;
        ASSERT_EQ((*next)->id, after + 1);
        ASSERT_EQ(text_of(**next), std::to_string(after));
        ++after;
      }
      seen += after;
    });
  }
  for (uint64_t i = 0; i < kEvents; ++i) writer->write(Token{std::to_string(i)});
  writer->finish();
  for (auto& reader : readers) reader.join();
  EXPECT_EQ(seen, 4 * kEvents);
}

}  // namespace
}  // namespace tessera::chat
