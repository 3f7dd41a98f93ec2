// What leaving out duplicates, a bound on a document's share and joining neighbours do, as Markdown. Usage:
//   selection_eval SETS SQUAD
#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <fstream>
#include <functional>
#include <map>

#include "rag/duplicates.h"
#include "rag/rerank.h"
#include "rag/selection.h"
#include "sets.h"
#include "text/words.h"

namespace tessera::bench {
namespace {

namespace json = boost::json;
using core::Duplicates;

constexpr Duplicates kKinds[] = {Duplicates::keep, Duplicates::same, Duplicates::near};

Measures evaluate(const Set& set, const rag::SelectionOptions& options,
                  const std::function<int64_t(const core::Passage&)>& document) {
  MeasureMeans means;
  for (const Asked& asked : set.asked) {
    rag::Selection selection(options);
    for (const rag::Ranked& each : rag::rerank(asked.fused, asked.matches)) {
      core::Passage passage = set.corpus->passage(static_cast<size_t>(each.chunk_key - 1));
      passage.document_key = document(passage);
      selection.offer(std::move(passage));
    }
    std::vector<rag::Ranked> chosen;
    for (const auto& each : selection.take()) chosen.push_back({each.best.chunk_key, 1});
    means.add(measure_chunks(set, chosen, asked.right));
  }
  return means.mean();
}

/// Share of word triples that two texts have in common: the usual test for near-duplicates, for comparison.
double common_triples(const std::string& a, const std::string& b) {
  const auto triples = [](const std::string& text) {
    std::vector<std::string> words;
    text::for_each_word(text, [&](const text::Word& word) { words.emplace_back(word.term); });
    std::vector<std::string> found;
    for (size_t i = 0; i + 2 < words.size(); ++i) found.push_back(words[i] + ' ' + words[i + 1] + ' ' + words[i + 2]);
    std::ranges::sort(found);
    found.erase(std::ranges::unique(found).begin(), found.end());
    return found;
  };
  const auto x = triples(a);
  const auto y = triples(b);
  std::vector<std::string> both;
  std::ranges::set_intersection(x, y, std::back_inserter(both));
  const size_t all = x.size() + y.size() - both.size();
  return all == 0 ? 1 : static_cast<double>(both.size()) / static_cast<double>(all);
}

std::string change_middle(const std::string& text, const std::string& word) {
  const size_t from = text.find(' ', text.size() / 2);
  if (from == std::string::npos) return text + ' ' + word;
  const size_t to = text.find(' ', from + 1);
  return text.substr(0, from + 1) + word + (to == std::string::npos ? "" : text.substr(to));
}

std::string louder(std::string text) {
  for (char& c : text) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
  return text;
}

/// How often a changed copy of a passage is taken for a duplicate.
void print_copies(const Set& set) {
  const std::pair<const char*, std::function<std::string(const std::string&)>> changes[] = {
      {"none", [](const std::string& t) { return t; }},
      {"white space", [](const std::string& t) { return "\n" + t + "\n\n"; }},
      {"capitals", louder},
      {"a banner before", [](const std::string& t) { return "DRAFT do not copy. " + t; }},
      {"the last two words lost", [](const std::string& t) { return t.substr(0, t.rfind(' ', t.rfind(' ') - 1)); }},
      {"one number", [](const std::string& t) { return change_middle(t, "2024"); }},
      {"one name", [](const std::string& t) { return change_middle(t, "Ferdinand"); }},
      {"a \"not\"", [](const std::string& t) { return change_middle(t, "not"); }},
      {"a sentence more", [](const std::string& t) { return t + " This no longer holds for the new release."; }},
  };
  fmt::print("\n| change | same | near | 90 % of word triples in common |\n|---|---|---|---|\n");
  for (const auto& [name, change] : changes) {
    size_t same = 0, near = 0, triples = 0, all = 0;
    for (size_t i = 0; i < set.corpus->chunks(); i += 4, ++all) {
      const std::string& text = set.corpus->passage(i).text;
      const std::string other = change(text);
      const auto repeats = [&](Duplicates kind) {
        rag::DuplicateFilter filter(kind);
        filter.repeats(text);
        return filter.repeats(other);
      };
      same += repeats(Duplicates::same);
      near += repeats(Duplicates::near);
      triples += common_triples(text, other) >= 0.9;
    }
    const auto share = [&](size_t n) { return 100 * static_cast<double>(n) / static_cast<double>(all); };
    fmt::print("| {} | {:.0f} % | {:.0f} % | {:.0f} % |\n", name, share(same), share(near), share(triples));
  }
}

std::vector<json::object> read_lines(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::vector<json::object> rows;
  for (std::string line; std::getline(file, line);) rows.push_back(json::parse(line).as_object());
  return rows;
}

struct Article {
  std::string title;
  std::string text;
};

/// SQuAD's paragraphs as whole articles: does what is given hold an answer, and how long is it?
void print_neighbours(const std::shared_ptr<index::StaticEmbedder>& embedder, const std::filesystem::path& squad) {
  std::map<std::string, size_t> places;
  std::vector<Article> articles;
  for (const json::object& row : read_lines(squad / "paragraphs.jsonl")) {
    const std::string title(row.at("title").as_string());
    const auto [place, made] = places.try_emplace(title, articles.size());
    if (made) articles.push_back({title, {}});
    articles[place->second].text.append(row.at("text").as_string()).append("\n\n");
  }
  Corpus corpus(embedder, {.stemming = true});
  for (const Article& article : articles) corpus.add(article.title, article.text);
  struct Sum {
    size_t answered = 0;
    size_t bytes = 0;
  };
  constexpr std::pair<size_t, size_t> kShapes[] = {{5, 0}, {8, 0}, {10, 0}, {3, 1}, {4, 1}, {5, 1}, {2, 2}, {3, 2}};
  std::vector<Sum> sums(std::size(kShapes));
  size_t asked = 0;
  size_t number = 0;
  for (const json::object& row : read_lines(squad / "questions.jsonl")) {
    if (number++ % 4 != 1) continue;
    ++asked;
    const std::string question(row.at("question").as_string());
    const Found found = corpus.search(question);
    auto ranked = rag::fuse({found.lexical, found.dense}, {});
    std::vector<std::string> texts;
    for (size_t i = 0; i < std::min<size_t>(50, ranked.size()); ++i) {
      texts.push_back(rag::read_for_ranking(corpus.passage(static_cast<size_t>(ranked[i].chunk_key - 1))));
    }
    const std::vector<std::string_view> views(texts.begin(), texts.end());
    ranked = rag::rerank(std::move(ranked), embedder->token_matcher()->match(question, views));
    for (size_t shape = 0; shape < std::size(kShapes); ++shape) {
      rag::Selection selection({.top_k = kShapes[shape].first, .neighbours = kShapes[shape].second});
      for (const auto& each : ranked) selection.offer(corpus.passage(static_cast<size_t>(each.chunk_key - 1)));
      std::vector<core::Passage> around;
      for (const int64_t key : selection.neighbour_keys()) {
        if (key >= 1 && key <= static_cast<int64_t>(corpus.chunks())) {
          around.push_back(corpus.passage(static_cast<size_t>(key - 1)));
        }
      }
      selection.add_neighbours(std::move(around));
      bool answered = false;
      for (auto& each : selection.take()) {
        const Article& article = articles[static_cast<size_t>(each.best.document_key - 1)];
        const core::Passage passage = rag::join_parts(std::move(each), &article.text);
        sums[shape].bytes += passage.text.size();
        for (const auto& answer : row.at("answers").as_array()) {
          const auto text =
              answer.is_string() ? std::string(answer.as_string()) : std::string(answer.at("text").as_string());
          answered = answered || passage.text.find(text) != std::string::npos;
        }
      }
      sums[shape].answered += answered;
    }
  }
  fmt::print("\n| passages | neighbours | with an answer | bytes |\n|---|---|---|---|\n");
  for (size_t shape = 0; shape < std::size(kShapes); ++shape) {
    fmt::print("| {} | {} | {:.3f} | {} |\n", kShapes[shape].first, kShapes[shape].second,
               static_cast<double>(sums[shape].answered) / static_cast<double>(asked), sums[shape].bytes / asked);
  }
}

int run(const std::filesystem::path& folder, const std::filesystem::path& squad) {
  auto made = index::StaticEmbedder::embedded();
  if (!made) return 1;
  const auto embedder = std::make_shared<index::StaticEmbedder>(*std::move(made));
  fmt::print("## Duplicates, shares, neighbours\n\nSQuAD's paragraphs as whole articles:\n");
  print_neighbours(embedder, squad);
  fmt::print("\nR@5 / nDCG@10 without duplicates, and with a bound on the passages of one page (title):\n\n");
  fmt::print("| set | keep | same | near | 1 a page | 2 a page | 3 a page |\n|---|---|---|---|---|---|---|\n");
  for (const Source& source : all_sources(folder, squad)) {
    if (source.name != "headings" && source.name != "faq" && source.name != "manpages" && source.name != "squad odd") {
      continue;
    }
    const Set set = load(embedder, source, {.stemming = true});
    fmt::print("| {}", source.name);
    const auto own = [](const core::Passage& passage) { return passage.document_key; };
    const auto page = [](const core::Passage& passage) {
      return static_cast<int64_t>(std::hash<std::string>{}(passage.title));
    };
    for (const Duplicates kind : kKinds) {
      const Measures m = evaluate(set, {.top_k = 10, .duplicates = kind}, own);
      fmt::print(" | {:.3f} / {:.3f}", m.recall[1], m.ndcg);
    }
    for (const size_t share : {1, 2, 3}) {
      const Measures m = evaluate(set, {.top_k = 10, .per_document = share}, page);
      fmt::print(" | {:.3f} / {:.3f}", m.recall[1], m.ndcg);
    }
    fmt::print(" |\n");
    if (source.name == "squad odd") {
      fmt::print("\nCopies of SQuAD's paragraphs with a change, taken for duplicates:\n");
      print_copies(set);
    }
  }
  return 0;
}

}  // namespace
}  // namespace tessera::bench

int main(int argc, char** argv) {
  if (argc == 3) return tessera::bench::run(argv[1], argv[2]);
  fmt::print(stderr, "usage: selection_eval SETS SQUAD\n");
  return 2;
}
