#include "index/embedding/accumulate.h"

#include <cstring>

namespace tessera::index {
namespace {

// Vector extensions of clang and gcc: 16 lanes become one AVX-512, two AVX2 or four SSE registers. 64 dimensions at a
// time keep the sums in registers while the rows stream past.
using Bytes = int8_t __attribute__((vector_size(16)));
using Floats = float __attribute__((vector_size(64)));
constexpr size_t kLanes = 16;
constexpr size_t kBlock = 4 * kLanes;

/// By reference: a vector wider than the base instruction set has no stable way to be returned.
[[gnu::always_inline]] inline void add_scaled(Floats& sum, const int8_t* from, float scale) {
  Bytes bytes;
  std::memcpy(&bytes, from, sizeof bytes);
  sum += __builtin_convertvector(bytes, Floats) * scale;
}

[[gnu::always_inline]] inline void accumulate_block(const QuantisedRows& table, std::span<const uint16_t> rows,
                                                    float* sum) {
  for (size_t first = 0; first < table.dimensions; first += kBlock) {
    Floats a, b, c, d;
    std::memcpy(&a, sum + first, sizeof a);
    std::memcpy(&b, sum + first + kLanes, sizeof b);
    std::memcpy(&c, sum + first + 2 * kLanes, sizeof c);
    std::memcpy(&d, sum + first + 3 * kLanes, sizeof d);
    for (const uint16_t row : rows) {
      const int8_t* from = table.values + row * table.dimensions + first;
      const float scale = table.scales[row];
      add_scaled(a, from, scale);
      add_scaled(b, from + kLanes, scale);
      add_scaled(c, from + 2 * kLanes, scale);
      add_scaled(d, from + 3 * kLanes, scale);
    }
    std::memcpy(sum + first, &a, sizeof a);
    std::memcpy(sum + first + kLanes, &b, sizeof b);
    std::memcpy(sum + first + 2 * kLanes, &c, sizeof c);
    std::memcpy(sum + first + 3 * kLanes, &d, sizeof d);
  }
}

using Function = void (*)(const QuantisedRows&, std::span<const uint16_t>, float*);

void accumulate_plain(const QuantisedRows& table, std::span<const uint16_t> rows, float* sum) {
  accumulate_block(table, rows, sum);
}

#if defined(__x86_64__)
[[gnu::target("avx2,fma")]] void accumulate_avx2(const QuantisedRows& table, std::span<const uint16_t> rows,
                                                 float* sum) {
  accumulate_block(table, rows, sum);
}

[[gnu::target("avx512f,avx512bw,avx512vl,fma")]] void accumulate_avx512(const QuantisedRows& table,
                                                                        std::span<const uint16_t> rows, float* sum) {
  accumulate_block(table, rows, sum);
}

Function choose() {
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
    return accumulate_avx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return accumulate_avx2;
  return accumulate_plain;
}
#else
Function choose() {
  return accumulate_plain;
}
#endif

}  // namespace

void accumulate(const QuantisedRows& table, std::span<const uint16_t> rows, float* sum) {
  static const Function chosen = choose();
  chosen(table, rows, sum);
}

}  // namespace tessera::index
