#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tessera::index {

/// A set of codes of one byte, by their low halves: bit h of below[l] is that of code 16 h + l, and of above[l] that of
/// code 128 + 16 h + l.
struct ByteSet {
  alignas(16) std::array<uint8_t, 16> below{};
  alignas(16) std::array<uint8_t, 16> above{};
  void add(uint8_t code) { (code < 128 ? below : above)[code % 16] |= static_cast<uint8_t>(1U << ((code / 16) % 8)); }
};

/// Inclusive; empty when first > last.
struct NumberRange {
  int64_t first = 1;
  int64_t last = 0;
};

/// The inner loops of filters for one kind of processor: each looks at 64 documents for a word of `out` and sets the
/// bits of those that match (others stay). Inputs are aligned to 64 bytes.
struct ScanKernels {
  std::string_view name;
  /// first <= code <= last.
  void (*within8)(const uint8_t* codes, size_t words, uint8_t first, uint8_t last, uint64_t* out);
  void (*within16)(const uint16_t* codes, size_t words, uint16_t first, uint16_t last, uint64_t* out);
  void (*within32)(const uint32_t* codes, size_t words, uint32_t first, uint32_t last, uint64_t* out);
  /// The set has the code.
  void (*among8)(const uint8_t* codes, size_t words, const ByteSet& set, uint64_t* out);
  /// The number is in the range, where the document's bit in `among` is set.
  void (*between)(const int64_t* numbers, size_t words, NumberRange range, const uint64_t* among, uint64_t* out);
};

/// The best kernels this processor runs.
const ScanKernels& best_scan_kernels();

/// Those it runs, slowest (portable) first; for tests and benchmarks.
size_t scan_kernel_count();
const ScanKernels& scan_kernels(size_t index);

}  // namespace tessera::index
