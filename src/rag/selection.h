#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/documents.h"
#include "core/retriever.h"
#include "rag/duplicates.h"
#include "rag/fusion.h"

namespace tessera::rag {

/// What a selection keeps to. `per_document` 0: any number.
struct SelectionOptions {
  size_t top_k = 5;
  core::Duplicates duplicates = core::Duplicates::keep;
  size_t per_document = 0;
  size_t neighbours = 0;
};

/// A passage and the chunks around it, all of one document and under the same headings. `best` is the hit that came
/// first; `parts` by ordinal, `best` among them, may have holes until the neighbours are loaded.
struct SelectedPassage {
  core::Passage best;
  int64_t first = 0;  ///< ordinals of the outermost hits
  int64_t last = 0;
  std::map<int64_t, core::Passage> parts;
};

/// Chooses passages of a ranking, best first, until there are top_k: leaves out duplicates and what is over a
/// document's share; takes hits that lie within `neighbours` chunks of a better one, under the same headings, into that
/// one's passage. A value; one search; one thread.
class Selection {
 public:
  explicit Selection(const SelectionOptions& options) : options_(options), duplicates_(options.duplicates) {}

  [[nodiscard]] size_t missing() const { return options_.top_k - selected_.size(); }
  /// Whether a chunk of this document may still be chosen; asked before its text is loaded.
  [[nodiscard]] bool wants(int64_t document_key) const;
  /// The next best.
  void offer(core::Passage passage);

  /// Keys of chunks around the chosen ones that `add_neighbours` asks for. A guess: a document's chunks have keys in
  /// their order when nothing came between.
  [[nodiscard]] std::vector<int64_t> neighbour_keys() const;
  /// Adopts those that are what was guessed; others are passed over.
  void add_neighbours(std::vector<core::Passage> passages);

  /// The chosen, best first. Empties the selection.
  std::vector<SelectedPassage> take();

 private:
  bool join(core::Passage& passage);

  SelectionOptions options_;
  DuplicateFilter duplicates_;
  std::vector<SelectedPassage> selected_;
  std::unordered_map<int64_t, size_t> of_document_;  ///< passages chosen
};

/// The chunks' common text: what overlaps once, and white space between them from the document's `text` when that is
/// given. Without it only chunks around the best that touch are joined. Scores and ids stay those of the best.
core::Passage join_parts(SelectedPassage selected, const std::string* text);

/// Whether joining needs the document's text: some neighbours do not touch.
bool has_gaps(const SelectedPassage& selected);

}  // namespace tessera::rag
