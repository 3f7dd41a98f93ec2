// Retrieval quality per set and mode, and the comparison of fusions, as Markdown. Usage:
//   retrieval_eval SETS SQUAD          SETS as bench/quality/build_sets.py makes it; SQUAD holds SQuAD v1.1 dev
//   retrieval_eval SETS SQUAD learn    chooses the weights of re-ranking on SQuAD's even questions, and tells them
// Ends with 3 when hybrid search is below the better of its two engines in a measure of a set.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "rag/fusion.h"
#include "rag/rerank.h"
#include "sets.h"

namespace tessera::bench {
namespace {

enum class Engines { both, lexical, dense };

Measures evaluate(const Set& set, Engines engines, const rag::FusionOptions& options = {}) {
  MeasureMeans means;
  for (const Asked& asked : set.asked) {
    rag::FusionLists lists;
    if (engines != Engines::dense) lists.lexical = asked.lexical;
    if (engines != Engines::lexical) lists.dense = asked.dense;
    means.add(measure_chunks(set, rag::fuse(lists, options), asked.right));
  }
  return means.mean();
}

Measures evaluate_reranked(const Set& set, const rag::RerankWeights& weights = {}) {
  MeasureMeans means;
  for (const Asked& asked : set.asked) {
    means.add(measure_chunks(set, rag::rerank(asked.fused, asked.matches, weights), asked.right));
  }
  return means.mean();
}

void print_modes(const std::vector<Set>& sets) {
  fmt::print("## Modes\n\nWith English stems. fused: hybrid without re-ranking.\n\n");
  fmt::print("| set | questions | chunks | mode | R@1 | R@5 | R@10 | MRR@10 | nDCG@10 |\n");
  fmt::print("|---|---|---|---|---|---|---|---|---|\n");
  for (const Set& set : sets) {
    const auto print = [&](const char* name, const Measures& m) {
      fmt::print("| {} | {} | {} | {} | {:.3f} | {:.3f} | {:.3f} | {:.3f} | {:.3f} |\n", set.name, set.asked.size(),
                 set.corpus->chunks(), name, m.recall[0], m.recall[1], m.recall[2], m.reciprocal, m.ndcg);
    };
    print("lexical", evaluate(set, Engines::lexical));
    print("dense", evaluate(set, Engines::dense));
    print("fused", evaluate(set, Engines::both));
    print("**hybrid**", evaluate_reranked(set));
  }
}

/// Hybrid search as it is by default against the better of its two engines, measure by measure. Returns whether it is
/// nowhere below.
bool print_bar(const std::vector<Set>& sets) {
  fmt::print("\n## Bar\n\nHybrid less the better engine alone, in each measure.\n\n");
  fmt::print("| set | R@1 | R@5 | R@10 | MRR@10 | nDCG@10 | |\n|---|---|---|---|---|---|---|\n");
  bool met = true;
  for (const Set& set : sets) {
    const auto list = [](const Measures& m) {
      return std::array{m.recall[0], m.recall[1], m.recall[2], m.reciprocal, m.ndcg};
    };
    auto gains = list(evaluate_reranked(set));
    const auto words = list(evaluate(set, Engines::lexical));
    const auto meaning = list(evaluate(set, Engines::dense));
    for (size_t i = 0; i < gains.size(); ++i) gains[i] -= std::max(words[i], meaning[i]);
    const bool good = std::ranges::min(gains) >= 0;
    met = met && good;
    fmt::print("| {} | {:+.3f} | {} |\n", set.name, fmt::join(gains, " | "), good ? "met" : "**below**");
  }
  return met;
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
      worst.recall[1] = std::min(worst.recall[1], m.recall[1] - std::max(a.recall[1], b.recall[1]));
      worst.ndcg = std::min(worst.ndcg, m.ndcg - std::max(a.ndcg, b.ndcg));
      mean.recall[1] += m.recall[1] / static_cast<double>(sets.size());
      mean.ndcg += m.ndcg / static_cast<double>(sets.size());
      fmt::print(" | {:.3f} / {:.3f}", m.recall[1], m.ndcg);
    }
    fmt::print(" | {:+.3f} / {:+.3f} | {:.3f} / {:.3f} |\n", worst.recall[1], worst.ndcg, mean.recall[1], mean.ndcg);
  }
}

