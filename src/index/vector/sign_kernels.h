#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "index/vector/sign_codes.h"

namespace tessera::index {

/// The inner loops of a scan of signs for one kind of processor. All kinds give the same numbers.
struct SignKernels {
  std::string_view name;
  /// out[r] = (sum over the planes j of 2^j * the bits in which row r and plane j differ) >> shift, for `count` rows of
  /// query.words words one after the other.
  void (*distances)(const uint64_t* rows, size_t count, const SignQuery& query, uint16_t* out);
  /// Bit i of words[w]: values[64 w + i] <= most. `values` has 64 for each word.
  void (*at_most)(const uint16_t* values, size_t words, uint16_t most, uint64_t* out);
};

/// The best kernels this processor runs.
const SignKernels& best_sign_kernels();

/// Those it runs, slowest (portable) first; for tests and benchmarks.
size_t sign_kernel_count();
const SignKernels& sign_kernels(size_t index);

}  // namespace tessera::index
