// The peer of vector.cc, in a file of its own because it is compiled with the flags its authors advise.
#include "vector.h"

#include <hnswlib/hnswlib.h>

struct Peer::State {
  State(size_t dimensions, size_t rows, size_t m, size_t ef_construction)
      : space(dimensions), graph(&space, rows, m, ef_construction, 1) {}
  hnswlib::InnerProductSpace space;
  hnswlib::HierarchicalNSW<float> graph;
};

Peer::Peer(size_t dimensions, size_t rows, size_t m, size_t ef_construction)
    : state_(std::make_unique<State>(dimensions, rows, m, ef_construction)) {}

Peer::~Peer() = default;

void Peer::add(uint32_t row, const float* vector) {
  state_->graph.addPoint(vector, row);
}

void Peer::search(const float* query, size_t k, size_t ef, std::vector<uint32_t>& out) {
  state_->graph.setEf(ef);
  auto found = state_->graph.searchKnn(query, k);
  out.clear();
  for (; !found.empty(); found.pop()) out.push_back(static_cast<uint32_t>(found.top().second));
}
