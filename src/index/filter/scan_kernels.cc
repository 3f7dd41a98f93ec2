#include "index/filter/scan_kernels.h"

#include <array>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace tessera::index {
namespace {

namespace portable {

template <class Code>
void within(const Code* codes, size_t words, Code first, Code last, uint64_t* out) {
  const auto width = static_cast<Code>(last - first);
  for (size_t word = 0; word < words; ++word) {
    uint64_t bits = 0;
    for (unsigned i = 0; i < 64; ++i) {
      bits |= uint64_t{static_cast<Code>(codes[word * 64 + i] - first) <= width} << i;
    }
    out[word] |= bits;
  }
}

void among8(const uint8_t* codes, size_t words, const ByteSet& set, uint64_t* out) {
  for (size_t word = 0; word < words; ++word) {
    uint64_t bits = 0;
    for (unsigned i = 0; i < 64; ++i) {
      const uint8_t code = codes[word * 64 + i];
      const uint8_t row = (code < 128 ? set.below : set.above)[code % 16];
      bits |= uint64_t{(row >> ((code / 16) % 8)) & 1U} << i;
    }
    out[word] |= bits;
  }
}

void between(const int64_t* numbers, size_t words, NumberRange range, const uint64_t* among, uint64_t* out) {
  for (size_t word = 0; word < words; ++word) {
    uint64_t bits = 0;
    for (unsigned i = 0; i < 64; ++i) {
      const int64_t number = numbers[word * 64 + i];
      bits |= uint64_t{number >= range.first && number <= range.last} << i;
    }
    out[word] |= bits & among[word];
  }
}

constexpr ScanKernels kKernels = {"portable", within<uint8_t>, within<uint16_t>, within<uint32_t>, among8, between};

}  // namespace portable

#if defined(__x86_64__)

alignas(16) constexpr std::array<uint8_t, 16> kBitOf = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};

__m128i load16(const std::array<uint8_t, 16>& bytes) {
  return _mm_load_si128(reinterpret_cast<const __m128i*>(bytes.data()));
}

namespace avx2 {

#define TESSERA_TARGET __attribute__((target("avx2")))

TESSERA_TARGET uint64_t byte_mask(__m256i low, __m256i high) {
  return static_cast<uint32_t>(_mm256_movemask_epi8(low)) | uint64_t{static_cast<uint32_t>(_mm256_movemask_epi8(high))}
                                                                << 32;
}

TESSERA_TARGET void within8(const uint8_t* codes, size_t words, uint8_t first, uint8_t last, uint64_t* out) {
  const __m256i base = _mm256_set1_epi8(static_cast<char>(first));
  const __m256i width = _mm256_set1_epi8(static_cast<char>(last - first));
  for (size_t word = 0; word < words; ++word) {
    const auto* const from = reinterpret_cast<const __m256i*>(codes + word * 64);
    const __m256i a = _mm256_sub_epi8(_mm256_load_si256(from), base);
    const __m256i b = _mm256_sub_epi8(_mm256_load_si256(from + 1), base);
    out[word] |=
        byte_mask(_mm256_cmpeq_epi8(_mm256_min_epu8(a, width), a), _mm256_cmpeq_epi8(_mm256_min_epu8(b, width), b));
  }
}

TESSERA_TARGET void within16(const uint16_t* codes, size_t words, uint16_t first, uint16_t last, uint64_t* out) {
  const __m256i base = _mm256_set1_epi16(static_cast<int16_t>(first));
  const __m256i width = _mm256_set1_epi16(static_cast<int16_t>(last - first));
  for (size_t word = 0; word < words; ++word) {
    const auto* const from = reinterpret_cast<const __m256i*>(codes + word * 64);
    std::array<__m256i, 4> hit;
    for (size_t i = 0; i < 4; ++i) {
      const __m256i x = _mm256_sub_epi16(_mm256_load_si256(from + i), base);
      hit[i] = _mm256_cmpeq_epi16(_mm256_min_epu16(x, width), x);
    }
    // Packing interleaves halves of 128 bits; the permutation puts them in order again.
    const __m256i low = _mm256_permute4x64_epi64(_mm256_packs_epi16(hit[0], hit[1]), 0xD8);
    const __m256i high = _mm256_permute4x64_epi64(_mm256_packs_epi16(hit[2], hit[3]), 0xD8);
    out[word] |= byte_mask(low, high);
  }
}

TESSERA_TARGET void within32(const uint32_t* codes, size_t words, uint32_t first, uint32_t last, uint64_t* out) {
  const __m256i base = _mm256_set1_epi32(static_cast<int>(first));
  const __m256i width = _mm256_set1_epi32(static_cast<int>(last - first));
  for (size_t word = 0; word < words; ++word) {
    const auto* const from = reinterpret_cast<const __m256i*>(codes + word * 64);
    uint64_t bits = 0;
    for (unsigned i = 0; i < 8; ++i) {
      const __m256i x = _mm256_sub_epi32(_mm256_load_si256(from + i), base);
      const __m256i hit = _mm256_cmpeq_epi32(_mm256_min_epu32(x, width), x);
      bits |= uint64_t{static_cast<uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(hit)))} << (8 * i);
    }
    out[word] |= bits;
  }
}

