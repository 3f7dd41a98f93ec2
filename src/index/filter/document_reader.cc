#include <algorithm>
#include <array>
#include <bit>
#include <string>

#include "index/filter/document_files.h"
#include "index/filter/document_format.h"
#include "index/filter/document_table.h"
#include "index/filter/metadata_columns.h"

namespace tessera::index {
namespace {

constexpr uint32_t kRowsMax = 0x7FFFFFFF;

/// Bad readers give zeros, so every loop looks at good().
core::MetadataValue get_value(ByteReader& in) {
  switch (in.get<uint8_t>()) {
    case 1:
      return in.get<uint8_t>() != 0;
    case 2:
      return in.get<int64_t>();
    case 3:
      return in.get<double>();
    case 4:
      return std::string(in.get_string());
    case 5: {
      std::vector<std::string> list;
      for (uint32_t left = in.get<uint32_t>(); left > 0 && in.good(); --left) list.emplace_back(in.get_string());
      return list;
    }
    default:
      return std::monostate();
  }
}

core::Metadata get_metadata(ByteReader& in) {
  core::Metadata metadata;
  for (uint32_t left = in.get<uint32_t>(); left > 0 && in.good(); --left) {
    std::string field(in.get_string());
    metadata.insert_or_assign(std::move(field), get_value(in));
  }
  return metadata;
}

/// Reads a file's arrays one after the other, in place; bad at the first that is not there.
class ArrayReader {
 public:
  explicit ArrayReader(const IndexFile& file) : file_(file) {}
  [[nodiscard]] bool good() const { return good_; }
  [[nodiscard]] bool at_end() const { return good_ && at_ == file_.entry().bytes; }
  template <class T>
  std::span<const T> array(uint64_t count) {
    const std::span<const T> values = file_.array<T>(at_, count);
    if (values.size() != count) good_ = false;
    if (!good_) return {};
    at_ += (values.size_bytes() + kDocumentsAlignment - 1) / kDocumentsAlignment * kDocumentsAlignment;
    if (at_ > file_.entry().bytes) good_ = false;
    return values;
  }
  uint32_t number() {
    const auto values = array<uint32_t>(2);
    return values.empty() ? 0 : values[0];
  }
  std::string_view text(uint64_t size) {
    const auto bytes = array<char>(size);
    return {bytes.data(), bytes.size()};
  }

 private:
  const IndexFile& file_;
  uint64_t at_ = 0;
  bool good_ = true;
};

}  // namespace

/// Adds what one file holds to a table. The first contradiction ends it; the table is then to be thrown away.
class DocumentFiles::Reader {
 public:
  Reader(DocumentTable& table, const IndexFile& file) : table_(table), in_(file) {}

  /// What is wrong; empty when nothing is.
  std::string_view read(bool last) {
    if (in_.text(kDocumentsMagic.size()) != kDocumentsMagic) return "it is no file of documents";
    const auto head = in_.array<uint32_t>(6);
    if (head.empty() || head[0] != kDocumentsVersion) return "it has another version";
    first_document_ = head[1];
    const uint32_t documents = head[2];
    if (first_document_ != table_.documents() || head[3] != table_.rows()) return "it does not follow the one before";
    if (documents > kRowsMax - first_document_ || head[4] > kRowsMax - head[3]) return "it is too long";
    if (!read_documents(documents, head[4])) return "its rows contradict its documents";
    live_ = in_.array<uint64_t>(table_.live_documents_.size());
    const auto& columns = table_.columns_->columns();
    if (head[5] < columns.size() || head[5] > MetadataColumns::kColumnsMax) return "it has too few or too many fields";
    for (uint32_t number = 0; number < head[5] && in_.good(); ++number) {
      Column* const column = read_dictionary(number);
      if (column == nullptr || !read_blocks(*column)) return "a field's values contradict each other";
    }
    if (!read_rest() || !in_.at_end()) return "it is cut short";
    if (last && !read_live()) return "its live documents contradict each other";
    return {};
  }

