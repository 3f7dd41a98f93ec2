// Retrieval quality per set and mode, and the comparison of fusions, as Markdown. Usage:
//   retrieval_eval SETS SQUAD    SETS as bench/quality/build_sets.py makes it; SQUAD holds SQuAD v1.1 dev
#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "corpus.h"
#include "metrics.h"
#include "rag/fusion.h"

namespace tessera::bench {
namespace {

namespace json = boost::json;
using Folder = std::filesystem::path;

/// The engines' lists for every question of a set, kept to try fusions on.
struct Asked {
  std::vector<core::IndexHit> lexical;
  std::vector<core::IndexHit> dense;
  size_t right = 0;
};

struct Set {
  std::string name;
  size_t chunks = 0;
  std::vector<size_t> documents;  // of each chunk
  std::vector<Asked> asked;
};

/// Which questions of a set.
enum class Half { all, even, odd };

struct SetOptions {
  Half half = Half::all;
  bool stemming = false;
  bool stop_words = true;  ///< asked of the lexical engine
};

std::vector<json::object> read_lines(const Folder& path) {
  std::ifstream file(path);
  if (!file) {
    fmt::print(stderr, "cannot read {}\n", path.string());
    std::exit(1);
  }
  std::vector<json::object> rows;
  for (std::string line; std::getline(file, line);) rows.push_back(json::parse(line).as_object());
  return rows;
}

std::string text_of(const json::object& row, std::string_view field) {
  return std::string(row.at(field).as_string());
}

std::string without_stop_words(const std::string& query) {
  static const std::set<std::string, std::less<>> kStop{
      "a",   "an",   "and",  "are",  "as",   "at",    "be",    "by",    "can",   "did",  "do",   "does",
      "for", "from", "had",  "has",  "have", "how",   "i",     "in",    "is",    "it",   "its",  "my",
      "not", "of",   "on",   "or",   "so",   "that",  "the",   "their", "there", "they", "this", "to",
      "was", "we",   "were", "what", "when", "where", "which", "who",   "why",   "will", "with", "you"};
  std::string kept;
  std::string word;
  for (size_t i = 0; i <= query.size(); ++i) {
    const char c = i < query.size() ? query[i] : ' ';
    if (c != ' ') {
      word += c;
      continue;
    }
    std::string plain;
    for (const char each : word) {
      if (std::isalnum(static_cast<unsigned char>(each)) != 0) plain += static_cast<char>(std::tolower(each));
    }
    if (!kStop.contains(plain)) kept += word + " ";
    word.clear();
  }
  return kept;
}

Set load(const std::shared_ptr<index::StaticEmbedder>& embedder, const Folder& folder, SetOptions options) {
  Set set;
  Corpus corpus(embedder, {.stemming = options.stemming});
  std::map<std::string, size_t> documents;
  for (const json::object& row : read_lines(folder / "paragraphs.jsonl")) {
    documents[text_of(row, "id")] = corpus.add(text_of(row, "title"), text_of(row, "text"));
  }
  size_t number = 0;
  for (const json::object& row : read_lines(folder / "questions.jsonl")) {
    const bool odd = number++ % 2 == 1;
    if (options.half == (odd ? Half::even : Half::odd)) continue;
    const std::string question = text_of(row, "question");
    Found found = corpus.search(question, options.stop_words ? question : without_stop_words(question));
    set.asked.push_back({std::move(found.lexical), std::move(found.dense), documents.at(text_of(row, "paragraph_id"))});
  }
  set.chunks = corpus.chunks();
  for (size_t i = 0; i < set.chunks; ++i) set.documents.push_back(corpus.document_of(i));
  return set;
}

/// A document counts where its best chunk does.
Measures measure_keys(const Set& set, const std::vector<rag::Ranked>& ranked, size_t right) {
  constexpr size_t kDepth = 10;
  std::vector<size_t> documents;
  for (const rag::Ranked& each : ranked) {
    const size_t document = set.documents[static_cast<size_t>(each.chunk_key - 1)];
    if (std::ranges::find(documents, document) == documents.end()) documents.push_back(document);
    if (documents.size() == kDepth) break;
  }
  return measure(documents, std::span(&right, 1));
}

enum class Engines { both, lexical, dense };

Measures evaluate(const Set& set, Engines engines, const rag::FusionOptions& options = {}) {
  MeasureMeans means;
  for (const Asked& asked : set.asked) {
    rag::FusionLists lists;
    if (engines != Engines::dense) lists.lexical = asked.lexical;
    if (engines != Engines::lexical) lists.dense = asked.dense;
    means.add(measure_keys(set, rag::fuse(lists, options), asked.right));
  }
  return means.mean();
}

void print_modes(const std::vector<Set>& sets) {
  fmt::print("## Modes\n\n| set | questions | chunks | mode | R@1 | R@5 | R@10 | MRR@10 | nDCG@10 |\n");
  fmt::print("|---|---|---|---|---|---|---|---|---|\n");
  for (const Set& set : sets) {
    const std::pair<const char*, Engines> modes[] = {
        {"lexical", Engines::lexical}, {"dense", Engines::dense}, {"**hybrid**", Engines::both}};
    for (const auto& [name, engines] : modes) {
      const Measures m = evaluate(set, engines);
      fmt::print("| {} | {} | {} | {} | {:.3f} | {:.3f} | {:.3f} | {:.3f} | {:.3f} |\n", set.name, set.asked.size(),
                 set.chunks, name, m.within[0], m.within[1], m.within[2], m.reciprocal, m.ndcg);
    }
  }
}

void print_fusions(const std::vector<Set>& sets) {
  std::vector<std::pair<std::string, rag::FusionOptions>> fusions;
  for (const double constant : {10, 20, 60}) {
    for (const double weight : {0.3, 0.5, 0.7, 1.0}) {
      fusions.push_back(
          {fmt::format("ranks, k {}, dense {}", constant, weight), {rag::Fusion::reciprocal_rank, weight, constant}});
    }
  }
  for (const double weight : {0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0}) {
    fusions.push_back({fmt::format("scores, dense {}", weight), {rag::Fusion::scores, weight, 60}});
  }
  fmt::print(
      "\n## Fusions\n\nR@5 / nDCG@10; \"worst\" is the smallest difference from the better engine alone.\n\n| fusion");
  for (const Set& set : sets) fmt::print(" | {}", set.name);
  fmt::print(" | worst | mean |\n|---");
  for (size_t i = 0; i < sets.size() + 2; ++i) fmt::print("|---");
  fmt::print("|\n");
  for (const auto& [name, options] : fusions) {
    fmt::print("| {}", name);
    Measures worst{{1, 1, 1}, 1, 1};
    Measures mean;
    for (const Set& set : sets) {
      const Measures m = evaluate(set, Engines::both, options);
      const Measures a = evaluate(set, Engines::lexical);
      const Measures b = evaluate(set, Engines::dense);
      worst.within[1] = std::min(worst.within[1], m.within[1] - std::max(a.within[1], b.within[1]));
      worst.ndcg = std::min(worst.ndcg, m.ndcg - std::max(a.ndcg, b.ndcg));
      mean.within[1] += m.within[1] / static_cast<double>(sets.size());
      mean.ndcg += m.ndcg / static_cast<double>(sets.size());
      fmt::print(" | {:.3f} / {:.3f}", m.within[1], m.ndcg);
    }
    fmt::print(" | {:+.3f} / {:+.3f} | {:.3f} / {:.3f} |\n", worst.within[1], worst.ndcg, mean.within[1], mean.ndcg);
  }
}

void print_words(const std::string& name, const Set& plain, const Set& stemmed, const Set& stopped) {
  fmt::print("| {}", name);
  for (const Set* set : {&plain, &stemmed, &stopped}) {
    for (const Engines engines : {Engines::lexical, Engines::both}) {
      const Measures m = evaluate(*set, engines);
      fmt::print(" | {:.3f} / {:.3f}", m.within[1], m.ndcg);
    }
  }
  fmt::print(" |\n");
}

int run(const Folder& sets_folder, const Folder& squad) {
  auto made = index::StaticEmbedder::embedded();
  if (!made) return 1;
  const auto embedder = std::make_shared<index::StaticEmbedder>(*std::move(made));
  struct Source {
    std::string name;
    Folder folder;
    Half half;
  };
  std::vector<Source> sources;
  for (const char* name : {"headings", "headings_typos", "faq", "sentences", "manpages", "names", "gloss",
                           "squad_typos", "squad_keywords"}) {
    sources.push_back({name, sets_folder / name, Half::all});
  }
  sources.push_back({"squad odd", squad, Half::odd});
  sources.push_back({"squad even", squad, Half::even});
  std::vector<Set> sets;
  for (const Source& source : sources) {
    sets.push_back(load(embedder, source.folder, {.half = source.half}));
    sets.back().name = source.name;
  }
  print_modes(sets);
  print_fusions(sets);
  fmt::print("\n## Words\n\nR@5 / nDCG@10 with English stems, and with stop words kept from the lexical engine.\n\n");
  fmt::print(
      "| set | lexical | hybrid | lexical, stems | hybrid, stems | lexical, no stop words | hybrid, no stop words |\n");
  fmt::print("|---|---|---|---|---|---|---|\n");
  for (size_t i = 0; i < sources.size(); ++i) {
    const Set stemmed = load(embedder, sources[i].folder, {.half = sources[i].half, .stemming = true});
    const Set stopped = load(embedder, sources[i].folder, {.half = sources[i].half, .stop_words = false});
    print_words(sources[i].name, sets[i], stemmed, stopped);
  }
  return 0;
}

}  // namespace
}  // namespace tessera::bench

int main(int argc, char** argv) {
  if (argc == 3) return tessera::bench::run(argv[1], argv[2]);
  fmt::print(stderr, "usage: retrieval_eval SETS SQUAD\n");
  return 2;
}
