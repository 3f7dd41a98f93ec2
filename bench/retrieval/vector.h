#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

/// hnswlib behind a plain door (vector.hnswlib.cc).
class Peer {
 public:
  Peer(size_t dimensions, size_t rows, size_t m, size_t ef_construction);
  ~Peer();
  void add(uint32_t row, const float* vector);
  void search(const float* query, size_t k, size_t ef, std::vector<uint32_t>& out);

 private:
  struct State;
  std::unique_ptr<State> state_;
};
