#include "app/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "app/backend.h"
#include "app/server.h"
#include "async/run_blocking.h"
#include "wire/http_client.h"

namespace tessera::app {
namespace {

using testing::HasSubstr;

config::Snapshot settings_in(const std::string& directory) {
  auto settings = std::make_shared<config::Settings>();
  settings->storage.directory = directory;
  settings->server.port = 0;
  settings->server.shards = 2;
  settings->chat.default_model = "tessera/extractive";
  settings->embedding.dimensions = 256;
  settings->log.requests = false;
  return settings;
}

config::Snapshot in_memory() {
  auto settings = std::make_shared<config::Settings>(*settings_in("unused"));
  settings->storage.backend = "memory";
  return settings;
}

class TemporaryDirectory {
 public:
  TemporaryDirectory() : path_(testing::TempDir() + "/engine_XXXXXX") { EXPECT_NE(mkdtemp(path_.data()), nullptr); }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

IncomingDocument lighthouse() {
  IncomingDocument document;
  document.bytes = "# The lighthouse\n\nThe lighthouse of Ar Men was lit in 1881 after fourteen years of work.\n";
  document.name = "lighthouse.md";
  document.document_id = "lighthouse";
  document.collection = "default";
  return document;
}

// What a person does: take in, search, ask; the same in this process and over HTTP.
void take_in_search_and_ask(Backend& backend) {
  const auto taken = async::sync_wait(backend.ingest(lighthouse()));
  ASSERT_TRUE(taken) << taken.error().message;
  EXPECT_EQ(taken->document_id, "lighthouse");
  EXPECT_EQ(taken->status, "indexed");
  const auto again = async::sync_wait(backend.ingest(lighthouse()));
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->status, "unchanged");

  Search search;
  search.query = "When was the lighthouse lit?";
  search.collection = "default";
  const auto found = async::sync_wait(backend.search(search));
  ASSERT_TRUE(found) << found.error().message;
  ASSERT_EQ(found->results.size(), 1);
  EXPECT_EQ(found->results[0].document_id, "lighthouse");
  EXPECT_THAT(found->results[0].text, HasSubstr("1881"));

  Question question;
  question.text = search.query;
  question.collection = "default";
  std::string printed;
  const TokenPrinter print = [&printed](std::string_view token) { printed += token; };
  const auto answer = async::sync_wait(backend.ask(question, print));
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_THAT(answer->text, HasSubstr("1881"));
  EXPECT_THAT(printed, HasSubstr("1881"));
  ASSERT_FALSE(answer->sources.empty());
  EXPECT_EQ(answer->sources[0].document_id, "lighthouse");

  search.collection = "no-such";
  const auto missing = async::sync_wait(backend.search(search));
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().name, "COLLECTION_NOT_FOUND");
}

TEST(Engine, AnswersInThisProcessFromMemory) {
  const auto log = base::silent_logger();
  const auto backend = open_local_backend(in_memory(), *log);
  ASSERT_TRUE(backend) << backend.error().message;
  take_in_search_and_ask(**backend);
}

TEST(Engine, KeepsDocumentsOverRestartsAndLocksItsDirectory) {
  const TemporaryDirectory directory;
  const auto log = base::silent_logger();
  const auto settings = settings_in(directory.path());
  {
    const auto backend = open_local_backend(settings, *log);
    ASSERT_TRUE(backend) << backend.error().message;
    take_in_search_and_ask(**backend);
    const auto second = open_local_backend(settings, *log);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().name, "DATABASE_IN_USE");
  }
  const auto backend = open_local_backend(settings, *log);
  ASSERT_TRUE(backend) << backend.error().message;
  const auto again = async::sync_wait((*backend)->ingest(lighthouse()));
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->status, "unchanged");
}

TEST(Server, AnswersTheSameOverHttpAndStops) {
  const auto log = base::silent_logger();
  auto engine = Engine::create(in_memory(), *log);
  ASSERT_TRUE(engine) << engine.error().message;
  auto server = Server::start(**engine);
  ASSERT_TRUE(server) << server.error().message;
  const std::string url = (*server)->url();
  EXPECT_TRUE(server_answers(url));
  EXPECT_TRUE(server_answers(url + "/"));
  const auto backend = open_remote_backend(url + "/", {});
  take_in_search_and_ask(*backend);

  wire::HttpClient http;
  wire::ClientRequest request;
  request.url = url + "/metrics";
  const auto metrics = async::sync_wait(http.fetch(std::move(request)));
  ASSERT_TRUE(metrics);
  EXPECT_THAT(metrics->body, HasSubstr("\ntessera_index_documents 1\n"));
  EXPECT_THAT(metrics->body, HasSubstr("tessera_search_duration_seconds_count{mode=\"hybrid\"}"));
  EXPECT_THAT(metrics->body,
              HasSubstr("tessera_chat_turns_total{model=\"tessera/extractive\",outcome=\"complete\"} 1"));

  EXPECT_TRUE((*server)->stop(base::Millis(2000)));
  EXPECT_FALSE(server_answers(url));
  EXPECT_TRUE((*engine)->stop(base::Millis(2000)));
}

TEST(Backend, AServerThatIsNotThereIsNamed) {
  const auto log = base::silent_logger();
  Invocation invocation;
  invocation.server = "http://127.0.0.1:1";
  const auto backend = open_backend(invocation, in_memory(), *log);
  ASSERT_FALSE(backend);
  EXPECT_EQ(backend.error().name, "SERVER_UNREACHABLE");
}

}  // namespace
}  // namespace tessera::app
