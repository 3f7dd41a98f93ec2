#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "core/metadata.h"
#include "index/filter/growing_array.h"
#include "index/filter/hash_index.h"
#include "index/filter/scan_kernels.h"

namespace tessera::index {

/// What a document has in a field: a code, and the number that belongs to the codes kIntegerCode and kRealCode.
struct CodedValue {
  uint32_t code = 0;
  int64_t number = 0;
};

inline constexpr uint32_t kNoCode = 0;       ///< the document does not have the field
inline constexpr uint32_t kIntegerCode = 1;  ///< `number` is the integer
inline constexpr uint32_t kRealCode = 2;     ///< `number` is ordered_bits() of the real
inline constexpr uint32_t kFirstCode = 3;    ///< of the dictionary's first value

/// A real's bits as an integer of the same order (below all others: NaN with the sign set; above: NaN without).
int64_t ordered_bits(double real);
double real_of(int64_t ordered_bits);

/// Inclusive; empty when first > last.
struct CodeRange {
  uint32_t first = 1;
  uint32_t last = 0;
};

/// A condition on the values of one field, in terms of their codes. Lists ascend and do not overlap.
struct ValueSet {
  std::vector<CodeRange> codes;
  std::vector<NumberRange> integers;  ///< accepted with kIntegerCode
  std::vector<NumberRange> reals;     ///< accepted with kRealCode

  /// Leaves what both accept.
  void intersect(const ValueSet& other);
};

/// The values of one metadata field, each numbered when it first comes; nothing is ever removed. Texts and lists are
/// always in it, numbers only while they are few (kNumbersMax different ones): later ones travel with the document.
/// Guarded by the lock of the table.
class ValueDictionary {
 public:
  /// How much of it there is; what a saved part begins and ends with.
  struct Size {
    uint64_t texts = 0;
    uint64_t values = 0;
    uint64_t elements = 0;
    bool operator==(const Size&) const = default;
  };
  enum class Kind : uint8_t { none, boolean, integer, real, text, list };
  static constexpr uint8_t kKinds = 6;

  CodedValue encode(const core::MetadataValue& value);
  [[nodiscard]] core::MetadataValue decode(CodedValue value) const;
  /// The values for which a positive condition (eq, in, gt, gte, lt, lte, exists) holds: exactly those for which
  /// core::matches says so.
  [[nodiscard]] ValueSet matching(const core::Filter& filter) const;

  [[nodiscard]] Size size() const { return {texts_.size(), kinds_.size(), elements_.size()}; }
  [[nodiscard]] uint32_t codes_end() const { return kFirstCode + static_cast<uint32_t>(kinds_.size()); }
  [[nodiscard]] uint64_t memory_bytes() const;

  // For saving: the parts from a former size on.
  [[nodiscard]] std::span<const std::string_view> texts() const { return texts_.span(); }
  [[nodiscard]] std::span<const Kind> kinds() const { return kinds_.span(); }
  [[nodiscard]] std::span<const uint64_t> payloads() const { return payloads_.span(); }
  [[nodiscard]] std::span<const uint32_t> elements() const { return elements_.span(); }
  /// For loading: adds a saved part. False when it contradicts itself; the dictionary is then to be thrown away.
  struct Part {
    std::span<const uint32_t> text_lengths;
    std::string_view text_bytes;
    std::span<const Kind> kinds;
    std::span<const uint64_t> payloads;  ///< bits, by kind: bool, integer, ordered_bits, text's number, place of a list
    std::span<const uint32_t> elements;  ///< lists: the count, then the numbers of the texts
  };
  bool add(const Part& part);

 private:
  static constexpr size_t kNumbersMax = 200;  // few enough for codes of one byte

  [[nodiscard]] std::optional<uint32_t> find_text(std::string_view text) const;
  uint32_t add_text(std::string_view text);
  char* room(size_t bytes);
  uint32_t add_value(Kind kind, uint64_t payload);
  CodedValue encode_number(Kind kind, int64_t number);
  [[nodiscard]] uint32_t find_list(std::span<const uint32_t> texts) const;
  uint32_t encode_list(const std::vector<std::string>& list);
  [[nodiscard]] std::span<const uint32_t> list(uint64_t payload) const;
  void add_texts(const char* bytes, std::span<const uint32_t> lengths);
  bool add_values(const Part& part);
  void equal_to(const core::MetadataValue& value, std::vector<uint32_t>& codes, ValueSet& set) const;
  void equal_to_text(const std::string& text, std::vector<uint32_t>& codes) const;
  void equal_to_list(const std::vector<std::string>& list, std::vector<uint32_t>& codes) const;
  void ordered(const core::Filter& filter, std::vector<uint32_t>& codes, ValueSet& set) const;

  // Texts, and for each the code of the value that is this text (kNoCode: only in lists).
  GrowingArray<std::string_view> texts_;
  GrowingArray<uint32_t> text_codes_;
  HashIndex text_numbers_;
  std::vector<std::unique_ptr<char[]>> chunks_;
  size_t chunk_left_ = 0;
  size_t chunk_size_ = 0;
  uint64_t chunk_bytes_ = 0;
  // Values by code - kFirstCode.
  GrowingArray<Kind> kinds_;
  GrowingArray<uint64_t> payloads_;
  GrowingArray<uint32_t> elements_;
  GrowingArray<uint32_t> plain_codes_;  // of nothing, booleans and numbers: few
  GrowingArray<uint32_t> list_codes_;
  HashIndex lists_;
};

}  // namespace tessera::index
