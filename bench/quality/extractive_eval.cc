// Answer quality of the built-in models (retrieval: retrieval_eval). Usage:
//   extractive_eval squad FOLDER [QUESTIONS] [odd|even]   FOLDER holds paragraphs.jsonl and questions.jsonl (SQuAD
//   v1.1) extractive_eval manual FOLDER QUESTIONS.tsv            FOLDER holds Markdown; lines "question<TAB>expected
//   text" extractive_eval ask FOLDER                             questions from standard input, answers to standard
//   output
#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>

#include "async/run_blocking.h"
#include "base/clock.h"
#include "corpus.h"
#include "llm/extractive/extractive_model.h"
#include "parse/parser.h"

namespace tessera::bench {
namespace {

namespace json = boost::json;
constexpr size_t kTopK = 5;

struct Question {
  std::string text;
  size_t document = 0;
  std::vector<std::string> answers;
};

// Lower case, letters and digits only, one space between words and around the whole.
std::string normalised(std::string_view text) {
  std::string out = " ";
  for (const char c : text) {
    const bool wordy = std::isalnum(static_cast<unsigned char>(c)) != 0 || static_cast<unsigned char>(c) >= 0x80;
    if (wordy) {
      out += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    } else if (out.back() != ' ') {
      out += ' ';
    }
  }
  if (out.back() != ' ') out += ' ';
  return out;
}

bool contains_answer(std::string_view answer, const std::vector<std::string>& golds) {
  const std::string text = normalised(answer);
  return std::ranges::any_of(golds, [&](const std::string& gold) { return text.find(normalised(gold)) != text.npos; });
}

size_t count_words(std::string_view text) {
  return static_cast<size_t>(std::ranges::count(normalised(text), ' ')) - 1;
}

std::string question_word(std::string_view question) {
  const std::string text = normalised(question);
  size_t first = text.npos;
  std::string word = "other";
  for (const char* each : {"who", "whom", "whose", "when", "where", "why", "how", "what", "which"}) {
    const size_t at = text.find(fmt::format(" {} ", each));
    if (at < first) {
      first = at;
      word = each;
    }
  }
  return word;
}

class Answerer {
 public:
  Answerer() : embedder_(make()), model_(embedder_, clock_) {}
  [[nodiscard]] std::shared_ptr<index::StaticEmbedder> embedder() const { return embedder_; }

  std::string answer(const Corpus& corpus, const std::vector<size_t>& chunks, const std::string& question) {
    core::ChatRequest request;
    request.messages.push_back({core::Role::user, question, ""});
    for (size_t i = 0; i < std::min(kTopK, chunks.size()); ++i) request.sources.push_back(corpus.passage(chunks[i]));
    const auto completion = async::sync_wait(model_.generate(context_, request, nullptr));
    return completion ? completion->content : "ERROR " + completion.error().message;
  }

 private:
  static std::shared_ptr<index::StaticEmbedder> make() {
    auto made = index::StaticEmbedder::embedded();
    if (!made) std::exit(1);
    return std::make_shared<index::StaticEmbedder>(*std::move(made));
  }
  base::SystemClock clock_;
  core::RequestContext context_;
  std::shared_ptr<index::StaticEmbedder> embedder_;
  llm::ExtractiveModel model_;
};

std::vector<json::object> read_lines(const std::filesystem::path& path) {
  std::ifstream file(path);
  if (!file) {
    fmt::print(stderr, "cannot read {}\n", path.string());
    std::exit(1);
  }
  std::vector<json::object> rows;
  for (std::string line; std::getline(file, line);) rows.push_back(json::parse(line).as_object());
  return rows;
}

std::vector<Question> read_squad(const std::filesystem::path& folder, Corpus& corpus) {
  std::map<std::string, size_t> documents;
  for (const json::object& row : read_lines(folder / "paragraphs.jsonl")) {
    documents[std::string(row.at("id").as_string())] =
        corpus.add(std::string(row.at("title").as_string()), std::string(row.at("text").as_string()));
  }
  std::vector<Question> questions;
  for (const json::object& row : read_lines(folder / "questions.jsonl")) {
    Question question{
        std::string(row.at("question").as_string()), documents.at(std::string(row.at("paragraph_id").as_string())), {}};
    for (const json::value& gold : row.at("answers").as_array()) question.answers.emplace_back(gold.as_string());
    questions.push_back(std::move(question));
  }
  return questions;
}

void add_markdown(const std::filesystem::path& folder, Corpus& corpus) {
  const auto parser = parse::create_parser({});
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".md") paths.push_back(entry.path());
  }
  std::ranges::sort(paths);
  for (const auto& path : paths) {
    std::ifstream file(path);
    const std::string bytes(std::istreambuf_iterator<char>(file), {});
    auto parsed = parser->parse({bytes, "text/markdown", path.filename().string()});
    if (parsed) corpus.add(parsed->title, std::move(parsed->text), parsed->structure);
  }
}

struct Tally {
  size_t asked = 0;
  size_t contained = 0;
  size_t refused = 0;
  size_t words = 0;
};

// The same questions over documents that cannot answer them: every answer is one too many.
double answered_elsewhere(Answerer& answerer, const std::vector<Question>& questions,
                          const std::filesystem::path& manual) {
  Corpus corpus(answerer.embedder());
  add_markdown(manual, corpus);
  size_t answered = 0;
  for (const Question& question : questions) {
    answered +=
        answerer.answer(corpus, corpus.search(question.text).hybrid, question.text) == llm::kNothingFound ? 0 : 1;
  }
  return static_cast<double>(answered) / static_cast<double>(questions.size());
}