 private:
  bool read_documents(uint32_t documents, uint32_t rows) {
    const auto keys = in_.array<int64_t>(documents);
    const auto counts = in_.array<uint32_t>(documents);
    const auto chunk_keys = in_.array<int64_t>(rows);
    const auto lengths = in_.array<uint32_t>(rows);
    if (!in_.good()) return false;
    uint64_t sum = 0;
    for (const uint32_t count : counts) sum += count;
    if (sum != rows) return false;

    DocumentTable& table = table_;
    if (documents > 0 && table.documents() > 0 && table.first_rows_[table.documents() - 1] == table.rows()) {
      table.empties_ = true;
    }
    const size_t end = size_t{table.rows()} + rows;
    table.chunk_keys_.append(chunk_keys);
    table.lengths_.append(lengths);
    table.keys_.append(keys);
    table.live_.append((end + 63) / 64 - table.live_.size(), 0);
    table.starts_.append((end + 63) / 64 - table.starts_.size(), 0);
    table.documents_.reserve(end);
    table.first_rows_.reserve(table.first_rows_.size() + documents);
    table.live_documents_.append((keys.size() + first_document_ + 63) / 64 - table.live_documents_.size(), 0);
    Row row = table.first_rows_.back();
    for (uint32_t i = 0; i < documents; ++i) {
      if (counts[i] > 0) {
        table.starts_[row / 64] |= uint64_t{1} << (row % 64);
      } else if (i + 1 < documents) {
        table.empties_ = true;
      }
      for (uint32_t left = counts[i]; left > 0; --left) table.documents_.push_back(first_document_ + i);
      row += counts[i];
      table.first_rows_.push_back(row);
    }
    return true;
  }

  bool read_live() {
    DocumentTable& table = table_;
    const uint32_t tail = table.documents() % 64;
    if (tail != 0 && (live_.back() >> tail) != 0) return false;
    table.numbers_.reserve(count_bits(live_));
    for (uint32_t word = 0; word < live_.size(); ++word) {
      table.live_documents_[word] = live_[word];
      if (live_[word] != 0 && !number_live(word)) return false;
    }
    spread(table.layout(), 0, live_, table.live_.data());
    table.counts_.documents = count_bits(live_);
    table.counts_.rows = count_bits(table.live());
    return true;
  }

  /// Makes the live documents among 64 known by their keys, and counts the lengths of their rows.
  bool number_live(uint32_t word) {
    DocumentTable& table = table_;
    const int64_t* const keys = table.keys_.data();
    std::array<uint32_t, 64> hashes;
    for (uint64_t left = live_[word]; left != 0; left &= left - 1) {
      const auto i = static_cast<uint32_t>(std::countr_zero(left));
      hashes[i] = hash_of(static_cast<uint64_t>(keys[word * 64 + i]));
      table.numbers_.prefetch(hashes[i]);
    }
    for (uint64_t left = live_[word]; left != 0; left &= left - 1) {
      const auto i = static_cast<uint32_t>(std::countr_zero(left));
      const uint32_t document = word * 64 + i;
      const auto same = [&](uint32_t other) { return keys[other] == keys[document]; };
      if (table.numbers_.find(hashes[i], same) != nullptr) return false;
      table.numbers_.insert(hashes[i], document);
      const Row end = table.first_rows_[document + 1];
      for (Row row = table.first_rows_[document]; row < end; ++row) table.counts_.length += table.lengths_[row];
    }
    return true;
  }

  Column* read_dictionary(uint32_t number) {
    const auto sizes = in_.array<uint64_t>(5);
    if (!in_.good()) return nullptr;
    const std::string_view name = in_.text(sizes[0]);
    ValueDictionary::Part part;
    part.text_lengths = in_.array<uint32_t>(sizes[1]);
    part.text_bytes = in_.text(sizes[2]);
    part.kinds = in_.array<ValueDictionary::Kind>(sizes[3]);
    part.payloads = in_.array<uint64_t>(sizes[3]);
    part.elements = in_.array<uint32_t>(sizes[4]);
    if (!in_.good()) return nullptr;
    const auto& columns = table_.columns_->columns();
    Column* const column = table_.columns_->find_or_add(name);
    // A field known before must come under its number, a new one under the next.
    if (column == nullptr || number >= columns.size() || columns[number].get() != column) return nullptr;
    return column->dictionary().add(part) ? column : nullptr;
  }