TESSERA_TARGET void among8(const uint8_t* codes, size_t words, const ByteSet& set, uint64_t* out) {
  const __m256i low = _mm256_broadcastsi128_si256(load16(set.below));
  const __m256i high = _mm256_broadcastsi128_si256(load16(set.above));
  const __m256i bit_of = _mm256_broadcastsi128_si256(load16(kBitOf));
  const __m256i pick = _mm256_set1_epi8(static_cast<char>(0x8F));
  const __m256i top = _mm256_set1_epi8(static_cast<char>(0x80));
  const __m256i seven = _mm256_set1_epi8(7);
  for (size_t word = 0; word < words; ++word) {
    std::array<__m256i, 2> hit;
    for (size_t i = 0; i < 2; ++i) {
      const __m256i x = _mm256_load_si256(reinterpret_cast<const __m256i*>(codes + word * 64) + i);
      // A shuffle gives 0 where the index has its top bit set.
      const __m256i row = _mm256_or_si256(_mm256_shuffle_epi8(low, _mm256_and_si256(x, pick)),
                                          _mm256_shuffle_epi8(high, _mm256_and_si256(_mm256_xor_si256(x, top), pick)));
      const __m256i bit = _mm256_shuffle_epi8(bit_of, _mm256_and_si256(_mm256_srli_epi16(x, 4), seven));
      hit[i] = _mm256_cmpeq_epi8(_mm256_and_si256(row, bit), bit);
    }
    out[word] |= byte_mask(hit[0], hit[1]);
  }
}

TESSERA_TARGET void between(const int64_t* numbers, size_t words, NumberRange range, const uint64_t* among,
                            uint64_t* out) {
  const __m256i low = _mm256_set1_epi64x(range.first);
  const __m256i high = _mm256_set1_epi64x(range.last);
  for (size_t word = 0; word < words; ++word) {
    if (among[word] == 0) continue;
    const auto* const from = reinterpret_cast<const __m256i*>(numbers + word * 64);
    uint64_t misses = 0;
    for (unsigned i = 0; i < 16; ++i) {
      const __m256i x = _mm256_load_si256(from + i);
      const __m256i miss = _mm256_or_si256(_mm256_cmpgt_epi64(low, x), _mm256_cmpgt_epi64(x, high));
      misses |= uint64_t{static_cast<uint32_t>(_mm256_movemask_pd(_mm256_castsi256_pd(miss)))} << (4 * i);
    }
    out[word] |= ~misses & among[word];
  }
}

#undef TESSERA_TARGET

constexpr ScanKernels kKernels = {"avx2", within8, within16, within32, among8, between};

}  // namespace avx2

