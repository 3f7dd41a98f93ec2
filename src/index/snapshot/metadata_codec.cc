#include "index/snapshot/metadata_codec.h"

#include <cstdint>
#include <string>
#include <utility>

namespace tessera::index {
namespace {

// In the order of MetadataValue's alternatives.
enum class Tag : uint8_t { none, boolean, integer, real, text, list };

struct Put {
  SnapshotWriter& writer;
  void operator()(std::monostate) const {}
  void operator()(bool value) const { writer.put(static_cast<uint8_t>(value)); }
  void operator()(int64_t value) const { writer.put(value); }
  void operator()(double value) const { writer.put(value); }
  void operator()(const std::string& value) const { writer.put_string(value); }
  void operator()(const std::vector<std::string>& value) const {
    writer.put(static_cast<uint32_t>(value.size()));
    for (const std::string& item : value) writer.put_string(item);
  }
};

bool decode_value(SnapshotReader& reader, core::MetadataValue& value) {
  switch (static_cast<Tag>(reader.get<uint8_t>())) {
    case Tag::none:
      value = std::monostate();
      return reader.good();
    case Tag::boolean:
      value = reader.get<uint8_t>() != 0;
      return reader.good();
    case Tag::integer:
      value = reader.get<int64_t>();
      return reader.good();
    case Tag::real:
      value = reader.get<double>();
      return reader.good();
    case Tag::text:
      value = std::string(reader.get_string());
      return reader.good();
    case Tag::list: {
      std::vector<std::string> items;
      for (uint32_t left = reader.get<uint32_t>(); left > 0 && reader.good(); --left) {
        items.emplace_back(reader.get_string());
      }
      value = std::move(items);
      return reader.good();
    }
  }
  return false;
}

}  // namespace

void encode_metadata(const core::Metadata& metadata, SnapshotWriter& writer) {
  writer.put(static_cast<uint32_t>(metadata.size()));
  for (const auto& [field, value] : metadata) {
    writer.put_string(field);
    writer.put(static_cast<uint8_t>(value.index()));
    std::visit(Put{writer}, value);
  }
}

bool decode_metadata(SnapshotReader& reader, core::Metadata& metadata) {
  for (uint32_t left = reader.get<uint32_t>(); left > 0; --left) {
    std::string field(reader.get_string());
    core::MetadataValue value;
    if (!decode_value(reader, value)) return false;
    metadata.insert_or_assign(std::move(field), std::move(value));
  }
  return reader.good();
}

}  // namespace tessera::index
