#include <array>
#include <string>

#include "index/filter/document_files.h"
#include "index/filter/document_format.h"
#include "index/filter/document_table.h"
#include "index/filter/metadata_columns.h"

namespace tessera::index {
namespace {

constexpr size_t kFewValues = 16;  // so many documents to one that has the field: pairs are smaller

struct PutValue {
  ByteWriter& out;
  void operator()(std::monostate) const {}
  void operator()(bool value) const { out.put(static_cast<uint8_t>(value)); }
  void operator()(int64_t value) const { out.put(value); }
  void operator()(double value) const { out.put(value); }
  void operator()(const std::string& value) const { out.put_string(value); }
  void operator()(const std::vector<std::string>& value) const {
    out.put(static_cast<uint32_t>(value.size()));
    for (const std::string& text : value) out.put_string(text);
  }
};

void put_metadata(ByteWriter& out, const core::Metadata& metadata) {
  out.put(static_cast<uint32_t>(metadata.size()));
  for (const auto& [field, value] : metadata) {
    out.put_string(field);
    out.put(static_cast<uint8_t>(value.index()));
    std::visit(PutValue{out}, value);
  }
}

template <class T>
void put_array(FileWriter& out, std::span<const T> values) {
  out.put_array(values);
  out.align(kDocumentsAlignment);
}

void put_number(FileWriter& out, uint32_t number) {
  out.put(number);
  out.put(uint32_t{0});
}

}  // namespace

/// Writes what a table has beyond a former size.
class DocumentFiles::Writer {
 public:
  Writer(const DocumentTable& table, FileStore& store, const Size& before)
      : table_(table), before_(before), out_(store.create("documents")) {}

  base::Result<std::shared_ptr<const IndexFile>> write() {
    const uint32_t documents = table_.documents() - before_.documents;
    const auto& columns = table_.columns_->columns();
    out_->put_array(std::span(kDocumentsMagic));
    for (const uint32_t number : {kDocumentsVersion, before_.documents, documents, before_.rows,
                                  table_.rows() - before_.rows, static_cast<uint32_t>(columns.size())}) {
      out_->put(number);
    }
    std::vector<uint32_t> row_counts(documents);
    for (uint32_t i = 0; i < documents; ++i) row_counts[i] = table_.document(before_.documents + i).rows;
    put_array(*out_, table_.keys_.span().subspan(before_.documents));
    put_array(*out_, std::span<const uint32_t>(row_counts));
    put_array(*out_, table_.chunk_keys().subspan(before_.rows));
    put_array(*out_, table_.lengths().subspan(before_.rows));
    put_array(*out_, table_.live_documents_.span());
    for (size_t number = 0; number < columns.size(); ++number) {
      write_dictionary(*columns[number], before_.column(number));
      write_blocks(*columns[number]);
    }
    write_rest();
    return out_->finish();
  }

 private:
  void write_dictionary(const Column& column, ValueDictionary::Size before) {
    const ValueDictionary& dictionary = column.dictionary();
    const auto texts = dictionary.texts().subspan(before.texts);
    const auto kinds = dictionary.kinds().subspan(before.values);
    const auto elements = dictionary.elements().subspan(before.elements);
    std::vector<uint32_t> lengths;
    lengths.reserve(texts.size());
    uint64_t bytes = 0;
    for (const std::string_view text : texts) {
      lengths.push_back(static_cast<uint32_t>(text.size()));
      bytes += text.size();
    }
    const std::array<uint64_t, 5> sizes{column.name().size(), texts.size(), bytes, kinds.size(), elements.size()};
    put_array(*out_, std::span<const uint64_t>(sizes));
    put_array(*out_, std::span<const char>(column.name()));
    put_array(*out_, std::span<const uint32_t>(lengths));
    for (const std::string_view text : texts) out_->put_array(std::span<const char>(text));
    out_->align(kDocumentsAlignment);
    put_array(*out_, kinds);
    put_array(*out_, dictionary.payloads().subspan(before.values));
    put_array(*out_, elements);
  }