namespace avx512 {

#define TESSERA_TARGET __attribute__((target("avx512f,avx512bw,avx512vl")))

TESSERA_TARGET void within8(const uint8_t* codes, size_t words, uint8_t first, uint8_t last, uint64_t* out) {
  const __m512i base = _mm512_set1_epi8(static_cast<char>(first));
  const __m512i width = _mm512_set1_epi8(static_cast<char>(last - first));
  for (size_t word = 0; word < words; ++word) {
    const __m512i x = _mm512_sub_epi8(_mm512_load_si512(codes + word * 64), base);
    out[word] |= _mm512_cmple_epu8_mask(x, width);
  }
}

TESSERA_TARGET void within16(const uint16_t* codes, size_t words, uint16_t first, uint16_t last, uint64_t* out) {
  const __m512i base = _mm512_set1_epi16(static_cast<int16_t>(first));
  const __m512i width = _mm512_set1_epi16(static_cast<int16_t>(last - first));
  for (size_t word = 0; word < words; ++word) {
    const __m512i a = _mm512_sub_epi16(_mm512_load_si512(codes + word * 64), base);
    const __m512i b = _mm512_sub_epi16(_mm512_load_si512(codes + word * 64 + 32), base);
    out[word] |= uint64_t{_mm512_cmple_epu16_mask(a, width)} | uint64_t{_mm512_cmple_epu16_mask(b, width)} << 32;
  }
}

TESSERA_TARGET void within32(const uint32_t* codes, size_t words, uint32_t first, uint32_t last, uint64_t* out) {
  const __m512i base = _mm512_set1_epi32(static_cast<int>(first));
  const __m512i width = _mm512_set1_epi32(static_cast<int>(last - first));
  for (size_t word = 0; word < words; ++word) {
    uint64_t bits = 0;
    for (unsigned i = 0; i < 4; ++i) {
      const __m512i x = _mm512_sub_epi32(_mm512_load_si512(codes + word * 64 + i * 16), base);
      bits |= uint64_t{_mm512_cmple_epu32_mask(x, width)} << (16 * i);
    }
    out[word] |= bits;
  }
}

TESSERA_TARGET void among8(const uint8_t* codes, size_t words, const ByteSet& set, uint64_t* out) {
  const __m512i low = _mm512_broadcast_i32x4(load16(set.below));
  const __m512i high = _mm512_broadcast_i32x4(load16(set.above));
  const __m512i bit_of = _mm512_broadcast_i32x4(load16(kBitOf));
  const __m512i pick = _mm512_set1_epi8(static_cast<char>(0x8F));
  const __m512i top = _mm512_set1_epi8(static_cast<char>(0x80));
  const __m512i seven = _mm512_set1_epi8(7);
  for (size_t word = 0; word < words; ++word) {
    const __m512i x = _mm512_load_si512(codes + word * 64);
    const __m512i row = _mm512_or_si512(_mm512_shuffle_epi8(low, _mm512_and_si512(x, pick)),
                                        _mm512_shuffle_epi8(high, _mm512_and_si512(_mm512_xor_si512(x, top), pick)));
    const __m512i bit = _mm512_shuffle_epi8(bit_of, _mm512_and_si512(_mm512_srli_epi16(x, 4), seven));
    out[word] |= _mm512_test_epi8_mask(row, bit);
  }
}

TESSERA_TARGET void between(const int64_t* numbers, size_t words, NumberRange range, const uint64_t* among,
                            uint64_t* out) {
  const __m512i low = _mm512_set1_epi64(range.first);
  const __m512i high = _mm512_set1_epi64(range.last);
  for (size_t word = 0; word < words; ++word) {
    if (among[word] == 0) continue;
    uint64_t bits = 0;
    for (unsigned i = 0; i < 8; ++i) {
      const __m512i x = _mm512_load_si512(numbers + word * 64 + i * 8);
      bits |= uint64_t{_mm512_mask_cmple_epi64_mask(_mm512_cmple_epi64_mask(low, x), x, high)} << (8 * i);
    }
    out[word] |= bits & among[word];
  }
}

#undef TESSERA_TARGET

constexpr ScanKernels kKernels = {"avx512", within8, within16, within32, among8, between};

}  // namespace avx512

#endif

}  // namespace

size_t scan_kernel_count() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") == 0) return 1;
  return __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512vl") != 0 ? 3 : 2;
#else
  return 1;
#endif
}

const ScanKernels& scan_kernels(size_t index) {
#if defined(__x86_64__)
  if (index == 2) return avx512::kKernels;
  if (index == 1) return avx2::kKernels;
#endif
  static_cast<void>(index);
  return portable::kKernels;
}

const ScanKernels& best_scan_kernels() {
  static const ScanKernels& best = scan_kernels(scan_kernel_count() - 1);
  return best;
}

}  // namespace tessera::index
