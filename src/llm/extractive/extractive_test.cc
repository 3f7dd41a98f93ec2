#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>

#include "async/run_blocking.h"
#include "base/random.h"
#include "llm/extractive/composition.h"
#include "llm/extractive/extractive_model.h"
#include "llm/extractive/ranking.h"
#include "llm/extractive/words.h"
#include "text/code_state.h"

namespace tessera::llm {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

// Embeds a text as the set of its stems, so that meaning follows words exactly.
class WordSetEmbedder final : public core::Embedder {
 public:
  bool fail = false;
  [[nodiscard]] std::string_view model() const override { return "test/words"; }
  [[nodiscard]] size_t dimensions() const override { return 64; }
  [[nodiscard]] size_t count_tokens(std::string_view text) const override { return text.size() / 4; }
  core::Task<base::Result<core::Embeddings>> embed(const core::RequestContext&,
                                                   std::span<const std::string_view> texts) override {
    if (fail) co_return base::fail(base::Code::unavailable, "AWAY", "the embedder is away");
    core::Embeddings out{texts.size(), 64, std::vector<float>(texts.size() * 64)};
    for (size_t row = 0; row < texts.size(); ++row) {
      float* values = out.values.data() + row * 64;
      float sum = 0;
      for (const auto& term : extractive::terms_of(texts[row])) {
        if (!extractive::is_stop_word(term.text)) values[std::hash<std::string>()(term.stem) % 64] += 1;
      }
      for (size_t i = 0; i < 64; ++i) sum += values[i] * values[i];
      for (size_t i = 0; i < 64 && sum > 0; ++i) values[i] /= std::sqrt(sum);
    }
    co_return out;
  }
};

class CollectingSink final : public core::ChatSink {
 public:
  std::vector<std::string> pieces;
  size_t stop_after = 1'000'000;
  core::Task<base::Result<>> on_delta(core::ChatDelta delta) override {
    if (pieces.size() >= stop_after) co_return base::fail(base::Code::cancelled, "CLIENT_GONE", "the reader left");
    pieces.push_back(std::move(delta.text));
    co_return base::Result<>{};
  }
};

core::Passage passage(std::string text, std::string heading = "", std::string title = "") {
  core::Passage out;
  out.text = std::move(text);
  out.heading_path = std::move(heading);
  out.title = std::move(title);
  return out;
}

constexpr std::string_view kManual =
    "# Start the server\n\nRun this command from the checkout:\n\n```sh\nmake run\n```\n\n"
    "The server listens on port 8080 and keeps its data in `./data`. Press Ctrl-C to stop it; it finishes first.\n";
constexpr std::string_view kSettings =
    "# Settings\n\n| Setting | Default | Meaning |\n|---|---|---|\n| `server.port` | 8080 | TCP port |\n"
    "| `chat.top_k` | 5 | passages read for an answer |\n\nSettings come from three places:\n\n"
    "1. the file `tessera.yaml`\n2. environment variables\n3. command-line flags\n";
constexpr std::string_view kHistory =
    "The lighthouse was built by Anna Berg between 1871 and 1874. It stands on the northern cape of Lindholm island. "
    "Its lamp burned oil until electricity came in 1923. Is it haunted? The keeper, Mr. Olsen, retired in 1988 because "
    "the light became automatic.";

class Extractive : public testing::Test {
 protected:
  std::shared_ptr<WordSetEmbedder> embedder = std::make_shared<WordSetEmbedder>();
  base::ManualClock clock;
  core::RequestTrace trace;
  core::RequestContext context;
  core::ChatRequest request;

  void SetUp() override {
    context.trace = &trace;
    request.messages = {{core::Role::user, "", ""}};
    request.sources = {passage(std::string(kManual)), passage(std::string(kSettings)), passage(std::string(kHistory))};
  }

