#include "store/sqlite/codec.h"

#include <algorithm>
#include <bit>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

namespace tessera::store {
namespace {

namespace json = boost::json;

// File names may hold any bytes.
json::parse_options lenient() {
  json::parse_options options;
  options.allow_invalid_utf8 = true;
  return options;
}

std::unexpected<base::Error> damaged(const char* what) {
  return base::fail(base::Code::unavailable, "DATABASE_DAMAGED",
                    "A record of the database is damaged; the operator should restore it from a backup.", what);
}

class Writer {
 public:
  void tag(char type) { out_ += type; }
  void number(uint64_t value) {
    for (; value >= 0x80; value >>= 7) out_ += static_cast<char>(value | 0x80);
    out_ += static_cast<char>(value);
  }
  void bytes(std::string_view value) {
    number(value.size());
    out_ += value;
  }
  void word(uint64_t value) {
    for (int i = 0; i < 8; ++i) out_ += static_cast<char>(value >> (8 * i));
  }
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

/// Every read checks the bounds; after a failed one, ok() is false and values are empty.
class Reader {
 public:
  explicit Reader(std::string_view in) : in_(in) {}
  char tag() {
    const std::string_view one = take(1);
    return one.empty() ? '\0' : one[0];
  }
  uint64_t number() {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<unsigned char>(tag());
      value |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
    ok_ = false;
    return 0;
  }
  std::string bytes() { return std::string(take(number())); }
  uint64_t word() {
    uint64_t value = 0;
    const std::string_view bytes = take(8);
    for (size_t i = 0; i < bytes.size(); ++i) value |= uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
    return value;
  }
  void refuse() { ok_ = false; }
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] bool at_end() const { return in_.empty(); }
  [[nodiscard]] size_t left() const { return in_.size(); }

 private:
  std::string_view take(uint64_t size) {
    if (size > in_.size()) {
      ok_ = false;
      in_ = {};
      return {};
    }
    const std::string_view taken = in_.substr(0, size);
    in_.remove_prefix(size);
    return taken;
  }
  std::string_view in_;
  bool ok_ = true;
};

void write_value(Writer& out, const core::MetadataValue& value) {
  if (const auto* b = std::get_if<bool>(&value)) return out.tag(*b ? 't' : 'f');
  if (const auto* i = std::get_if<int64_t>(&value)) {
    out.tag('i');
    return out.word(static_cast<uint64_t>(*i));
  }
  if (const auto* d = std::get_if<double>(&value)) {
    out.tag('d');
    return out.word(std::bit_cast<uint64_t>(*d));
  }
  if (const auto* s = std::get_if<std::string>(&value)) {
    out.tag('s');
    return out.bytes(*s);
  }
  if (const auto* list = std::get_if<std::vector<std::string>>(&value)) {
    out.tag('l');
    out.number(list->size());
    for (const auto& item : *list) out.bytes(item);
    return;
  }
  out.tag('n');
}

core::MetadataValue read_value(Reader& in) {
  switch (in.tag()) {
    case 'n':
      return std::monostate{};
    case 't':
      return true;
    case 'f':
      return false;
    case 'i':
      return static_cast<int64_t>(in.word());
    case 'd':
      return std::bit_cast<double>(in.word());
    case 's':
      return in.bytes();
    case 'l': {
      const uint64_t size = in.number();
      std::vector<std::string> list;
      list.reserve(std::min<uint64_t>(size, in.left()));
      for (uint64_t i = 0; i < size && in.ok(); ++i) list.push_back(in.bytes());
      return list;
    }
    default:
      in.refuse();
      return std::monostate{};
  }
}

std::string field(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

base::Code code_of(std::string_view word) {
  for (int i = 0; i <= static_cast<int>(base::Code::internal); ++i) {
    if (base::to_string(static_cast<base::Code>(i)) == word) return static_cast<base::Code>(i);
  }
  return base::Code::internal;
}

}  // namespace

std::string encode_metadata(const core::Metadata& metadata) {
  Writer out;
  for (const auto& [name, value] : metadata) {
    out.bytes(name);
    write_value(out, value);
  }
  return out.take();
}

base::Result<core::Metadata> decode_metadata(std::string_view bytes) {
  core::Metadata metadata;
  Reader in(bytes);
  while (!in.at_end()) {
    std::string name = in.bytes();
    core::MetadataValue value = read_value(in);
    if (!in.ok()) return damaged("documents.metadata");
    metadata.emplace_hint(metadata.end(), std::move(name), std::move(value));
  }
  return metadata;
}

std::string failures_to_json(const std::vector<core::TaskFailure>& failures) {
  json::array array;
  for (const auto& failure : failures) {
    array.push_back(json::object{{"item", failure.item},
                                 {"code", base::to_string(failure.error.code)},
                                 {"name", failure.error.name},
                                 {"message", failure.error.message},
                                 {"detail", failure.error.detail},
                                 {"param", failure.error.param}});
  }
  return json::serialize(array);
}

base::Result<std::vector<core::TaskFailure>> failures_from_json(std::string_view text) {
  json::error_code error;
  const json::value root = json::parse(text, error, {}, lenient());
  if (error || !root.is_array()) return damaged("tasks.failures");
  std::vector<core::TaskFailure> failures;
  for (const auto& item : root.get_array()) {
    if (!item.is_object()) return damaged("tasks.failures");
    const json::object& object = item.get_object();
    failures.push_back(
        {.item = field(object, "item"),
         .error = base::make_error(code_of(field(object, "code")), field(object, "name"), field(object, "message"),
                                   field(object, "detail"), field(object, "param"))});
  }
  return failures;
}

std::string texts_to_json(const std::vector<std::string>& texts) {
  return json::serialize(json::array(texts.begin(), texts.end()));
}

base::Result<std::vector<std::string>> texts_from_json(std::string_view text, const char* column) {
  json::error_code error;
  const json::value root = json::parse(text, error, {}, lenient());
  if (error || !root.is_array()) return damaged(column);
  std::vector<std::string> texts;
  for (const auto& item : root.get_array()) {
    if (!item.is_string()) return damaged(column);
    texts.emplace_back(item.get_string());
  }
  return texts;
}

}  // namespace tessera::store
