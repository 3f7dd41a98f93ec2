#include "index/filter/document_table.h"

#include <algorithm>

#include "index/filter/document_files.h"
#include "index/filter/metadata_columns.h"
#include "index/filter/selection_cache.h"

namespace tessera::index {
namespace {

bool bit(std::span<const uint64_t> bits, uint32_t at) {
  return ((bits[at / 64] >> (at % 64)) & 1) != 0;
}

}  // namespace

DocumentTable::DocumentTable()
    : columns_(std::make_unique<MetadataColumns>()),
      cache_(std::make_unique<SelectionCache>()),
      saved_(std::make_unique<DocumentFiles>()) {
  first_rows_.push_back(0);
}

DocumentTable::~DocumentTable() = default;

DocumentRows DocumentTable::document(uint32_t document) const {
  const Row first = first_rows_[document];
  return {keys_[document], first, first_rows_[document + 1] - first, bit(live_documents_.span(), document)};
}

std::optional<uint32_t> DocumentTable::find(int64_t key) const {
  const auto* const slot =
      numbers_.find(hash_of(static_cast<uint64_t>(key)), [&](uint32_t document) { return keys_[document] == key; });
  if (slot == nullptr) return std::nullopt;
  const uint32_t document = slot->number_plus_one - 1;
  if (!bit(live_documents_.span(), document)) return std::nullopt;
  return document;
}

core::Metadata DocumentTable::metadata(uint32_t document) const {
  return columns_->get(document);
}

uint32_t DocumentTable::begin(int64_t key, const core::Metadata& metadata) {
  const uint32_t document = documents();
  numbers_.prefetch(hash_of(static_cast<uint64_t>(key)));  // for activate()
  if (document > 0 && first_rows_[document - 1] == first_rows_[document]) empties_ = true;
  if (document % 64 == 0) live_documents_.push_back(0);
  keys_.push_back(key);
  first_rows_.push_back(rows());
  columns_->set(document, metadata);
  return document;
}

void DocumentTable::append(std::span<const int64_t> chunk_keys, std::span<const uint32_t> lengths) {
  if (chunk_keys.empty()) return;
  const uint32_t document = documents() - 1;
  const Row first = rows();
  chunk_keys_.append(chunk_keys);
  lengths_.append(lengths);
  documents_.append(chunk_keys.size(), document);
  const size_t words = (size_t{rows()} + 63) / 64;
  live_.append(words - live_.size(), 0);
  starts_.append(words - starts_.size(), 0);
  if (first_rows_[document] == first) set_bits(starts_.data(), first, 1, true);
  first_rows_[document + 1] = rows();
}

void DocumentTable::show(uint32_t document, bool visible) {
  const DocumentRows at = this->document(document);
  set_bits(live_documents_.data(), document, 1, visible);
  set_bits(live_.data(), at.first_row, at.rows, visible);
  uint64_t length = 0;
  for (Row row = at.first_row; row < at.first_row + at.rows; ++row) length += lengths_[row];
  if (visible) {
    counts_ = {counts_.rows + at.rows, counts_.documents + 1, counts_.length + length};
  } else {
    counts_ = {counts_.rows - at.rows, counts_.documents - 1, counts_.length - length};
  }
  cache_->changed(document);
}

std::optional<DocumentRows> DocumentTable::activate(uint32_t document) {
  if (bit(live_documents_.span(), document)) return std::nullopt;
  const int64_t key = keys_[document];
  const uint32_t hash = hash_of(static_cast<uint64_t>(key));
  std::optional<DocumentRows> former;
  if (auto* const slot = numbers_.find(hash, [&](uint32_t other) { return keys_[other] == key; })) {
    const uint32_t before = slot->number_plus_one - 1;
    if (bit(live_documents_.span(), before)) {
      show(before, false);
      former = this->document(before);
    }
    slot->number_plus_one = document + 1;
  } else {
    numbers_.insert(hash, document);
  }
  show(document, true);
  return former;
}

std::optional<DocumentRows> DocumentTable::remove(int64_t key) {
  const auto document = find(key);
  if (!document) return std::nullopt;
  show(*document, false);
  return this->document(*document);
}

RowLayout DocumentTable::layout() const {
  const uint32_t last = documents() - 1;
  const bool empty = documents() > 0 && first_rows_[last] == first_rows_[last + 1];
  return {first_rows_.span(), starts_.span(), empties_ || empty};
}

std::vector<uint64_t> DocumentTable::find_rows(const core::Filter& filter) const {
  std::vector<uint64_t> bits(live_.size());
  const RowLayout layout = this->layout();
  const FilterPlan plan(filter, *columns_, best_scan_kernels());
  BlockBits found;
  for (size_t word = 0; word < live_documents_.size(); word += kBlockWords) {
    const auto live = live_documents_.span().subspan(word, std::min(kBlockWords, live_documents_.size() - word));
    plan.find(word / kBlockWords, found);
    for (size_t i = 0; i < live.size(); ++i) found[i] &= live[i];
    spread(layout, static_cast<uint32_t>(word * 64), std::span(found).first(live.size()), bits.data());
  }
  return bits;
}

RowSelection DocumentTable::select(const core::Filter* filter) const {
  if (filter == nullptr) return {live_.span(), counts_.rows, false, nullptr};
  const auto key = cache_key(*filter);
  if (key) {
    if (auto known = cache_->find(*key, *this)) return *std::move(known);
  }
  auto bits = std::make_shared<std::vector<uint64_t>>(find_rows(*filter));
  RowSelection selection{*bits, count_bits(*bits), true, bits};
  if (key) cache_->insert(*key, *filter, selection, std::move(bits));
  return selection;
}

DocumentTable::Compacted DocumentTable::compacted() const {
  Compacted result{std::make_unique<DocumentTable>(), RowMap(rows(), kGoneRow)};
  DocumentTable& fresh = *result.table;
  std::vector<uint32_t> kept;
  kept.reserve(counts_.documents);
  fresh.chunk_keys_.reserve(counts_.rows);
  fresh.lengths_.reserve(counts_.rows);
  fresh.documents_.reserve(counts_.rows);
  fresh.numbers_.reserve(counts_.documents);
  for (uint32_t number = 0; number < documents(); ++number) {
    const DocumentRows at = document(number);
    if (!at.live) continue;
    kept.push_back(number);
    for (Row i = 0; i < at.rows; ++i) result.rows[at.first_row + i] = fresh.rows() + i;
    const uint32_t document = fresh.begin(at.key, {});
    fresh.append(chunk_keys().subspan(at.first_row, at.rows), lengths().subspan(at.first_row, at.rows));
    fresh.activate(document);
  }
  fresh.columns_->copy(*columns_, kept);
  return result;
}

uint64_t DocumentTable::memory_bytes() const {
  return sizeof(DocumentTable) + chunk_keys_.memory_bytes() + lengths_.memory_bytes() + documents_.memory_bytes() +
         live_.memory_bytes() + starts_.memory_bytes() + keys_.memory_bytes() + first_rows_.memory_bytes() +
         live_documents_.memory_bytes() + numbers_.memory_bytes() + columns_->memory_bytes() + cache_->memory_bytes();
}

base::Result<> DocumentTable::save(FileStore& store, ByteWriter& record, std::vector<FileEntry>& files) {
  return saved_->save(*this, store, record, files);
}

base::Result<std::unique_ptr<DocumentTable>> DocumentTable::load(FileStore& store, ByteReader& record) {
  auto table = std::make_unique<DocumentTable>();
  TESSERA_CHECK(table->saved_->load(*table, store, record));
  return table;
}

}  // namespace tessera::index