/// How many hits each engine gives, and how many of the fused are compared with the query.
void print_depths(const std::vector<Set>& sets, const core::TokenMatcher& matcher) {
  fmt::print(
      "\n## Depths\n\nR@5 / nDCG@10 of hybrid search by how many hits each engine is asked for and how many of the "
      "fused "
      "are compared with the query.\n\n| hits, compared");
  for (const Set& set : sets) fmt::print(" | {}", set.name);
  fmt::print(" | mean |\n|---");
  for (size_t i = 0; i < sets.size() + 1; ++i) fmt::print("|---");
  fmt::print("|\n");
  for (const Depth depth : {Depth{100, 50}, Depth{100, 30}, Depth{60, 50}, Depth{60, 30}, Depth{50, 30}, Depth{50, 20},
                            Depth{40, 30}, Depth{40, 20}, Depth{30, 20}}) {
    fmt::print("| {}, {}", depth.candidates, depth.reranked);
    Measures mean;
    for (const Set& set : sets) {
      const Measures m = measure_depth(set, matcher, depth);
      mean.recall[1] += m.recall[1] / static_cast<double>(sets.size());
      mean.ndcg += m.ndcg / static_cast<double>(sets.size());
      fmt::print(" | {:.3f} / {:.3f}", m.recall[1], m.ndcg);
    }
    fmt::print(" | {:.4f} / {:.4f} |\n", mean.recall[1], mean.ndcg);
  }
}

/// The smallest weights that come within 0.002 of the best nDCG@10 that any reach: beyond, only the tuning set gains.
void learn(const Set& tuning) {
  struct Tried {
    rag::RerankWeights weights;
    double ndcg;
  };
  std::vector<Tried> tried;
  for (int likeness = 0; likeness <= 15; ++likeness) {
    for (int near = 0; near <= 10; near += 2) {
      const rag::RerankWeights weights{likeness / 10.0, near / 10.0};
      tried.push_back({weights, evaluate_reranked(tuning, weights).ndcg});
    }
  }
  const double best = std::ranges::max(tried, {}, &Tried::ndcg).ndcg;
  std::erase_if(tried, [&](const Tried& each) { return each.ndcg < best - 0.002; });
  const auto size = [](const Tried& each) { return each.weights.likeness + each.weights.near; };
  const Tried chosen = std::ranges::min(tried, {}, size);
  fmt::print("Learnt: likeness {}, near {} (nDCG@10 {:.4f}, best {:.4f})\n\n", chosen.weights.likeness,
             chosen.weights.near, chosen.ndcg, best);
}

void print_words(const Set& plain, const Set& stemmed, const Set& stopped) {
  fmt::print("| {}", plain.name);
  for (const Set* set : {&plain, &stemmed, &stopped}) {
    for (const Measures& m :
         {evaluate(*set, Engines::lexical), evaluate(*set, Engines::both), evaluate_reranked(*set)}) {
      fmt::print(" | {:.3f} / {:.3f}", m.recall[1], m.ndcg);
    }
  }
  fmt::print(" |\n");
}

int run(const std::filesystem::path& folder, const std::filesystem::path& squad, bool learning) {
  auto made = index::StaticEmbedder::embedded();
  if (!made) return 1;
  const auto embedder = std::make_shared<index::StaticEmbedder>(*std::move(made));
  const std::vector<Source> sources = all_sources(folder, squad);
  if (learning) {
    learn(load(embedder, *std::ranges::find(sources, "squad even", &Source::name), {.stemming = true}));
    return 0;
  }
  std::vector<Set> sets;
  for (const Source& source : sources) sets.push_back(load(embedder, source, {.stemming = true}));
  print_modes(sets);
  const bool met = print_bar(sets);
  print_fusions(sets);
  sets.push_back(load(embedder, everything(folder, squad), {.stemming = true}));
  print_depths(sets, *embedder->token_matcher());
  fmt::print(
      "\n## Words\n\nR@5 / nDCG@10 with words as written, with English stems, and with stems but stop words kept from "
      "the lexical engine.\n\n| set");
  for (const char* words : {"as written", "stems", "no stop words"}) {
    for (const char* mode : {"lexical", "fused", "hybrid"}) fmt::print(" | {}, {}", mode, words);
  }
  fmt::print(" |\n|---|---|---|---|---|---|---|---|---|---|\n");
  for (size_t i = 0; i < sources.size(); ++i) {
    const Set plain = load(embedder, sources[i], {});
    const Set stopped = load(embedder, sources[i], {.stemming = true, .stop_words = false});
    print_words(plain, sets[i], stopped);
  }
  return met ? 0 : 3;
}

}  // namespace
}  // namespace tessera::bench

int main(int argc, char** argv) {
  if (argc == 3) return tessera::bench::run(argv[1], argv[2], false);
  if (argc == 4 && std::string_view(argv[3]) == "learn") return tessera::bench::run(argv[1], argv[2], true);
  fmt::print(stderr, "usage: retrieval_eval SETS SQUAD [learn]\n");
  return 2;
}
