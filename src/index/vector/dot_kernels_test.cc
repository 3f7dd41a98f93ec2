#include "index/vector/dot_kernels.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "index/vector/vector_planes.h"

namespace tessera::index {
namespace {

TEST(DotKernels, AllKindsScanToTheSameIntegers) {
  std::mt19937_64 random(3);
  for (const size_t stride : {128, 256, 384, 640, 1536, 16384}) {
    const size_t rows = 5;
    std::vector<uint8_t> codes(rows * stride);
    std::vector<int16_t> values(stride);
    std::vector<int8_t> high(stride);
    std::vector<int8_t> low(stride);
    const int most = stride > 2000 ? 1000 : 8000;
    int32_t sum = 0;
    for (uint8_t& code : codes) code = static_cast<uint8_t>(1 + random() % 255);
    for (size_t i = 0; i < stride; ++i) {
      // The first and last are extremes in one direction, where sums could overflow.
      const int value = stride == 16384 ? most : static_cast<int>(random() % (2 * most + 1)) - most;
      values[i] = static_cast<int16_t>(value);
      high[i] = static_cast<int8_t>((value + 64) >> 7);
      low[i] = static_cast<int8_t>(value - high[i] * 128);
      sum += value;
      if (stride == 16384) codes[i] = 255;
    }
    const QueryCodes query{values.data(), high.data(), low.data(), sum, stride};
    for (size_t kind = 0; kind < dot_kernel_count(); ++kind) {
      std::vector<int32_t> out(rows);
      dot_kernels(kind).scan(codes.data(), rows, query, out.data());
      VectorPlanes planes(stride);
      planes.grow(rows);
      std::vector<SplitCodes> pointers;
      for (Row row = 0; row < rows; ++row) {
        planes.split(row, codes.data() + row * stride);
        pointers.push_back(planes.codes(row));
        std::vector<uint8_t> joined(stride);
        dot_kernels(kind).join(pointers.back(), stride, joined.data());
        EXPECT_TRUE(std::equal(joined.begin(), joined.end(), codes.data() + row * stride));
      }
      std::vector<int32_t> gathered(rows + 1, 77);
      dot_kernels(kind).gather(pointers.data(), rows, query, gathered.data());
      EXPECT_EQ(gathered[rows], 77);
      for (size_t row = 0; row < rows; ++row) {
        EXPECT_EQ(gathered[row], out[row]);
        int64_t expected = 0;
        for (size_t i = 0; i < stride; ++i) {
          expected += (int64_t{codes[row * stride + i]} - kCodeOffset) * values[i];
        }
        ASSERT_EQ(out[row], expected) << dot_kernels(kind).name << " stride " << stride;
      }
    }
  }
}

TEST(DotKernels, AllKindsGiveAWalkTheSameIntegers) {
  std::mt19937 random(3);
  for (const size_t stride : {128U, 256U, 384U, 640U, 768U}) {
    std::vector<uint8_t> codes(40 * stride);
    for (auto& code : codes) code = static_cast<uint8_t>(1 + random() % 255);
    VectorPlanes planes(stride);
    planes.grow(40);
    for (Row row = 0; row < 40; ++row) planes.split(row, codes.data() + row * stride);
    std::vector<int8_t> values(stride);
    for (size_t count = 1; count < 12; ++count) {
      std::vector<Row> rows(count);
      std::vector<SplitCodes> pointers;
      for (Row& row : rows) pointers.push_back(planes.codes(row = static_cast<Row>(random() % 40)));
      const uint8_t* asked = codes.data() + random() % 40 * stride;
      for (size_t kind = 0; kind < dot_kernel_count(); ++kind) {
        const DotKernels& kernels = dot_kernels(kind);
        const int32_t sum = kernels.flip(asked, stride, values.data());
        std::vector<int32_t> out(count + 1, 77);
        std::vector<int32_t> coarse(count + 1, 77);
        kernels.dots(pointers.data(), count, {values.data(), sum, stride}, out.data());
        kernels.coarse(pointers.data(), count, {values.data(), sum, stride}, coarse.data());
        EXPECT_EQ(out[count], 77);
        EXPECT_EQ(coarse[count], 77);
        for (size_t i = 0; i < count; ++i) {
          int32_t dot = 0;
          int32_t about = 0;
          for (size_t j = 0; j < stride; ++j) {
            const int code = codes[rows[i] * stride + j];
            dot += (code - 128) * (int{asked[j]} - 128);
            about += ((code & 0xF0) + kCoarseMiddle - 128) * (int{asked[j]} - 128);
          }
          EXPECT_EQ(out[i], dot) << kernels.name << " stride " << stride;
          EXPECT_EQ(coarse[i], about) << kernels.name << " stride " << stride;
        }
      }
    }
  }
}

}  // namespace
}  // namespace tessera::index
