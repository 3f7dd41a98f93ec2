#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "app/commands.h"
#include "app/invocation.h"
#include "app/metered.h"
#include "app/query_output.h"
#include "app/server_note.h"
#include "async/run_blocking.h"
#include "config/settings.h"

namespace tessera::app {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::Pair;

TEST(CommandLine, SettingsAreTakenInEveryForm) {
  const Invocation serve = parse_command_line({"serve", "--port", "0", "--server.host", "127.0.0.2", "--chunk.size=512",
                                               "--mock.enabled", "--log.requests", "false", "--data", "/d"});
  EXPECT_EQ(serve.verb, Verb::serve) << serve.message;
  EXPECT_THAT(serve.flags,
              testing::UnorderedElementsAre(Pair("server.port", "0"), Pair("server.host", "127.0.0.2"),
                                            Pair("chunk.size", "512"), Pair("mock.enabled", "true"),
                                            Pair("log.requests", "false"), Pair("storage.directory", "/d")));
}

TEST(CommandLine, AMistypedSettingReachesTheConfigurationWhichNamesTheNearest) {
  const Invocation serve = parse_command_line({"serve", "--chunk.sise", "3"});
  ASSERT_EQ(serve.verb, Verb::serve);
  const auto loaded = load_settings(serve, {});
  ASSERT_FALSE(loaded);
  EXPECT_THAT(loaded.error().message, HasSubstr("did you mean \"chunk.size\"?"));
}

TEST(CommandLine, ASettingWithoutItsValueIsAnErrorNotTheNextFlag) {
  const Invocation serve = parse_command_line({"serve", "--chunk.size", "--mock.enabled"});
  EXPECT_THAT(serve.flags, ElementsAre(Pair("chunk.size", ""), Pair("mock.enabled", "true")));
  EXPECT_FALSE(load_settings(serve, {}));
}

TEST(CommandLine, QueriesAndTheirOptions) {
  const Invocation search =
      parse_command_line({"search", "retry policy", "-k", "3", "--mode", "dense", "--collection", "c", "--json"});
  EXPECT_EQ(search.verb, Verb::search) << search.message;
  EXPECT_EQ(search.text, "retry policy");
  EXPECT_EQ(search.top_k, 3);
  EXPECT_EQ(search.mode, "dense");
  EXPECT_EQ(search.collection, "c");
  EXPECT_TRUE(search.json);
  const Invocation ask = parse_command_line({"ask", "--server", "http://x", "why?", "--model", "m", "--session", "s"});
  EXPECT_EQ(ask.verb, Verb::ask) << ask.message;
  EXPECT_EQ(ask.text, "why?");
  EXPECT_EQ(ask.server, "http://x");
  const Invocation ingest = parse_command_line({"ingest", "a", "b c", "-"});
  EXPECT_EQ(ingest.verb, Verb::ingest) << ingest.message;
  EXPECT_THAT(ingest.paths, ElementsAre("a", "b c", "-"));
  const Invocation dashed = parse_command_line({"search", "--", "--what.is"});
  EXPECT_EQ(dashed.text, "--what.is");
  EXPECT_THAT(dashed.flags, IsEmpty());
}

TEST(CommandLine, ReferencesAndConfiguration) {
  EXPECT_EQ(parse_command_line({"config", "check"}).verb, Verb::config_check);
  EXPECT_EQ(parse_command_line({"config", "show", "--json"}).verb, Verb::config_show);
  EXPECT_EQ(parse_command_line({"config", "reference"}).form, ReferenceForm::text);
  EXPECT_EQ(parse_command_line({"config", "reference", "--markdown"}).form, ReferenceForm::markdown);
  EXPECT_EQ(parse_command_line({"config", "reference", "--metrics"}).form, ReferenceForm::metrics);
  EXPECT_EQ(parse_command_line({"version"}).verb, Verb::version);
  EXPECT_EQ(parse_command_line({"--version"}).verb, Verb::version);
}

TEST(CommandLine, HelpIsNotAnErrorAndMistakesAre) {
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{}, {"--help"}, {"serve", "--help"}, {"config", "show", "-h"}}) {
    const Invocation help = parse_command_line(arguments);
    EXPECT_EQ(help.verb, Verb::quit);
    EXPECT_EQ(help.exit_code, kExitOk);
    EXPECT_FALSE(help.message.empty());
  }
  EXPECT_THAT(parse_command_line({"--help"}).message, HasSubstr("Examples:"));
  EXPECT_THAT(parse_command_line({"ingest", "--help"}).message, HasSubstr("standard input"));
  for (const std::vector<std::string>& arguments : {std::vector<std::string>{"no-such-command"},
                                                    {"serve", "--nonsense"},
                                                    {"search"},
                                                    {"ask", "q", "-k", "0"},
                                                    {"search", "q", "--mode", "psychic"},
                                                    {"config"},
                                                    {"serve", "--port"}}) {
    const Invocation mistake = parse_command_line(arguments);
    EXPECT_EQ(mistake.verb, Verb::quit) << arguments.front();
    EXPECT_EQ(mistake.exit_code, kExitUsage) << arguments.front();
    EXPECT_THAT(mistake.message, HasSubstr("--help"));
  }
}

