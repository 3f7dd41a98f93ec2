#include <algorithm>
#include <cstring>

#include "index/vector/vector_state.h"

namespace tessera::index {
namespace {

constexpr size_t kJobRows = 4096;       // inserted at most, so that save and compaction need not wait long
constexpr size_t kPendingLeast = 256;   // scanning fewer costs a search microseconds
constexpr size_t kSweepSteps = 64;      // rows swept between two looks at the stop flag
constexpr size_t kSweepRows = 1 << 18;  // swept at most in a job
constexpr size_t kSamples = 100;        // for measuring recall
constexpr size_t kSamplesLeast = 50;
constexpr double kGrowth = 1.2;  // recall is measured again when the graph grew so much

/// Works on what it remembers; the index may get more rows meanwhile, none of which it touches.
class GraphJob final : public VectorIndex::Job {
 public:
  GraphJob(std::shared_ptr<const VectorPlanes> planes, std::shared_ptr<GraphIndex> graph, const DotKernels& kernels,
           std::vector<uint64_t> removed, uint64_t told, Row rows)
      : planes_(std::move(planes)),
        graph_(std::move(graph)),
        kernels_(kernels),
        removed_(std::move(removed)),
        told_(told),
        rows_(rows) {}

  void want_measurement() { measure_ = true; }
  [[nodiscard]] const RecallTable& recall() const { return recall_; }
  [[nodiscard]] uint64_t told() const { return told_; }
  [[nodiscard]] const GraphIndex* graph() const { return graph_.get(); }

  void run(const std::atomic<bool>& stop) override {
    graph_->retire(removed_);
    if (measure_) measure(stop);
    const Row end = static_cast<Row>(std::min<size_t>(rows_, graph_->rows() + kJobRows));
    while (graph_->rows() < end && !stop) graph_->insert_next(removed_);
    for (size_t swept = 0; swept < kSweepRows && !stop; swept += kSweepSteps) {
      if (!graph_->sweep(kSweepSteps, false)) break;
    }
  }

 private:
  /// Rows that are not in the graph yet are to it what queries are.
  void measure(const std::atomic<bool>& stop) {
    std::vector<Row> pending;
    for (Row row = graph_->rows(); row < rows_; ++row) {
      if (planes_->has(row) && ((removed_[row / 64] >> (row % 64)) & 1) == 0) pending.push_back(row);
    }
    if (pending.size() < kSamplesLeast) return;
    std::vector<Row> samples;
    const size_t count = std::min(kSamples, pending.size());
    for (size_t i = 0; i < count; ++i) samples.push_back(pending[i * pending.size() / count]);
    std::vector<uint64_t> bits(removed_.size());
    for (size_t word = 0; word < bits.size(); ++word) bits[word] = ~removed_[word];
    GraphQuery scope;
    scope.rows = graph_->rows();
    scope.visible = rows_;
    scope.bits = bits.data();
    recall_ = RecallTable::measure({*graph_, *planes_, kernels_, scope}, samples, stop);
  }

  std::shared_ptr<const VectorPlanes> planes_;
  std::shared_ptr<GraphIndex> graph_;
  const DotKernels& kernels_;
  std::vector<uint64_t> removed_;
  uint64_t told_;
  Row rows_;
  bool measure_ = false;
  RecallTable recall_;
};

}  // namespace

std::unique_ptr<VectorIndex::Job> VectorIndex::plan() {
  State& state = *state_;
  if (state.planes == nullptr) return nullptr;
  const Row in_graph = state.graph->rows();
  if (in_graph == 0 && state.vectors < state.options.graph_rows) return nullptr;
  const bool grow = state.rows - in_graph >= kPendingLeast;
  const bool shrink = state.graph->wants_sweep() || state.removed_told >= kPendingLeast;
  if (!grow && !shrink) return nullptr;
  auto job = std::make_unique<GraphJob>(state.planes, state.graph, *state.kernels, state.removed, state.removed_told,
                                        state.rows);
  const auto measured = static_cast<double>(state.recall.rows());
  if (in_graph > 0 && static_cast<double>(in_graph) >= measured * kGrowth) job->want_measurement();
  return job;
}

void VectorIndex::install(std::unique_ptr<Job> job) {
  State& state = *state_;
  const auto* done = static_cast<const GraphJob*>(job.get());
  if (done == nullptr || done->graph() != state.graph.get()) return;  // the index began anew meanwhile
  state.removed_told -= done->told();
  if (done->recall().rows() > 0) state.recall = done->recall();
}

}  // namespace tessera::index
