#include "index/filter/metadata_columns.h"

namespace tessera::index {

const Column* MetadataColumns::find(std::string_view field) const {
  const auto found = numbers_.find(field);
  return found == numbers_.end() ? nullptr : columns_[found->second].get();
}

Column* MetadataColumns::find_or_add(std::string_view field) {
  const auto found = numbers_.find(field);
  if (found != numbers_.end()) return columns_[found->second].get();
  if (columns_.size() == kColumnsMax) return nullptr;
  numbers_.emplace(field, static_cast<uint32_t>(columns_.size()));
  return columns_.emplace_back(std::make_unique<Column>(std::string(field))).get();
}

void MetadataColumns::set(uint32_t document, const core::Metadata& metadata) {
  core::Metadata rest;
  for (const auto& [field, value] : metadata) {
    if (Column* const column = find_or_add(field)) {
      column->set(document, column->dictionary().encode(value));
    } else {
      rest.emplace(field, value);
    }
  }
  if (!rest.empty()) rest_.emplace(document, std::move(rest));
}

void MetadataColumns::copy(const MetadataColumns& from, std::span<const uint32_t> documents) {
  for (const auto& old : from.columns_) {
    Column* column = nullptr;
    std::vector<uint32_t> codes(old->dictionary().codes_end(), kNoCode);  // new ones, of those met
    for (uint32_t document = 0; document < documents.size(); ++document) {
      const CodedValue value = old->get(documents[document]);
      if (value.code == kNoCode) continue;
      if (column == nullptr) column = find_or_add(old->name());
      CodedValue fresh{codes[value.code], 0};
      if (fresh.code == kNoCode) {
        fresh = column->dictionary().encode(old->dictionary().decode(value));
        if (fresh.code >= kFirstCode && value.code >= kFirstCode) codes[value.code] = fresh.code;
      }
      column->set(document, fresh);
    }
  }
  if (from.rest_.empty()) return;
  for (uint32_t document = 0; document < documents.size(); ++document) {
    const auto rest = from.rest_.find(documents[document]);
    if (rest != from.rest_.end()) set(document, rest->second);
  }
}

core::Metadata MetadataColumns::get(uint32_t document) const {
  core::Metadata metadata;
  if (const auto rest = rest_.find(document); rest != rest_.end()) metadata = rest->second;
  for (const auto& column : columns_) {
    const CodedValue value = column->get(document);
    if (value.code != kNoCode) metadata.emplace(column->name(), column->dictionary().decode(value));
  }
  return metadata;
}

uint64_t MetadataColumns::memory_bytes() const {
  constexpr uint64_t kNode = 128;  // of a tree, with a short name and value
  uint64_t bytes = sizeof(MetadataColumns) + columns_.size() * (kNode + sizeof(void*));
  for (const auto& column : columns_) bytes += column->memory_bytes();
  for (const auto& [document, metadata] : rest_) bytes += kNode * (1 + metadata.size());
  return bytes;
}

}  // namespace tessera::index
