#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/token_matcher.h"
#include "corpus.h"
#include "metrics.h"
#include "rag/fusion.h"

namespace tessera::bench {

/// The engines' lists for one question, kept to try fusions on; and what the first of the default fusion have of it.
struct Asked {
  std::string question;
  std::vector<core::IndexHit> lexical;
  std::vector<core::IndexHit> dense;
  std::vector<rag::Ranked> fused;
  std::vector<core::TokenMatch> matches;
  size_t right = 0;  ///< the document
};

/// Questions over passages, asked.
struct Set {
  std::string name;
  std::unique_ptr<Corpus> corpus;
  std::vector<Asked> asked;
};

/// Which questions of a set, by their numbers from 0.
enum class Half { all, even, odd };

struct SetOptions {
  bool stemming = false;
  bool stop_words = true;  ///< asked of the lexical engine
};

struct Source {
  std::string name;
  std::filesystem::path folder;
  Half half = Half::all;
  std::vector<std::filesystem::path> others = {};  ///< whose passages and questions are added
};

/// All sets: those of build_sets.py below `sets`, and the halves of SQuAD's questions, the odd one for report.
std::vector<Source> all_sources(const std::filesystem::path& sets, const std::filesystem::path& squad);

/// Of those, the ones that share no passages, all in one: what is found among many kinds of text.
Source everything(const std::filesystem::path& sets, const std::filesystem::path& squad);

/// What engines and re-ranking have of the work: hits asked of each engine, and how many of the fused are compared.
struct Depth {
  size_t candidates = 100;
  size_t reranked = 50;
};

/// Measures of a set's questions at another depth, no deeper than they were asked.
Measures measure_depth(const Set& set, const core::TokenMatcher& matcher, Depth depth);

/// Indexes a set and asks its questions. Ends the program when a file is missing.
Set load(const std::shared_ptr<index::StaticEmbedder>& embedder, const Source& source, SetOptions options);

/// Of a ranking of chunks; a document counts where its best chunk does.
Measures measure_chunks(const Set& set, const std::vector<rag::Ranked>& ranked, size_t right);

}  // namespace tessera::bench