  base::Result<core::ChatCompletion> run(core::ChatSink* sink = nullptr) {
    ExtractiveModel model(embedder, clock);
    return async::sync_wait(model.generate(context, request, sink));
  }
  std::string ask(std::string question) {
    request.messages.back().content = std::move(question);
    const auto completion = run();
    EXPECT_TRUE(completion);
    return completion ? completion->content : "";
  }
};

// Without white space and bracketed numbers, which quotations leave out.
std::string squashed(std::string text) {
  static const std::regex kNumber(R"(\[[0-9, ]*[0-9][0-9, ]*\])");
  for (std::string before; before != text;) {
    before = text;
    text = std::regex_replace(before, kNumber, "");
  }
  std::erase_if(text, [](char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; });
  return text;
}

// The numbers in brackets outside of code: what a reader takes for citations.
std::vector<int> cited_numbers(const std::string& answer) {
  std::string outside;
  text::CodeState code;
  for (const char c : answer) outside += code.take(c) ? '`' : c;
  static const std::regex kMarker(R"(\[([0-9, ]*[0-9][0-9, ]*)\])");
  std::vector<int> numbers;
  for (std::sregex_iterator it(outside.begin(), outside.end(), kMarker), end; it != end; ++it) {
    numbers.push_back(std::stoi((*it)[1].str().substr((*it)[1].str().find_first_of("0123456789"))));
  }
  return numbers;
}

// Every quotation before a marker [n] is found as it is in passage n, but for bracketed numbers.
void expect_verbatim(const std::string& answer, const std::vector<core::Passage>& sources) {
  static const std::regex kMarker(R"(\s*\[(\d{1,2})\]\s*)");
  auto rest = answer;
  std::smatch found;
  // Quotations may hold brackets of their own, so try each marker until the text before it is a quotation.
  std::string pending;
  while (std::regex_search(rest, found, kMarker)) {
    pending += found.prefix();
    const size_t n = std::stoul(found[1]);
    if (n >= 1 && n <= sources.size() && squashed(sources[n - 1].text).find(squashed(pending)) != std::string::npos) {
      pending.clear();
    } else {
      pending += found[0];
    }
    rest = found.suffix();
  }
  EXPECT_TRUE(pending.empty() && rest.empty()) << answer;
}

TEST_F(Extractive, QuotesTheSentenceThatAnswers) {
  EXPECT_EQ(ask("Who built the lighthouse?"), "The lighthouse was built by Anna Berg between 1871 and 1874. [3]");
  EXPECT_THAT(ask("Where does the lighthouse stand?"), HasSubstr("on the northern cape of Lindholm island. [3]"));
  EXPECT_THAT(ask("Why did the keeper retire?"), HasSubstr("Mr. Olsen, retired in 1988 because"));
  EXPECT_THAT(ask("When did electricity come to its lamp?"), HasSubstr("1923. [3]"));
}

TEST_F(Extractive, QuotesTheCommandUnderItsHeading) {
  EXPECT_THAT(ask("How do I start the server?"),
              StartsWith("Run this command from the checkout:\n\n```sh\nmake run\n```\n\n"));
  EXPECT_THAT(ask("how to start it"), HasSubstr("make run"));
}

TEST_F(Extractive, QuotesTableRowsAndLists) {
  EXPECT_EQ(ask("How many passages are read for an answer?"), "`chat.top_k` | 5 | passages read for an answer [2]");
  EXPECT_THAT(ask("From which places do settings come?"),
              HasSubstr("Settings come from three places:\n\n1. the file `tessera.yaml`\n2. environment variables\n3. "
                        "command-line flags\n\n[2]"));
}

TEST_F(Extractive, ProseBehindCodeBearsTheMarkerItself) {
  request.sources = {
      passage("# Backups\n\nBack up the database with this command:\n\n```sh\nsqlite3 data.db \".backup b.db\"\n```\n\n"
              "To restore the backup, stop the server and put the file back.\n")};
  EXPECT_THAT(ask("How do I back up the database and restore the backup?"),
              testing::EndsWith("put the file back. [1]"));
}

TEST_F(Extractive, DefinesWhatIsAskedFor) {
  request.sources = {passage("With the Tessera command you search. Tessera and curl work together."),
                     passage("Tessera is a server for documents. It is small.")};
  EXPECT_THAT(ask("What is Tessera?"), HasSubstr("Tessera is a server for documents. [2]"));
}

TEST_F(Extractive, AnEchoOfTheQuestionIsNoAnswer) {
  request.sources = {
      passage("Ask it from Python:\n\n```python\nprint(ask(\"Who repairs the espresso machine?\"))\n```\n"),
      passage("The espresso machine is repaired by Lindqvist.")};
  EXPECT_EQ(ask("Who repairs the espresso machine?"), "The espresso machine is repaired by Lindqvist. [2]");
}

TEST_F(Extractive, SaysPlainlyWhenNothingIsThere) {
  for (const char* question : {"What is the capital of France?", "How do I cook pasta with tomatoes?", "hello", "",
                               "???", "the of and", "Who won the chess championship of 1972?"}) {
    EXPECT_EQ(ask(question), kNothingFound) << question;
  }
  request.sources.clear();
  EXPECT_EQ(ask("Who built the lighthouse?"), kNothingFound);
  request.sources = {passage("")};
  EXPECT_EQ(ask("Who built the lighthouse?"), kNothingFound);
}

TEST_F(Extractive, UnderstandsAFollowUpByTheQuestionBefore) {
  request.messages = {{core::Role::user, "Who built the lighthouse?", ""},
                      {core::Role::assistant, "Anna Berg. [1]", ""},
                      {core::Role::user, "", ""}};
  EXPECT_THAT(ask("And when was that?"), HasSubstr("1871"));
}

TEST_F(Extractive, WordsAloneDecideWhenTheEmbedderFails) {
  embedder->fail = true;
  EXPECT_THAT(ask("Who built the lighthouse?"), HasSubstr("Anna Berg"));
  EXPECT_THAT(trace.degraded(), testing::ElementsAre("answer_meaning"));
  EXPECT_EQ(ask("What is the capital of France?"), kNothingFound);
  embedder = nullptr;
  EXPECT_THAT(ask("Who built the lighthouse?"), HasSubstr("Anna Berg"));
}

TEST_F(Extractive, KeepsToTheLimits) {
  std::string text;
  for (int i = 0; i < 40; ++i)
    text += "The harbour of Lindholm was repaired by the crew number " + std::to_string(i) + ". ";
  request.sources = {passage(text)};
  const std::string answer = ask("Who repaired the harbour of Lindholm?");
  EXPECT_LE(extractive::terms_of(answer).size(), 90u + 3);
  EXPECT_LE(std::ranges::count(answer, '['), 3);
  request.max_tokens = 14;
  EXPECT_EQ(std::ranges::count(ask("Who repaired the harbour of Lindholm?"), '['), 1);
}

TEST_F(Extractive, MergesNeighboursAndDropsRepetitions) {
  request.sources = {passage("Oslo has a harbour. The harbour of Oslo is deep."), passage("Oslo has a harbour.")};
  const std::string answer = ask("Has Oslo a deep harbour?");
  EXPECT_THAT(answer, HasSubstr("The harbour of Oslo is deep. [1]"));
  EXPECT_THAT(answer, Not(HasSubstr("[2]")));
}

TEST_F(Extractive, StreamsWhatItReturns) {
  request.messages.back().content = "Who built the lighthouse?";
  CollectingSink sink;
  const auto completion = run(&sink);
  ASSERT_TRUE(completion);
  std::string joined;
  for (const std::string& piece : sink.pieces) joined += piece;
  EXPECT_EQ(joined, completion->content);
  EXPECT_GT(sink.pieces.size(), 2u);
  EXPECT_EQ(completion->model, kExtractiveModelId);
  EXPECT_EQ(completion->finish_reason, "stop");
  EXPECT_GT(completion->usage.completion_tokens, 5);
  EXPECT_GT(completion->usage.prompt_tokens, 0);
}

TEST_F(Extractive, StopsWhenTheReaderLeavesOrTimeIsOver) {
  request.messages.back().content = "Who built the lighthouse?";
  CollectingSink sink;
  sink.stop_after = 1;
  auto completion = run(&sink);
  ASSERT_FALSE(completion);
  EXPECT_EQ(completion.error().name, "CLIENT_GONE");
  EXPECT_EQ(sink.pieces.size(), 1u);

  context.deadline = clock.now() + base::Millis(5);
  clock.advance(base::Millis(6));
  completion = run();
  ASSERT_FALSE(completion);
  EXPECT_EQ(completion.error().code, base::Code::deadline);

  async::CancelSource cancel;
  cancel.cancel();
  context.deadline = base::SteadyTime::max();
  context.cancel = cancel.token();
  completion = run();
  ASSERT_FALSE(completion);
  EXPECT_EQ(completion.error().code, base::Code::cancelled);
}

TEST_F(Extractive, BracketedNumbersOfTheDocumentAreNotCitations) {
  request.sources = {
      passage("The canal was dug in 1822 [1] by Karl Lund [12, 13]. It is 9 km long.[2] Trains came later.")};
  EXPECT_EQ(ask("Who dug the canal?"), "The canal was dug in 1822 by Karl Lund. [1]");
  request.sources = {passage("The canal reads `locks[1]` in its code[[3]4] of 1822.")};
  EXPECT_EQ(ask("What does the canal read?"), "The canal reads `locks[1]` in its code of 1822. [1]");
}

// Passages put together from pieces of Markdown and rubbish: whatever comes out is verbatim, bounded and repeatable.
TEST_F(Extractive, QuotesVerbatimWhateverTheSources) {
  const std::vector<std::string> pieces = {"The harbour of Oslo is deep. ",
                                           "# Harbour\n",
                                           "```sh\nmake harbour\n```\n",
                                           "```",
                                           "~~~\nharbour",
                                           "- harbour item\n",
                                           "1. first harbour\n",
                                           "| harbour | 12 |\n",
                                           "|---|---|\n",
                                           "> [!note] harbour\n",
                                           "\n\n",
                                           "\n",
                                           "   ",
                                           "Use the harbour:\n\n",
                                           "\xF0\x9F\x98\x80 ",
                                           "\xFF\xC3",
                                           "harbour",
                                           "...",
                                           "? ",
                                           "\r\n",
                                           "Dr. Berg saw the harbour in 1923. ",
                                           "[1]",
                                           " [12, 77].",
                                           "[8[77]8]",
                                           "***",
                                           "港は深い。",
                                           "a,b,c harbour 1,000\n",
                                           std::string(1, '\0'),
                                           "=====\n",
                                           "## \n",
                                           "Who saw it? ",
                                           "It is old.\t"};
  base::SeededRandom random(7);
  for (int round = 0; round < 400; ++round) {
    request.sources.clear();
    const size_t count = random.below(4);
    for (size_t i = 0; i < count; ++i) {
      std::string text;
      for (size_t n = random.below(30); n > 0; --n) text += pieces[random.below(pieces.size())];
      request.sources.push_back(passage(std::move(text), random.below(2) == 0 ? "Harbour > Depth" : ""));
    }
    const std::string answer = ask("How deep is the harbour of Oslo?");
    EXPECT_EQ(answer, ask("How deep is the harbour of Oslo?"));
    if (answer != kNothingFound) expect_verbatim(answer, request.sources);
    for (const int number : cited_numbers(answer)) EXPECT_LE(number, static_cast<int>(count)) << answer;
  }
}

TEST(ExtractiveUnits, CutAtMarkdownBoundaries) {
  const std::string text = std::string(kManual) + std::string(kSettings);
  const auto units = extractive::cut_units(text, 0, {}, 0);
  std::vector<std::string> quotes;
  for (const auto& unit : units) quotes.push_back(text.substr(unit.start, unit.end - unit.start));
  EXPECT_THAT(quotes,
              testing::ElementsAre("Run this command from the checkout:",
                                   "The server listens on port 8080 and keeps its data in `./data`.",
                                   "Press Ctrl-C to stop it; it finishes first.", "`server.port` | 8080 | TCP port",
                                   "`chat.top_k` | 5 | passages read for an answer", "Settings come from three places:",
                                   "the file `tessera.yaml`", "environment variables", "command-line flags"));
  EXPECT_THAT(text.substr(units[0].start, units[0].tail_end - units[0].start), HasSubstr("make run\n```"));
}

TEST(ExtractiveUnits, LongCodeIsQuotedByTheLine) {
  std::string text = "```\n";
  for (int i = 0; i < 20; ++i) text += "step " + std::to_string(i) + "\n";
  const auto units = extractive::cut_units(text + "```\n", 0, {}, 0);
  ASSERT_EQ(units.size(), 20u);
  EXPECT_EQ(text.substr(units[3].start, units[3].end - units[3].start), "step 3");
}

TEST(ExtractiveUnits, AreBounded) {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += "- item\n";
  EXPECT_EQ(extractive::cut_units(text, 0, {}, 0).size(), extractive::kUnitsPerPassageMax);
  EXPECT_TRUE(extractive::cut_units(std::string(5000, 'x'), 0, {}, 0).empty());
}

TEST(ExtractiveQuestion, KnowsWhatIsAskedFor) {
  using extractive::Asks;
  const std::pair<const char*, Asks> cases[] = {{"Who wrote it?", Asks::person},
                                                {"In what year did it end?", Asks::time},
                                                {"How many people live there?", Asks::quantity},
                                                {"Where is it?", Asks::place},
                                                {"Why is the sky blue?", Asks::reason},
                                                {"How do I start the server?", Asks::manner},
                                                {"What is Tessera?", Asks::definition},
                                                {"Which team won against Sweden in the last game?", Asks::thing}};
  for (const auto& [text, asks] : cases) EXPECT_EQ(extractive::analyse_question(text).asks, asks) << text;
}

TEST(ExtractiveWords, AreLikeByStemAndSlip) {
  EXPECT_EQ(extractive::stem_likeness("start", "start"), 1);
  EXPECT_GT(extractive::stem_likeness("electric", "electricity"), 0.5);
  EXPECT_GT(extractive::stem_likeness("lighthouse", "lighthuose"), 0.5);
  EXPECT_EQ(extractive::stem_likeness("cat", "car"), 0);
  EXPECT_EQ(extractive::stem_likeness("1990", "1991"), 0);
}

TEST(ExtractiveComposition, PiecesJoinToTheAnswer) {
  const std::string answer =
      "Ein kurzer Satz \xC3\xBC"
      "ber nichts.\nUnd noch einer, der l\xC3\xA4nger ist. [1]";
  std::string joined;
  for (const std::string_view piece : extractive::stream_pieces(answer)) joined += piece;
  EXPECT_EQ(joined, answer);
  EXPECT_TRUE(extractive::stream_pieces("").empty());
}

}  // namespace
}  // namespace tessera::llm