  bool read_blocks(Column& column) {
    const uint32_t blocks = in_.number();
    int64_t before = -1;
    for (uint32_t left = blocks; left > 0; --left) {
      const auto head = in_.array<uint32_t>(6);
      if (!in_.good() || head[0] <= before || !read_block(column, head)) return false;
      before = head[0];
    }
    return in_.good();
  }

  bool read_block(Column& column, std::span<const uint32_t> head) {
    const uint64_t start = uint64_t{head[0]} * kBlockDocuments;
    const uint64_t first = start + head[2];
    const uint32_t count = head[3];
    if (head[2] >= kBlockDocuments || count == 0 || count > kBlockDocuments) return false;
    if (first < first_document_ || first >= table_.documents()) return false;
    const auto kind = static_cast<BlockKind>(head[1]);
    if (kind == BlockKind::pairs) return read_pairs(column, head[0], count, head[4] != 0);
    if (head[2] + count > kBlockDocuments || first + count > table_.documents()) return false;
    if (kind == BlockKind::bytes) return read_codes<uint8_t>(column, head);
    if (kind == BlockKind::words) return read_codes<uint16_t>(column, head);
    return kind == BlockKind::longs && read_codes<uint32_t>(column, head);
  }

  bool read_pairs(Column& column, uint32_t block, uint32_t count, bool numbered) {
    const auto places = in_.array<uint16_t>(count);
    const auto codes = in_.array<uint32_t>(count);
    const auto numbers = in_.array<int64_t>(numbered ? count : 0);
    if (!in_.good()) return false;
    const uint64_t start = uint64_t{block} * kBlockDocuments;
    ColumnBlock& to = column.block_for(block);
    for (uint32_t i = 0; i < count; ++i) {
      const uint64_t document = start + places[i];
      const bool ascends = i == 0 || places[i] > places[i - 1];
      if (!ascends || places[i] >= kBlockDocuments || document < first_document_ || document >= table_.documents()) {
        return false;
      }
      if (codes[i] == kNoCode || codes[i] >= column.dictionary().codes_end()) return false;
      to.set(places[i], {codes[i], numbered ? numbers[i] : 0});
    }
    return true;
  }

  template <class Code>
  bool read_codes(Column& column, std::span<const uint32_t> head) {
    const uint32_t first = head[2];
    const uint32_t count = head[3];
    const auto codes = in_.array<Code>(count);
    const auto numbers = in_.array<int64_t>(head[4] != 0 ? count : 0);
    if (!in_.good()) return false;
    Code highest = 0;
    for (const Code code : codes) highest = std::max(highest, code);
    if (highest >= column.dictionary().codes_end()) return false;
    ColumnBlock& to = column.block_for(head[0]);
    if (to.empty() && first == 0 && count > ColumnBlock::kSparseMax) {
      to.fill(codes, numbers);
      return true;
    }
    for (uint32_t i = 0; i < count; ++i) {
      if (codes[i] != kNoCode) to.set(first + i, {codes[i], numbers.empty() ? 0 : numbers[i]});
    }
    return true;
  }

  bool read_rest() {
    const auto sizes = in_.array<uint64_t>(2);
    if (!in_.good()) return false;
    ByteReader rest(in_.text(sizes[1]));
    if (!in_.good()) return false;
    int64_t before = int64_t{first_document_} - 1;
    for (uint64_t left = sizes[0]; left > 0; --left) {
      const auto document = rest.get<uint32_t>();
      core::Metadata metadata = get_metadata(rest);
      if (!rest.good() || document <= before || document >= table_.documents()) return false;
      before = document;
      table_.columns_->set_rest(document, std::move(metadata));
    }
    return rest.at_end();
  }

  DocumentTable& table_;
  ArrayReader in_;
  uint32_t first_document_ = 0;
  std::span<const uint64_t> live_;
};

std::string_view DocumentFiles::read(DocumentTable& table, const IndexFile& file, bool last) {
  return Reader(table, file).read(last);
}

}  // namespace tessera::index
