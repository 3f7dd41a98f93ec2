#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <queue>

#include "index/top_k.h"
#include "index/vector/vector_store.h"

namespace tessera::index {
namespace {

constexpr size_t kScanRows = 256;

/// A query as integers of up to 14 bits, fewer for very many dimensions so that no sum overflows 32 bits.
struct DenseQuery {
  std::vector<float> unit;  // padded
  std::vector<int16_t> values;
  std::vector<int8_t> high;
  std::vector<int8_t> low;
  QueryCodes codes;
  float scale = 0;
  float error = 0;  // length of unit minus its integers
};

void make_query(std::span<const float> query, size_t stride, DenseQuery& out) {
  double squares = 0;
  for (const float x : query) squares += double{x} * x;
  out.unit.assign(stride, 0);
  out.values.assign(stride, 0);
  out.high.assign(stride, 0);
  out.low.assign(stride, 0);
  float largest = 0;
  for (size_t i = 0; i < query.size(); ++i) {
    out.unit[i] = static_cast<float>(query[i] / std::sqrt(squares));
    largest = std::max(largest, std::fabs(out.unit[i]));
  }
  const double most = std::min(8000.0, 2147483647.0 / (128.0 * static_cast<double>(stride)));
  out.scale = static_cast<float>(largest / std::floor(most));
  double left_out = 0;
  int32_t sum = 0;
  for (size_t i = 0; i < query.size(); ++i) {
    const auto value = static_cast<int>(std::lround(out.unit[i] / out.scale));
    const int high = (value + 64) >> 7;
    out.values[i] = static_cast<int16_t>(value);
    out.high[i] = static_cast<int8_t>(high);
    out.low[i] = static_cast<int8_t>(value - high * 128);
    const double rest = double{out.unit[i]} - double{out.scale} * value;
    left_out += rest * rest;
    sum += value;
  }
  out.error = static_cast<float>(std::sqrt(left_out));
  out.codes = {out.values.data(), out.high.data(), out.low.data(), sum, stride};
}

struct Candidate {
  Row row = 0;
  float most = 0;  // no more than this can its cosine be
};

/// The scan of the codes: every accepted row whose cosine may be among the k best, with its upper bound.
class CodeScan {
 public:
  CodeScan(const DenseQuery& query, size_t k, RowFilter& filter, const DotKernels& kernels)
      : query_(query), k_(k), filter_(filter), kernels_(kernels) {}

  void block(const VectorBlock& block, Row first_row) {
    std::array<int32_t, kScanRows> dots;
    for (size_t from = 0; from < block.rows; from += kScanRows) {
      const size_t count = std::min(kScanRows, block.rows - from);
      kernels_.scan(block.codes.get() + from * query_.codes.stride, count, query_.codes, dots.data());
      const VectorHead* heads = block.heads.get() + from;
      for (size_t i = 0; i < count; ++i) {
        const float about = static_cast<float>(dots[i]) * heads[i].scale * query_.scale;
        const float error = query_.error + heads[i].error + kRounding;
        if (about + error < floor_ || heads[i].scale == 0) continue;
        const auto row = static_cast<Row>(first_row + from + i);
        if (filter_.accepts(row)) take({row, about + error}, about - error);
      }
    }
  }

  /// Highest bound first; what cannot be among the best any more is left out.
  std::vector<Candidate> candidates() {
    std::erase_if(candidates_, [this](const Candidate& c) { return c.most < floor_; });
    std::ranges::sort(candidates_, std::greater<>(), &Candidate::most);
    return std::move(candidates_);
  }

 private:
  static constexpr float kRounding = 2e-5F;  // of the float arithmetic here and in the exact product

  void take(Candidate candidate, float least) {
    candidates_.push_back(candidate);
    if (least_.size() < k_) {
      least_.push(least);
    } else if (least > least_.top()) {
      least_.pop();
      least_.push(least);
    }
    if (least_.size() == k_) floor_ = least_.top();
    if (candidates_.size() >= prune_at_) {
      std::erase_if(candidates_, [this](const Candidate& c) { return c.most < floor_; });
      prune_at_ = std::max<size_t>(4096, candidates_.size() * 2);
    }
  }

  const DenseQuery& query_;
  size_t k_;
  RowFilter& filter_;
  const DotKernels& kernels_;
  float floor_ = -std::numeric_limits<float>::infinity();  // k accepted rows have at least this cosine
  std::priority_queue<float, std::vector<float>, std::greater<>> least_;
  std::vector<Candidate> candidates_;
  size_t prune_at_ = 4096;
};

}  // namespace

std::vector<core::IndexHit> VectorStore::search(const RowTable& rows, std::span<const float> query, size_t k,
                                                RowFilter& filter, const DotKernels& kernels) const {
  k = std::min<size_t>(k, rows.live_rows);
  if (k == 0 || rows_ == 0) return {};
  DenseQuery prepared;
  make_query(query, stride(), prepared);
  CodeScan scan(prepared, k, filter, kernels);
  for (size_t b = 0; b < blocks_.size(); ++b) scan.block(blocks_[b], static_cast<Row>(b * kVectorBlockRows));
  TopK best(k);
  for (const Candidate& candidate : scan.candidates()) {
    if (candidate.most < best.floor()) break;
    const VectorBlock& block = blocks_[candidate.row / kVectorBlockRows];
    const size_t at = candidate.row % kVectorBlockRows;
    const float dot = kernels.exact(block.codes.get() + at * stride(), block.low.get() + at * stride(),
                                    prepared.unit.data(), stride());
    const float cosine = std::clamp(dot * block.heads.get()[at].scale / 256, -1.0F, 1.0F);
    best.offer({rows.chunk_keys[candidate.row], rows.slots[rows.documents[candidate.row]].key, cosine});
  }
  return best.take();
}

}  // namespace tessera::index
