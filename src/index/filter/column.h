#pragma once

#include <algorithm>
#include <array>
#include <cstdlib>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "index/filter/growing_array.h"
#include "index/filter/scan_kernels.h"
#include "index/filter/value_dictionary.h"

namespace tessera::index {

/// Filters work through documents in blocks of so many.
inline constexpr size_t kBlockDocuments = 4096;
inline constexpr size_t kBlockWords = kBlockDocuments / 64;
/// A bit for each document of a block.
using BlockBits = std::array<uint64_t, kBlockWords>;

/// A set of values made ready for looking at many codes.
class Condition {
 public:
  Condition(ValueSet set, uint32_t codes_end);
  [[nodiscard]] bool accepts(CodedValue value) const;
  [[nodiscard]] const ValueSet& set() const { return set_; }
  /// A bit a code; empty when the ranges are few.
  [[nodiscard]] std::span<const uint64_t> table() const { return table_; }
  /// The codes below 256; empty when the ranges are few.
  [[nodiscard]] const ByteSet& bytes() const { return bytes_; }

 private:
  ValueSet set_;
  std::vector<uint64_t> table_;
  ByteSet bytes_;
};

/// What the documents of one block have in one field. While they are few, pairs of place and code; then an array of
/// codes as wide as the widest needs. Filled from front to back. A value.
class ColumnBlock {
 public:
  static constexpr size_t kSparseMax = 256;

  /// `place` is above all before. The code is not kNoCode.
  void set(uint32_t place, CodedValue value);
  [[nodiscard]] CodedValue get(uint32_t place) const;
  /// Sets the bits of the documents whose value the condition accepts.
  void find(const Condition& condition, const ScanKernels& kernels, BlockBits& out) const;
  [[nodiscard]] bool empty() const { return highest_ == kNoCode; }
  [[nodiscard]] uint64_t memory_bytes() const;
  /// The first documents of an empty block at once. Numbers: one a document, or none at all.
  template <class Code>
  void fill(std::span<const Code> codes, std::span<const int64_t> numbers);

 private:
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };
  template <class T>
  using Aligned = std::unique_ptr<T[], Free>;
  struct Bounds {
    int64_t least = std::numeric_limits<int64_t>::max();
    int64_t most = std::numeric_limits<int64_t>::min();
    void add(int64_t number) {
      least = std::min(least, number);
      most = std::max(most, number);
    }
  };

  template <class T>
  static Aligned<T> zeros();
  template <class Code>
  [[nodiscard]] Code* codes() const {
    return reinterpret_cast<Code*>(codes_.get());
  }
  [[nodiscard]] uint32_t code_at(uint32_t place) const;
  void put_code(uint32_t place, uint32_t code);
  void widen(uint8_t width);
  void make_dense();
  void note(CodedValue value);
  void find_sparse(const Condition& condition, BlockBits& out) const;
  void find_codes(const Condition& condition, const ScanKernels& kernels, BlockBits& out) const;
  template <class Code>
  void find_wide(const Condition& condition, const ScanKernels& kernels, BlockBits& out) const;
  void find_code(uint32_t code, const ScanKernels& kernels, BlockBits& out) const;
  void find_numbers(std::span<const NumberRange> ranges, uint32_t code, const ScanKernels& kernels,
                    BlockBits& out) const;

  uint8_t width_ = 0;  // bytes of a code; 0: sparse
  uint32_t lowest_ = std::numeric_limits<uint32_t>::max();
  uint32_t highest_ = kNoCode;
  Bounds integers_;
  Bounds reals_;
  // Sparse. Numbers are there for all entries or for none.
  GrowingArray<uint16_t> places_;
  GrowingArray<uint32_t> sparse_codes_;
  GrowingArray<int64_t> sparse_numbers_;
  // Dense; kBlockDocuments elements.
  Aligned<uint8_t> codes_;
  Aligned<int64_t> numbers_;
};

/// One metadata field of all documents. Guarded by the lock of the table.
class Column {
 public:
  explicit Column(std::string name) : name_(std::move(name)) {}
  [[nodiscard]] const std::string& name() const { return name_; }

  /// Documents come in ascending order.
  void set(uint32_t document, CodedValue value) {
    block_for(document / kBlockDocuments).set(document % kBlockDocuments, value);
  }
  [[nodiscard]] CodedValue get(uint32_t document) const {
    const ColumnBlock* const found = block(document / kBlockDocuments);
    return found == nullptr ? CodedValue{} : found->get(document % kBlockDocuments);
  }
  /// Null when no document of the block has the field.
  [[nodiscard]] const ColumnBlock* block(size_t number) const {
    return number < blocks_.size() ? blocks_[number].get() : nullptr;
  }
  ColumnBlock& block_for(size_t number) {
    if (number >= blocks_.size()) blocks_.resize(number + 1);
    if (blocks_[number] == nullptr) blocks_[number] = std::make_unique<ColumnBlock>();
    return *blocks_[number];
  }
  [[nodiscard]] ValueDictionary& dictionary() { return dictionary_; }
  [[nodiscard]] const ValueDictionary& dictionary() const { return dictionary_; }
  [[nodiscard]] uint64_t memory_bytes() const;

 private:
  std::string name_;
  ValueDictionary dictionary_;
  std::vector<std::unique_ptr<ColumnBlock>> blocks_;
};

}  // namespace tessera::index
