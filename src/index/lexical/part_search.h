#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "index/lexical/bm25.h"
#include "index/lexical/list_cursor.h"
#include "index/lexical/query_plan.h"
#include "index/rows.h"
#include "index/top_rows.h"

namespace tessera::index {

/// Searches parts one after the other into one list of best rows, whose lowest score prunes all that follows. A part is
/// read in windows of rows. In each, the terms are divided by what they can add at most (MAXSCORE; Turtle and Flood
/// 1995, with block maxima as in Ding and Suel 2011): rows of the leading terms are collected and added up, the others
/// only looked up in rows that still have a chance. Where few rows are selected or a clause requires rare terms, those
/// rows are the candidates instead. Every row adds its terms in the order of the plan, so that what is passed over
/// never changes a sum. One search, one thread.
class PartSearch {
 public:
  PartSearch(const QueryPlan& plan, const RowSelection& selection, double average_length, Pruning pruning,
             TopRows& best);

  void run(const Part& part, std::span<const uint32_t> numbers);

 private:
  static constexpr Row kWindowRows = 4096;
  static constexpr size_t kWords = kWindowRows / 64;
  struct Candidate {
    Row row = 0;
    float sum = 0;
    uint64_t groups = 0;  ///< required groups of several terms that the row has
  };

  bool open(const Part& part, std::span<const uint32_t> numbers);
  bool open_required(std::span<const uint32_t> numbers);
  Row next_row(Row from);
  size_t bound_window(Row from, Row end);
  void load_selection(Row from, Row end);
  void search_window(Row from, Row end);
  void collect_scored(Row from, Row end, size_t essential);
  void collect_marked(Row from);
  void add_terms(size_t first);
  void exclude();
  void offer();
  [[nodiscard]] bool has_phrase(Row row, std::span<const uint32_t> codes);

  const QueryPlan& plan_;
  const RowSelection& selection_;
  const double average_length_;
  const Pruning pruning_;
  TopRows& best_;
  const LengthNorm norm_;
  const double slack_;  // bounds and sums are rounded in different orders
  // Of the part in hand.
  const Part* part_ = nullptr;
  std::vector<ListCursor> cursors_;  // of terms with a weight, in their order
  std::vector<uint32_t> places_;     // term of the plan -> cursor
  std::vector<uint8_t> must_;        // by cursor: rows without it are out
  std::vector<uint64_t> groups_;     // by cursor
  uint64_t all_groups_ = 0;
  std::vector<ListCursor> drivers_;  // rows without any of these are out
  std::vector<ListCursor> excluded_;
  std::vector<std::vector<uint32_t>> phrases_;  // as codes of sequences
  std::vector<std::vector<uint32_t>> excluded_phrases_;
  std::vector<double> rest_;
  // Of the window in hand.
  std::vector<Candidate> candidates_;
  std::vector<uint32_t> codes_;
  alignas(64) std::array<uint64_t, kWords> selected_{};
  uint32_t selected_count_ = 0;
  alignas(64) std::array<float, kWindowRows> sums_{};
};

}  // namespace tessera::index