int evaluate_squad(const std::filesystem::path& folder, size_t count, size_t parity) {
  Answerer answerer;
  Corpus corpus(answerer.embedder());
  std::vector<Question> half;
  {
    std::vector<Question> all = read_squad(folder, corpus);
    for (size_t i = parity; i < all.size(); i += 2) half.push_back(std::move(all[i]));
  }
  fmt::print("{} questions, {} chunks\n", half.size(), corpus.chunks());
  std::vector<Question> sample;
  for (size_t i = 0; i < count; ++i) sample.push_back(half[i * half.size() / count]);
  Tally all;
  size_t retrieval_misses = 0;
  size_t sentence_misses = 0;
  size_t answerable = 0;
  size_t refused_answerable = 0;
  std::map<std::string, Tally> by_word;
  for (const Question& question : sample) {
    const std::vector<size_t> chunks = corpus.search(question.text).hybrid;
    const std::string answer = answerer.answer(corpus, chunks, question.text);
    bool retrieved = false;
    for (size_t i = 0; i < std::min(kTopK, chunks.size()); ++i) {
      retrieved = retrieved || contains_answer(corpus.passage(chunks[i]).text, question.answers);
    }
    const bool contained = contains_answer(answer, question.answers);
    const bool refused = answer == llm::kNothingFound;
    answerable += retrieved ? 1 : 0;
    refused_answerable += retrieved && refused ? 1 : 0;
    retrieval_misses += !contained && !retrieved ? 1 : 0;
    sentence_misses += !contained && retrieved && !refused ? 1 : 0;
    for (Tally* tally : {&all, &by_word[question_word(question.text)]}) {
      ++tally->asked;
      tally->contained += contained ? 1 : 0;
      tally->refused += refused ? 1 : 0;
      tally->words += count_words(answer);
    }
  }
  const auto share = [](size_t part, size_t whole) { return static_cast<double>(part) / static_cast<double>(whole); };
  fmt::print("answers to {}: a gold answer in {:.3f}; {:.1f} words on average\n", all.asked,
             share(all.contained, all.asked), share(all.words, all.asked));
  fmt::print(
      "misses: {} not in the passages, {} in them but another sentence quoted, {} refused with it in them "
      "({:.3f} of {})\n",
      retrieval_misses, sentence_misses, refused_answerable, share(refused_answerable, answerable), answerable);
  for (const auto& [word, tally] : by_word) {
    fmt::print("  {:6} {:4} asked  {:.3f} contained\n", word, tally.asked, share(tally.contained, tally.asked));
  }
  fmt::print("the same questions asked of the manual: {:.3f} answered (should be none)\n",
             answered_elsewhere(answerer, sample, std::filesystem::path(TESSERA_SOURCE_DIR) / "docs"));
  return 0;
}

// `expected` holds alternatives divided by "|".
bool contains_any(const std::string& answer, std::string_view expected) {
  while (true) {
    const size_t bar = expected.find('|');
    if (answer.find(expected.substr(0, bar)) != answer.npos) return true;
    if (bar == expected.npos) return false;
    expected.remove_prefix(bar + 1);
  }
}

int evaluate_manual(const std::filesystem::path& folder, const std::string& questions) {
  Answerer answerer;
  Corpus corpus(answerer.embedder());
  add_markdown(folder, corpus);
  std::ifstream file(questions);
  Tally tally;
  for (std::string line; std::getline(file, line);) {
    const size_t tab = line.find('\t');
    if (tab == line.npos) continue;
    const std::string question = line.substr(0, tab);
    const std::string expected = line.substr(tab + 1);
    const std::string answer = answerer.answer(corpus, corpus.search(question).hybrid, question);
    const bool right = expected == "-" ? answer == llm::kNothingFound : contains_any(answer, expected);
    ++tally.asked;
    tally.contained += right ? 1 : 0;
    tally.words += count_words(answer);
    if (!right) fmt::print("MISSED {}\n  expected: {}\n  answer: {}\n", question, expected, answer);
  }
  fmt::print("{} of {} right, {} words in all\n", tally.contained, tally.asked, tally.words);
  return 0;
}

int ask(const std::filesystem::path& folder) {
  Answerer answerer;
  Corpus corpus(answerer.embedder());
  add_markdown(folder, corpus);
  for (std::string question; std::getline(std::cin, question);) {
    fmt::print("## {}\n{}\n\n", question, answerer.answer(corpus, corpus.search(question).hybrid, question));
  }
  return 0;
}

}  // namespace
}  // namespace tessera::bench

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.size() >= 2 && arguments[0] == "squad") {
    const size_t count = arguments.size() > 2 ? std::stoul(arguments[2]) : 500;
    const size_t parity = arguments.size() > 3 && arguments[3] == "odd" ? 1 : 0;
    return tessera::bench::evaluate_squad(arguments[1], count, parity);
  }
  if (arguments.size() == 3 && arguments[0] == "manual")
    return tessera::bench::evaluate_manual(arguments[1], arguments[2]);
  if (arguments.size() == 2 && arguments[0] == "ask") return tessera::bench::ask(arguments[1]);
  fmt::print(stderr,
             "usage: extractive_eval squad FOLDER [QUESTIONS] [odd|even] | manual FOLDER QUESTIONS.tsv | ask FOLDER\n");
  return 2;
}
