#include "index/vector/sign_kernels.h"

#include <bit>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace tessera::index {
namespace {

[[gnu::always_inline]] inline uint16_t one_distance(const uint64_t* row, const SignQuery& query) {
  uint32_t sum = 0;
  for (size_t plane = 0; plane < 4; ++plane) {
    uint32_t bits = 0;
    for (size_t i = 0; i < query.words; ++i) {
      bits += static_cast<uint32_t>(std::popcount(row[i] ^ query.planes[plane * query.words + i]));
    }
    sum += bits << plane;
  }
  return static_cast<uint16_t>(sum >> query.shift);
}

void distances_portable(const uint64_t* rows, size_t count, const SignQuery& query, uint16_t* out) {
  for (size_t i = 0; i < count; ++i) out[i] = one_distance(rows + i * query.words, query);
}

void at_most_portable(const uint16_t* values, size_t words, uint16_t most, uint64_t* out) {
  for (size_t word = 0; word < words; ++word, values += 64) {
    uint64_t mask = 0;
    for (size_t i = 0; i < 64; ++i) mask |= static_cast<uint64_t>(values[i] <= most ? 1 : 0) << i;
    out[word] = mask;
  }
}

constexpr SignKernels kPortable{"portable", distances_portable, at_most_portable};

#if defined(__x86_64__)

[[gnu::target("popcnt")]] void distances_popcnt(const uint64_t* rows, size_t count, const SignQuery& query,
                                                uint16_t* out) {
  for (size_t i = 0; i < count; ++i) out[i] = one_distance(rows + i * query.words, query);
}

// Of the instructions every processor of this kind has.
void at_most_sse2(const uint16_t* values, size_t words, uint16_t most, uint64_t* out) {
  const __m128i limit = _mm_set1_epi16(static_cast<int16_t>(most));
  const __m128i zero = _mm_setzero_si128();
  for (size_t word = 0; word < words; ++word, values += 64) {
    uint64_t mask = 0;
    for (size_t i = 0; i < 64; i += 16) {
      const auto* from = reinterpret_cast<const __m128i*>(values + i);
      const __m128i first = _mm_cmpeq_epi16(_mm_subs_epu16(_mm_loadu_si128(from), limit), zero);
      const __m128i second = _mm_cmpeq_epi16(_mm_subs_epu16(_mm_loadu_si128(from + 1), limit), zero);
      mask |= static_cast<uint64_t>(static_cast<uint32_t>(_mm_movemask_epi8(_mm_packs_epi16(first, second)))) << i;
    }
    out[word] = mask;
  }
}

constexpr SignKernels kPopcnt{"popcnt", distances_popcnt, at_most_sse2};

#define TESSERA_VPOPCNT "avx512f,avx512bw,avx512vl,avx512vpopcntdq,popcnt"

struct Planes {
  __m512i of[4];
};

/// 8 sums of bits, weighted by plane.
[[gnu::target(TESSERA_VPOPCNT), gnu::always_inline]] inline __m512i differing(__m512i row, const Planes& planes) {
  __m512i sum = _mm512_popcnt_epi64(_mm512_xor_si512(row, planes.of[3]));
  for (int plane = 2; plane >= 0; --plane) {
    sum = _mm512_add_epi64(_mm512_add_epi64(sum, sum), _mm512_popcnt_epi64(_mm512_xor_si512(row, planes.of[plane])));
  }
  return sum;
}

/// Neighbouring lanes of each added up: those of a and b in turn.
[[gnu::target(TESSERA_VPOPCNT), gnu::always_inline]] inline __m512i add_pairs(__m512i a, __m512i b) {
  return _mm512_add_epi64(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
}

/// Neighbouring pairs of lanes of each added up: the two of a, then the two of b.
[[gnu::target(TESSERA_VPOPCNT), gnu::always_inline]] inline __m512i add_halves(__m512i a, __m512i b) {
  return _mm512_add_epi64(_mm512_shuffle_i64x2(a, b, 0x88), _mm512_shuffle_i64x2(a, b, 0xDD));
}

[[gnu::target(TESSERA_VPOPCNT), gnu::always_inline]] inline void store_eight(__m512i sums, unsigned shift,
                                                                             uint16_t* out) {
  const __m512i shifted = _mm512_srl_epi64(sums, _mm_cvtsi32_si128(static_cast<int>(shift)));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm512_cvtepi64_epi16(shifted));
}

/// Rows of 128 bits: four a register. Returns how many rows it did.
[[gnu::target(TESSERA_VPOPCNT)]] size_t distances_two_words(const uint64_t* rows, size_t count, const SignQuery& query,
                                                            uint16_t* out) {
  Planes planes;
  for (size_t j = 0; j < 4; ++j) {
    planes.of[j] =
        _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(query.planes + j * query.words)));
  }
  const __m512i order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
  size_t i = 0;
  for (; i + 8 <= count; i += 8, rows += 16) {
    const __m512i sums =
        add_pairs(differing(_mm512_loadu_si512(rows), planes), differing(_mm512_loadu_si512(rows + 8), planes));
    store_eight(_mm512_permutexvar_epi64(order, sums), query.shift, out + i);
  }
  return i;
}

