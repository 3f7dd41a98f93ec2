#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>

namespace tessera::bench {

/// Retrieval measures as trec_eval defines them, for queries with any number of right documents of equal worth:
/// recall_1, recall_5 and recall_10 (the share of the right ones among the first), recip_rank of the first ten
/// (trec_eval -M 10), and ndcg_cut_10 with the gain 1 / log2(rank + 1) over the best that ten places could hold.
struct Measures {
  std::array<double, 3> recall{};  ///< at 1, 5, 10
  double reciprocal = 0;
  double ndcg = 0;
};

/// Of one query. `ranking` is best first, each document once; an empty `right` measures 0.
Measures measure(std::span<const size_t> ranking, std::span<const size_t> right);

/// Means over queries.
class MeasureMeans {
 public:
  void add(const Measures& measures);
  [[nodiscard]] Measures mean() const;
  [[nodiscard]] size_t queries() const { return queries_; }

 private:
  Measures sums_;
  size_t queries_ = 0;
};

}  // namespace tessera::bench
