#include "index/filter/value_dictionary.h"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>

#include "base/hash.h"

namespace tessera::index {
namespace {

constexpr size_t kFirstChunk = 256;
constexpr size_t kChunkMax = size_t{256} << 10;

uint32_t hash_text(std::string_view text) {
  return static_cast<uint32_t>(base::hash64(text));
}

uint32_t hash_list(std::span<const uint32_t> list) {
  return static_cast<uint32_t>(base::hash64({reinterpret_cast<const char*>(list.data()), list.size_bytes()}));
}

}  // namespace

int64_t ordered_bits(double real) {
  const auto bits = std::bit_cast<int64_t>(real);
  return bits ^ ((bits >> 63) & std::numeric_limits<int64_t>::max());
}

double real_of(int64_t bits) {
  return std::bit_cast<double>(bits ^ ((bits >> 63) & std::numeric_limits<int64_t>::max()));
}

std::optional<uint32_t> ValueDictionary::find_text(std::string_view text) const {
  const auto* slot = text_numbers_.find(hash_text(text), [&](uint32_t number) { return texts_[number] == text; });
  if (slot == nullptr) return std::nullopt;
  return slot->number_plus_one - 1;
}

char* ValueDictionary::room(size_t bytes) {
  if (bytes == 0) return nullptr;
  if (bytes > chunk_left_) {
    chunk_size_ = std::max(bytes, std::clamp(chunk_size_ * 2, kFirstChunk, kChunkMax));
    chunks_.push_back(std::make_unique_for_overwrite<char[]>(chunk_size_));
    chunk_left_ = chunk_size_;
    chunk_bytes_ += chunk_size_;
  }
  char* const place = chunks_.back().get() + (chunk_size_ - chunk_left_);
  chunk_left_ -= bytes;
  return place;
}

uint32_t ValueDictionary::add_text(std::string_view text) {
  if (const auto known = find_text(text)) return *known;
  char* const place = room(text.size());
  if (!text.empty()) std::memcpy(place, text.data(), text.size());
  const auto number = static_cast<uint32_t>(texts_.size());
  texts_.push_back({place, text.size()});
  text_codes_.push_back(kNoCode);
  text_numbers_.insert(hash_text(text), number);
  return number;
}

uint32_t ValueDictionary::add_value(Kind kind, uint64_t payload) {
  const uint32_t code = codes_end();
  kinds_.push_back(kind);
  payloads_.push_back(payload);
  if (kind == Kind::text) {
    text_codes_[payload] = code;
  } else if (kind == Kind::list) {
    list_codes_.push_back(code);
    lists_.insert(hash_list(list(payload)), code);
  } else {
    plain_codes_.push_back(code);
  }
  return code;
}

CodedValue ValueDictionary::encode_number(Kind kind, int64_t number) {
  for (const uint32_t code : plain_codes_) {
    if (payloads_[code - kFirstCode] == static_cast<uint64_t>(number) && kinds_[code - kFirstCode] == kind) {
      return {code, 0};
    }
  }
  const bool few = plain_codes_.size() < kNumbersMax || kind == Kind::none || kind == Kind::boolean;
  if (few) return {add_value(kind, static_cast<uint64_t>(number)), 0};
  return {kind == Kind::integer ? kIntegerCode : kRealCode, number};
}

std::span<const uint32_t> ValueDictionary::list(uint64_t payload) const {
  return elements_.span().subspan(payload + 1, elements_[payload]);
}

uint32_t ValueDictionary::find_list(std::span<const uint32_t> texts) const {
  const auto* known = lists_.find(
      hash_list(texts), [&](uint32_t code) { return std::ranges::equal(list(payloads_[code - kFirstCode]), texts); });
  return known == nullptr ? kNoCode : known->number_plus_one - 1;
}

uint32_t ValueDictionary::encode_list(const std::vector<std::string>& list) {
  std::vector<uint32_t> texts;
  texts.reserve(list.size());
  for (const std::string& text : list) texts.push_back(add_text(text));
  if (const uint32_t known = find_list(texts); known != kNoCode) return known;
  const uint64_t place = elements_.size();
  elements_.push_back(static_cast<uint32_t>(texts.size()));
  elements_.append(texts);
  return add_value(Kind::list, place);
}

CodedValue ValueDictionary::encode(const core::MetadataValue& value) {
  if (const auto* b = std::get_if<bool>(&value)) return encode_number(Kind::boolean, *b ? 1 : 0);
  if (const auto* i = std::get_if<int64_t>(&value)) return encode_number(Kind::integer, *i);
  if (const auto* d = std::get_if<double>(&value)) return encode_number(Kind::real, ordered_bits(*d));
  if (const auto* l = std::get_if<std::vector<std::string>>(&value)) return {encode_list(*l), 0};
  if (const auto* s = std::get_if<std::string>(&value)) {
    const uint32_t text = add_text(*s);
    return {text_codes_[text] != kNoCode ? text_codes_[text] : add_value(Kind::text, text), 0};
  }
  return encode_number(Kind::none, 0);
}

core::MetadataValue ValueDictionary::decode(CodedValue value) const {
  if (value.code == kIntegerCode) return value.number;
  if (value.code == kRealCode) return real_of(value.number);
  const uint64_t payload = payloads_[value.code - kFirstCode];
  switch (kinds_[value.code - kFirstCode]) {
    case Kind::none:
      break;
    case Kind::boolean:
      return payload != 0;
    case Kind::integer:
      return static_cast<int64_t>(payload);
    case Kind::real:
      return real_of(static_cast<int64_t>(payload));
    case Kind::text:
      return std::string(texts_[payload]);
    case Kind::list: {
      std::vector<std::string> texts;
      for (const uint32_t text : list(payload)) texts.emplace_back(texts_[text]);
      return texts;
    }
  }
  return std::monostate();
}

bool ValueDictionary::add(const Part& part) {
  uint64_t bytes = 0;
  for (const uint32_t length : part.text_lengths) bytes += length;
  if (bytes != part.text_bytes.size() || part.kinds.size() != part.payloads.size()) return false;
  constexpr uint64_t kMost = std::numeric_limits<uint32_t>::max() - kFirstCode;
  if (texts_.size() + part.text_lengths.size() > kMost || kinds_.size() + part.kinds.size() > kMost) return false;

  char* const place = room(bytes);
  if (bytes > 0) std::memcpy(place, part.text_bytes.data(), bytes);
  texts_.reserve(texts_.size() + part.text_lengths.size());
  text_numbers_.reserve(texts_.size() + part.text_lengths.size());
  add_texts(place, part.text_lengths);
  text_codes_.append(part.text_lengths.size(), kNoCode);
  elements_.append(part.elements);
  return add_values(part);
}

void ValueDictionary::add_texts(const char* bytes, std::span<const uint32_t> lengths) {
  constexpr size_t kAhead = 32;  // so many places in the table are on their way at once
  std::array<uint32_t, kAhead> hashes;
  for (size_t first = 0; first < lengths.size(); first += kAhead) {
    const size_t count = std::min(kAhead, lengths.size() - first);
    for (size_t i = 0; i < count; ++i) {
      const std::string_view text(bytes, lengths[first + i]);
      bytes += text.size();
      texts_.push_back(text);
      hashes[i] = hash_text(text);
      text_numbers_.prefetch(hashes[i]);
    }
    const auto number = static_cast<uint32_t>(texts_.size() - count);
    for (size_t i = 0; i < count; ++i) text_numbers_.insert(hashes[i], number + static_cast<uint32_t>(i));
  }
}

bool ValueDictionary::add_values(const Part& part) {
  uint64_t list_end = elements_.size() - part.elements.size();
  kinds_.reserve(kinds_.size() + part.kinds.size());
  payloads_.reserve(payloads_.size() + part.kinds.size());
  for (size_t i = 0; i < part.kinds.size(); ++i) {
    const Kind kind = part.kinds[i];
    const uint64_t payload = part.payloads[i];
    if (static_cast<uint8_t>(kind) >= kKinds) return false;
    if (kind == Kind::text && (payload >= texts_.size() || text_codes_[payload] != kNoCode)) return false;
    if (kind == Kind::list) {
      // Lists follow each other without gaps.
      if (payload != list_end || payload >= elements_.size()) return false;
      if (elements_[payload] > elements_.size() - payload - 1) return false;
      list_end = payload + 1 + elements_[payload];
      for (const uint32_t text : list(payload)) {
        if (text >= texts_.size()) return false;
      }
    }
    if (kind != Kind::text && kind != Kind::list && plain_codes_.size() >= kNumbersMax + 3) return false;
    add_value(kind, payload);
  }
  return list_end == elements_.size();
}

uint64_t ValueDictionary::memory_bytes() const {
  return texts_.memory_bytes() + text_codes_.memory_bytes() + text_numbers_.memory_bytes() + chunk_bytes_ +
         kinds_.memory_bytes() + payloads_.memory_bytes() + elements_.memory_bytes() + plain_codes_.memory_bytes() +
         list_codes_.memory_bytes() + lists_.memory_bytes();
}

}  // namespace tessera::index