/// Rows of 256 bits: two a register.
[[gnu::target(TESSERA_VPOPCNT)]] size_t distances_four_words(const uint64_t* rows, size_t count, const SignQuery& query,
                                                             uint16_t* out) {
  Planes planes;
  for (size_t j = 0; j < 4; ++j) {
    planes.of[j] =
        _mm512_broadcast_i64x4(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(query.planes + j * query.words)));
  }
  const __m512i order = _mm512_setr_epi64(0, 2, 1, 3, 4, 6, 5, 7);
  size_t i = 0;
  for (; i + 8 <= count; i += 8, rows += 32) {
    const __m512i first =
        add_pairs(differing(_mm512_loadu_si512(rows), planes), differing(_mm512_loadu_si512(rows + 8), planes));
    const __m512i second =
        add_pairs(differing(_mm512_loadu_si512(rows + 16), planes), differing(_mm512_loadu_si512(rows + 24), planes));
    store_eight(_mm512_permutexvar_epi64(order, add_halves(first, second)), query.shift, out + i);
  }
  return i;
}

/// Longer rows: eight side by side, in registers of 512 bits, the last of which may be part empty.
[[gnu::target(TESSERA_VPOPCNT)]] size_t distances_many_words(const uint64_t* rows, size_t count, const SignQuery& query,
                                                             uint16_t* out) {
  size_t i = 0;
  for (; i + 8 <= count; i += 8, rows += 8 * query.words) {
    __m512i sums[8];
    for (__m512i& sum : sums) sum = _mm512_setzero_si512();
    for (size_t at = 0; at < query.words; at += 8) {
      const size_t left = query.words - at;
      const auto lanes = static_cast<__mmask8>(left >= 8 ? 0xFF : (1U << left) - 1);
      Planes planes;
      for (size_t j = 0; j < 4; ++j) {
        planes.of[j] = _mm512_maskz_loadu_epi64(lanes, query.planes + j * query.words + at);
      }
      for (size_t row = 0; row < 8; ++row) {
        const __m512i bits = _mm512_maskz_loadu_epi64(lanes, rows + row * query.words + at);
        sums[row] = _mm512_add_epi64(sums[row], differing(bits, planes));
      }
    }
    const __m512i first = add_halves(add_pairs(sums[0], sums[1]), add_pairs(sums[2], sums[3]));
    const __m512i second = add_halves(add_pairs(sums[4], sums[5]), add_pairs(sums[6], sums[7]));
    store_eight(add_halves(first, second), query.shift, out + i);
  }
  return i;
}

[[gnu::target(TESSERA_VPOPCNT)]] void distances_vpopcnt(const uint64_t* rows, size_t count, const SignQuery& query,
                                                        uint16_t* out) {
  const size_t done = query.words == 2   ? distances_two_words(rows, count, query, out)
                      : query.words == 4 ? distances_four_words(rows, count, query, out)
                                         : distances_many_words(rows, count, query, out);
  for (size_t i = done; i < count; ++i) out[i] = one_distance(rows + i * query.words, query);
}

[[gnu::target(TESSERA_VPOPCNT)]] void at_most_avx512(const uint16_t* values, size_t words, uint16_t most,
                                                     uint64_t* out) {
  const __m512i limit = _mm512_set1_epi16(static_cast<int16_t>(most));
  for (size_t word = 0; word < words; ++word, values += 64) {
    const uint64_t first = _mm512_cmple_epu16_mask(_mm512_loadu_si512(values), limit);
    const uint64_t second = _mm512_cmple_epu16_mask(_mm512_loadu_si512(values + 32), limit);
    out[word] = first | (second << 32);
  }
}

constexpr SignKernels kVpopcnt{"avx512-vpopcntdq", distances_vpopcnt, at_most_avx512};

#endif

}  // namespace

size_t sign_kernel_count() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("popcnt") == 0) return 1;
  const bool wide = __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
                    __builtin_cpu_supports("avx512vl") != 0 && __builtin_cpu_supports("avx512vpopcntdq") != 0;
  return wide ? 3 : 2;
#else
  return 1;
#endif
}

const SignKernels& sign_kernels(size_t index) {
#if defined(__x86_64__)
  if (index == 1) return kPopcnt;
  if (index == 2) return kVpopcnt;
#endif
  static_cast<void>(index);
  return kPortable;
}

const SignKernels& best_sign_kernels() {
  return sign_kernels(sign_kernel_count() - 1);
}

}  // namespace tessera::index