  void write_blocks(const Column& column) {
    const size_t first = before_.documents / kBlockDocuments;
    const size_t end = (table_.documents() + kBlockDocuments - 1) / kBlockDocuments;
    std::vector<uint32_t> numbers;
    for (size_t block = first; block < end; ++block) {
      if (gather(column, block)) numbers.push_back(static_cast<uint32_t>(block));
    }
    put_number(*out_, static_cast<uint32_t>(numbers.size()));
    for (const uint32_t block : numbers) {
      gather(column, block);
      write_block(block);
    }
  }

  /// Collects the new documents' values in one block; false when there are none.
  bool gather(const Column& column, size_t block) {
    places_.clear();
    values_.clear();
    const ColumnBlock* const from = column.block(block);
    if (from == nullptr) return false;
    const auto start = static_cast<uint32_t>(block * kBlockDocuments);
    const uint32_t end = std::min<uint32_t>(table_.documents() - start, kBlockDocuments);
    for (uint32_t place = std::max(before_.documents, start) - start; place < end; ++place) {
      const CodedValue value = from->get(place);
      if (value.code == kNoCode) continue;
      places_.push_back(static_cast<uint16_t>(place));
      values_.push_back(value);
    }
    return !places_.empty();
  }

  void write_block(uint32_t block) {
    uint32_t highest = 0;
    bool numbered = false;
    for (const CodedValue& value : values_) {
      highest = std::max(highest, value.code);
      numbered |= value.code < kFirstCode;
    }
    // An array covers the places from the first to the last that has a value.
    const uint32_t first = places_.front();
    const uint32_t span = places_.back() - first + 1u;
    const bool few = places_.size() * kFewValues < span;
    const BlockKind kind =
        few ? BlockKind::pairs
            : (highest < 0x100 ? BlockKind::bytes : (highest < 0x10000 ? BlockKind::words : BlockKind::longs));
    const auto count = few ? static_cast<uint32_t>(places_.size()) : span;
    const std::array<uint32_t, 6> head{block, static_cast<uint32_t>(kind), first, count, numbered ? 1U : 0U, 0};
    put_array(*out_, std::span<const uint32_t>(head));
    if (few) put_array(*out_, std::span<const uint16_t>(places_));
    if (kind == BlockKind::bytes) put_codes<uint8_t>(count, few);
    if (kind == BlockKind::words) put_codes<uint16_t>(count, few);
    if (kind == BlockKind::longs || few) put_codes<uint32_t>(count, few);
    if (!numbered) return;
    std::vector<int64_t> numbers(count);
    for (size_t i = 0; i < values_.size(); ++i) numbers[few ? i : places_[i] - first] = values_[i].number;
    put_array(*out_, std::span<const int64_t>(numbers));
  }

  template <class Code>
  void put_codes(uint32_t count, bool few) {
    std::vector<Code> codes(count);
    for (size_t i = 0; i < values_.size(); ++i) {
      codes[few ? i : static_cast<size_t>(places_[i] - places_.front())] = static_cast<Code>(values_[i].code);
    }
    put_array(*out_, std::span<const Code>(codes));
  }

  void write_rest() {
    ByteWriter rest;
    uint32_t documents = 0;
    const auto& all = table_.columns_->rest();
    for (auto at = all.lower_bound(before_.documents); at != all.end(); ++at, ++documents) {
      rest.put(at->first);
      put_metadata(rest, at->second);
    }
    const std::array<uint64_t, 2> sizes{documents, rest.bytes().size()};
    put_array(*out_, std::span<const uint64_t>(sizes));
    put_array(*out_, std::span<const char>(rest.bytes()));
  }

  const DocumentTable& table_;
  const Size& before_;
  std::unique_ptr<FileWriter> out_;
  std::vector<uint16_t> places_;
  std::vector<CodedValue> values_;
};

base::Result<std::shared_ptr<const IndexFile>> DocumentFiles::write(const DocumentTable& table, FileStore& store,
                                                                    const Size& before) {
  return Writer(table, store, before).write();
}

}  // namespace tessera::index
