#include "sets.h"

#include <fmt/core.h>

#include <algorithm>
#include <boost/json.hpp>
#include <fstream>
#include <map>
#include <set>

#include "rag/rerank.h"

namespace tessera::bench {
namespace {

namespace json = boost::json;
using Folder = std::filesystem::path;

constexpr size_t kCandidates = 50;

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

}  // namespace

std::vector<Source> all_sources(const Folder& sets, const Folder& squad) {
  std::vector<Source> sources;
  for (const char* name : {"headings", "headings_typos", "faq", "sentences", "manpages", "names", "gloss", "german",
                           "french", "code", "idents", "squad_typos", "squad_keywords"}) {
    sources.push_back({name, sets / name});
  }
  sources.push_back({"squad even", squad, Half::even});
  sources.push_back({"squad odd", squad, Half::odd});
  return sources;
}

Set load(const std::shared_ptr<index::StaticEmbedder>& embedder, const Source& source, SetOptions options) {
  Set set{source.name, std::make_unique<Corpus>(embedder, CorpusOptions{.stemming = options.stemming}), {}};
  std::map<std::string, size_t> documents;
  std::vector<Folder> folders = source.others;
  folders.insert(folders.begin(), source.folder);
  std::vector<std::pair<std::string, size_t>> questions;
  for (const Folder& folder : folders) {
    documents.clear();
    for (const json::object& row : read_lines(folder / "paragraphs.jsonl")) {
      documents[text_of(row, "id")] = set.corpus->add(text_of(row, "title"), text_of(row, "text"));
    }
    for (const json::object& row : read_lines(folder / "questions.jsonl")) {
      questions.emplace_back(text_of(row, "question"), documents.at(text_of(row, "paragraph_id")));
    }
  }
  size_t number = 0;
  for (const auto& [question, right] : questions) {
    const bool odd = number++ % 2 == 1;
    if (source.half == (odd ? Half::even : Half::odd)) continue;
    Found found = set.corpus->search(question, options.stop_words ? question : without_stop_words(question));
    Asked asked{question, std::move(found.lexical), std::move(found.dense), {}, {}, right};
    asked.fused = rag::fuse({asked.lexical, asked.dense}, {});
    std::vector<std::string> texts;
    for (size_t i = 0; i < std::min(kCandidates, asked.fused.size()); ++i) {
      texts.push_back(rag::read_for_ranking(set.corpus->passage(static_cast<size_t>(asked.fused[i].chunk_key - 1))));
    }
    const std::vector<std::string_view> views(texts.begin(), texts.end());
    asked.matches = embedder->token_matcher()->match(question, views);
    set.asked.push_back(std::move(asked));
  }
  return set;
}

Source everything(const Folder& sets, const Folder& squad) {
  Source all{"everything", sets / "headings", Half::all, {squad}};
  for (const char* name : {"manpages", "gloss", "german", "french", "code"}) all.others.push_back(sets / name);
  return all;
}

Measures measure_depth(const Set& set, const core::TokenMatcher& matcher, Depth depth) {
  MeasureMeans means;
  std::map<int64_t, core::MatchTokens> read;
  for (const Asked& asked : set.asked) {
    const auto first = [&](const std::vector<core::IndexHit>& hits) {
      return std::span(hits).first(std::min(depth.candidates, hits.size()));
    };
    rag::FusionOptions fusion;
    fusion.floor_rank = depth.candidates;
    std::vector<rag::Ranked> fused = rag::fuse({first(asked.lexical), first(asked.dense)}, fusion);
    std::vector<const core::MatchTokens*> texts;
    for (size_t i = 0; i < std::min(depth.reranked, fused.size()); ++i) {
      const auto [at, added] = read.try_emplace(fused[i].chunk_key);
      if (added) {
        const auto chunk = static_cast<size_t>(fused[i].chunk_key - 1);
        at->second = matcher.read(rag::read_for_ranking(set.corpus->passage(chunk)));
      }
      texts.push_back(&at->second);
    }
    const auto matches = matcher.match(asked.question, std::span<const core::MatchTokens* const>(texts));
    means.add(measure_chunks(set, rag::rerank(std::move(fused), matches, {}), asked.right));
  }
  return means.mean();
}

Measures measure_chunks(const Set& set, const std::vector<rag::Ranked>& ranked, size_t right) {
  constexpr size_t kDepth = 10;
  std::vector<size_t> documents;
  for (const rag::Ranked& each : ranked) {
    const size_t document = set.corpus->document_of(static_cast<size_t>(each.chunk_key - 1));
    if (std::ranges::find(documents, document) == documents.end()) documents.push_back(document);
    if (documents.size() == kDepth) break;
  }
  return measure(documents, std::span(&right, 1));
}

}  // namespace tessera::bench