TEST(Output, SearchResultsForPeopleAndPrograms) {
  SearchAnswer answer;
  answer.took_ms = 1.25;
  answer.results.push_back({.document_id = "d",
                            .chunk_id = "d#0",
                            .title = "A \x1b[31mtitle",
                            .text = "line one\nline two \xC2\x9B" + std::string(500, 'x'),
                            .score = 0.5,
                            .start = 0,
                            .end = 520});
  const Terminal plain;
  const std::string text = search_text(answer, plain);
  EXPECT_THAT(text, HasSubstr("1. A  [31mtitle"));
  EXPECT_THAT(text, HasSubstr("line one line two"));
  EXPECT_THAT(text, HasSubstr(" ..."));
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
  EXPECT_THAT(text, Not(HasSubstr("\xC2\x9B")));
  EXPECT_THAT(search_json(answer), HasSubstr(R"("chunk_id":"d#0","title":"A \u001b[31mtitle")"));
  EXPECT_EQ(search_text({}, plain), "Nothing found.\n");
  answer.degraded = {"dense_search"};
  EXPECT_THAT(search_text(answer, plain), HasSubstr("Left out, so there may be more: dense_search"));
}

TEST(Output, AnswersCarrySourcesAndTimes) {
  Answer answer;
  answer.text = "It is so [1].";
  answer.model = "tessera/extractive";
  answer.sources.push_back({.n = 1, .document_id = "d", .title = "", .snippet = "It is so."});
  answer.timings = {{"retrieve", 1.5}, {"total", 2.5}};
  const Terminal plain;
  EXPECT_EQ(answer_text(answer, plain, false),
            "It is so [1].\n\nSources\n [1] d\n     It is so.\n\ntessera/extractive, 2 ms (retrieve 2 ms)\n");
  EXPECT_THAT(answer_text(answer, plain, true), Not(HasSubstr("It is so [1]")));
  EXPECT_THAT(answer_json(answer), HasSubstr(R"("answer":"It is so [1].")"));
}

TEST(Terminal, ColoursOnlyWhereWanted) {
  Terminal terminal;
  EXPECT_EQ(styled(terminal, Style::bold, "x"), "x");
  terminal.colour = true;
  EXPECT_EQ(styled(terminal, Style::bold, "x"), "\x1b[1mx\x1b[0m");
  EXPECT_EQ(styled(terminal, Style::plain, "x"), "x");
  EXPECT_FALSE(Terminal::of_process({{"NO_COLOR", "1"}}).colour);
}

TEST(Terminal, TextIsWrappedAtBlanksAndNeverWithinACharacter) {
  EXPECT_EQ(wrapped("one two three", 7, 2), "one two\n  three");
  EXPECT_EQ(wrapped("", 10, 0), "");
  EXPECT_EQ(wrapped("a\nb", 10, 3), "a\n   b");
  const std::string umlauts = "\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4";
  EXPECT_EQ(wrapped(umlauts, 5, 0), "\xC3\xA4\xC3\xA4\n\xC3\xA4\xC3\xA4");
  EXPECT_EQ(wrapped("abcdefgh", 3, 0), "abc\ndef\ngh");
}

TEST(Terminal, Durations) {
  EXPECT_EQ(human_duration(0.25), "0.2 ms");
  EXPECT_EQ(human_duration(840), "840 ms");
  EXPECT_EQ(human_duration(3210), "3.2 s");
  EXPECT_EQ(human_duration(125'000), "2 min 5 s");
}

TEST(ProgressBar, ShowsHowFarAndHowLong) {
  const Terminal terminal;
  base::ManualClock clock;
  ProgressBar bar(terminal, clock, "Taking in", 4);
  EXPECT_EQ(bar.line(), "Taking in [........................] 0/4");
  bar.advance();
  EXPECT_EQ(bar.line(), "Taking in [######..................] 1/4");
  clock.advance(base::Millis(2000));
  bar.advance();
  EXPECT_EQ(bar.line(), "Taking in [############............] 2/4  1/s  2.0 s left");
  bar.advance(2);
  EXPECT_EQ(bar.line(), "Taking in [########################] 4/4  2/s");
}

TEST(ServerNote, IsFoundWhileItsProcessLives) {
  const std::string directory = testing::TempDir() + "/server_note";
  std::filesystem::create_directories(directory);
  EXPECT_EQ(ServerNote::find(directory), std::nullopt);
  {
    const auto note = ServerNote::write(directory, "http://127.0.0.1:1");
    ASSERT_TRUE(note);
    EXPECT_EQ(ServerNote::find(directory), "http://127.0.0.1:1");
  }
  EXPECT_EQ(ServerNote::find(directory), std::nullopt) << "gone with its owner";
  for (const std::string text : {"", "[]", "{}", "{\"url\":1,\"pid\":2}", "{\"url\":\"x\",\"pid\":-1}",
                                 "{\"url\":\"x\",\"pid\":999999999}", "\xff"}) {
    std::ofstream(directory + "/server.json") << text;
    EXPECT_EQ(ServerNote::find(directory), std::nullopt) << text;
  }
  EXPECT_FALSE(ServerNote::write("/nonexistent/directory", "x"));
  std::filesystem::remove_all(directory);
}

// A retriever that gives what it is told.
class FakeRetriever final : public core::Retriever {
 public:
  core::Task<base::Result<core::RetrievalResult>> retrieve(const core::RequestContext& context,
                                                           core::RetrievalRequest) override {
    context.trace->add_degraded("dense_search");
    co_return core::RetrievalResult{};
  }
};

TEST(Metered, SearchesAreCountedByModeWithWhatWasLeftOut) {
  FakeRetriever inner;
  observe::Metrics metrics;
  const base::ManualClock clock;
  MeteredRetriever retriever(inner, metrics, clock);
  core::RequestTrace trace;
  trace.add_degraded("earlier");
  core::RequestContext context;
  context.trace = &trace;
  core::RetrievalRequest request;
  request.mode = core::SearchMode::dense;
  EXPECT_TRUE(async::sync_wait(retriever.retrieve(context, request)));
  EXPECT_EQ(metrics.search_duration.with("dense").snapshot().count, 1);
  EXPECT_EQ(metrics.search_duration.with("hybrid").snapshot().count, 0);
  EXPECT_EQ(metrics.search_degraded.with("dense_search").value(), 1);
  EXPECT_EQ(metrics.search_degraded.with("earlier").value(), 0);
}

// A catalogue of one model that answers, or fails with a code.
class FakeModel final : public core::ChatModel {
 public:
  std::optional<base::Code> fails;
  core::Task<base::Result<core::ChatCompletion>> generate(const core::RequestContext&, const core::ChatRequest&,
                                                          core::ChatSink* sink) override {
    if (fails) co_return base::fail(*fails, "FAKE", "fails");
    if (sink != nullptr) TESSERA_CO_CHECK(co_await sink->on_delta({.text = "a", .extra_json = {}}));
    core::ChatCompletion completion;
    completion.usage = {.prompt_tokens = 7, .completion_tokens = 3, .cost = {500'000'000'000}};
    co_return completion;
  }
};
class FakeCatalog final : public core::ModelCatalog {
 public:
  std::shared_ptr<FakeModel> model = std::make_shared<FakeModel>();
  [[nodiscard]] base::Result<std::shared_ptr<core::ChatModel>> find(std::string_view id) const override {
    if (id != "m") return base::fail(base::Code::not_found, "MODEL_NOT_FOUND", "no");
    return model;
  }
  [[nodiscard]] std::optional<core::ModelInfo> info(std::string_view id) const override {
    return core::ModelInfo{.id = std::string(id), .provider = "p", .needs_sources = false};
  }
  [[nodiscard]] std::vector<core::ModelInfo> list() const override { return {}; }
  [[nodiscard]] std::string default_model() const override { return "m"; }
};
class CountingSink final : public core::ChatSink {
 public:
  int deltas = 0;
  core::Task<base::Result<>> on_delta(core::ChatDelta) override {
    ++deltas;
    co_return base::Result<>{};
  }
};

TEST(Metered, ModelsCountCallsTokensAndMoney) {
  FakeCatalog inner;
  observe::Metrics metrics;
  const base::ManualClock clock;
  const MeteredCatalog catalog(inner, metrics, clock);
  EXPECT_FALSE(catalog.find("other"));
  const auto model = catalog.find("m");
  ASSERT_TRUE(model);
  const core::RequestContext context;
  const core::ChatRequest request;
  CountingSink sink;
  EXPECT_TRUE(async::sync_wait((*model)->generate(context, request, &sink)));
  EXPECT_TRUE(async::sync_wait((*model)->generate(context, request, nullptr)));
  inner.model->fails = base::Code::exhausted;
  EXPECT_FALSE(async::sync_wait((*model)->generate(context, request, nullptr)));
  inner.model->fails = base::Code::cancelled;
  EXPECT_FALSE(async::sync_wait((*model)->generate(context, request, nullptr)));
  EXPECT_EQ(sink.deltas, 1);
  EXPECT_EQ(metrics.chat_first_token.with("m").snapshot().count, 1);
  EXPECT_EQ(metrics.llm_requests.with({"p", "ok"}).value(), 2);
  EXPECT_EQ(metrics.llm_requests.with({"p", "exhausted"}).value(), 1);
  EXPECT_EQ(metrics.chat_turns.with({"m", "complete"}).value(), 2);
  EXPECT_EQ(metrics.chat_turns.with({"m", "failed"}).value(), 1);
  EXPECT_EQ(metrics.chat_turns.with({"m", "cancelled"}).value(), 1);
  EXPECT_EQ(metrics.prompt_tokens.with("m").value(), 14);
  EXPECT_EQ(metrics.completion_tokens.with("m").value(), 6);
  EXPECT_EQ(metrics.cost_usd.with("m").value(), 1.0);
}

}  // namespace
}  // namespace tessera::app
