#include "index/vector/dot_kernel_kinds.h"

namespace tessera::index {
namespace {

int32_t wide_portable(const uint8_t* codes, const QueryCodes& query) {
  int32_t sum = 0;
  for (size_t i = 0; i < query.stride; ++i) {
    sum += (static_cast<int32_t>(codes[i]) - kCodeOffset) * int32_t{query.values[i]};
  }
  return sum;
}

void scan_portable(const uint8_t* codes, size_t rows, const QueryCodes& query, int32_t* out) {
  for (size_t row = 0; row < rows; ++row) out[row] = wide_portable(codes + row * query.stride, query);
}

void join_portable(const SplitCodes& row, size_t stride, uint8_t* codes) {
  join_lanes(row, stride, codes);
}

void gather_portable(const SplitCodes* rows, size_t count, const QueryCodes& query, int32_t* out) {
  std::array<uint8_t, kStrideMost> codes;
  for (size_t i = 0; i < count; ++i) {
    join_lanes(rows[i], query.stride, codes.data());
    out[i] = wide_portable(codes.data(), query);
  }
}

int32_t dot_portable(const uint8_t* codes, const ByteQuery& query) {
  int32_t sum = 0;
  for (size_t j = 0; j < query.stride; ++j) sum += (static_cast<int32_t>(codes[j]) - kCodeOffset) * query.values[j];
  return sum;
}

void dots_portable(const SplitCodes* rows, size_t count, const ByteQuery& query, int32_t* out) {
  std::array<uint8_t, kStrideMost> codes;
  for (size_t i = 0; i < count; ++i) {
    join_lanes(rows[i], query.stride, codes.data());
    out[i] = dot_portable(codes.data(), query);
  }
}

void coarse_portable(const SplitCodes* rows, size_t count, const ByteQuery& query, int32_t* out) {
  for (size_t i = 0; i < count; ++i) {
    int32_t sum = 0;
    for (size_t j = 0; j < query.stride; j += 128) {
      for (size_t l = 0; l < 64; ++l) {
        const int byte = rows[i].upper[j / 2 + l];
        sum += (byte & 0x0F) * query.values[j + l] + (byte >> 4) * query.values[j + 64 + l];
      }
    }
    out[i] = coarse_dot(sum, query);
  }
}

int32_t flip_portable(const uint8_t* codes, size_t stride, int8_t* out) {
  return flip_lanes(codes, stride, out);
}

float exact_portable(const uint8_t* codes, const int8_t* low, const float* query, size_t stride) {
  return exact_lanes(codes, low, query, stride);
}

constexpr DotKernels kPortable{"portable",      scan_portable, gather_portable, dots_portable,
                               coarse_portable, join_portable, flip_portable,   exact_portable};

}  // namespace

const DotKernels& portable_dot_kernels() {
  return kPortable;
}

}  // namespace tessera::index
