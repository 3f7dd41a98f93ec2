#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <boost/json.hpp>
#include <cmath>
#include <cstring>
#include <optional>

#include "llm/providers/openai_dialect.h"

namespace tessera::llm {
namespace {

namespace json = boost::json;
using base::Code;

constexpr size_t kDimensionsMax = 16'384;

std::unexpected<base::Error> bad_response(std::string_view provider, std::string_view what) {
  return base::fail(Code::upstream, "BAD_RESPONSE", fmt::format("the provider {} answered with {}", provider, what));
}

int sextet(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+' || c == '-') return 62;
  if (c == '/' || c == '_') return 63;
  return -1;
}

// Little-endian 32-bit floats in base64; empty when it is not that.
std::vector<float> decode_floats(std::string_view text) {
  while (text.ends_with('=')) text.remove_suffix(1);
  std::string bytes;
  bytes.reserve(text.size() * 3 / 4);
  uint32_t bits = 0;
  int held = 0;
  for (const char c : text) {
    const int value = sextet(c);
    if (value < 0) return {};
    bits = bits << 6 | static_cast<uint32_t>(value);
    held += 6;
    if (held >= 8) {
      held -= 8;
      bytes += static_cast<char>(bits >> held & 0xFFU);
    }
  }
  if (bytes.size() % sizeof(float) != 0) return {};
  static_assert(std::endian::native == std::endian::little);
  std::vector<float> floats(bytes.size() / sizeof(float));
  if (!floats.empty()) std::memcpy(floats.data(), bytes.data(), bytes.size());
  return floats;
}

std::vector<float> read_vector(const json::value& value) {
  if (value.is_string()) return decode_floats(value.get_string());
  std::vector<float> floats;
  if (!value.is_array()) return floats;
  for (const json::value& number : value.get_array()) {
    boost::system::error_code failed;
    floats.push_back(number.is_number() ? static_cast<float>(number.to_number<double>(failed)) : NAN);
  }
  return floats;
}

// False when the vector holds something that is no number.
bool normalise(std::vector<float>& row) {
  double sum = 0;
  for (const float value : row) sum += static_cast<double>(value) * static_cast<double>(value);
  if (!std::isfinite(sum)) return false;
  if (sum > 0) {
    const auto scale = static_cast<float>(1 / std::sqrt(sum));
    for (float& value : row) value *= scale;
  }
  return true;
}

base::Result<json::value> parse_list(std::string_view provider, std::string_view body) {
  boost::system::error_code failed;
  json::value value = json::parse(body, failed);
  if (failed || !value.is_object()) return bad_response(provider, "something that is not JSON");
  json::value* data = value.get_object().if_contains("data");
  if (data == nullptr || !data->is_array()) return bad_response(provider, "no list of data");
  return std::move(*data);
}

// Gemini's list: {"models":[{"name":"models/gemini-2.5-pro","supportedGenerationMethods":["generateContent"]}]}; those
// that generate text. Nothing when it is no such list.
std::optional<std::vector<std::string>> gemini_models(std::string_view body) {
  constexpr std::string_view kPrefix = "models/";
  boost::system::error_code failed;
  const json::value value = json::parse(body, failed);
  const json::value* const list = !failed && value.is_object() ? value.get_object().if_contains("models") : nullptr;
  if (list == nullptr || !list->is_array()) return std::nullopt;
  std::vector<std::string> names;
  for (const json::value& item : list->get_array()) {
    const json::object* const model = item.if_object();
    const json::value* const name = model != nullptr ? model->if_contains("name") : nullptr;
    if (name == nullptr || !name->is_string()) continue;
    const json::value* const methods = model->if_contains("supportedGenerationMethods");
    const auto generates = [](const json::value& method) { return method == "generateContent"; };
    if (methods != nullptr && methods->is_array() && std::ranges::none_of(methods->get_array(), generates)) continue;
    std::string_view text = name->get_string();
    if (text.starts_with(kPrefix)) text.remove_prefix(kPrefix.size());
    names.emplace_back(text);
  }
  return names;
}

}  // namespace

std::string render_embedding_request(std::string_view model, const std::vector<std::string_view>& texts,
                                     size_t dimensions, bool base64) {
  json::array input;
  for (const std::string_view text : texts) input.push_back(json::value(text));
  json::object body{
      {"model", std::string(model)}, {"input", std::move(input)}, {"encoding_format", base64 ? "base64" : "float"}};
  if (dimensions > 0) body["dimensions"] = dimensions;
  return json::serialize(body);
}

base::Result<EmbeddingRows> parse_embedding_response(std::string_view provider, std::string_view body, size_t rows) {
  TESSERA_TRY(const json::value data, parse_list(provider, body));
  const json::array& list = data.get_array();
  if (list.size() != rows) return bad_response(provider, fmt::format("{} vectors for {} texts", list.size(), rows));
  EmbeddingRows out;
  std::vector<bool> seen(rows, false);
  for (size_t i = 0; i < rows; ++i) {
    const json::object* item = list[i].if_object();
    const json::value* embedding = item != nullptr ? item->if_contains("embedding") : nullptr;
    if (embedding == nullptr) return bad_response(provider, "an item without a vector");
    size_t row = i;
    if (const json::value* index = item->if_contains("index"); index != nullptr && index->is_number()) {
      boost::system::error_code failed;
      row = index->to_number<size_t>(failed);
      if (failed) row = rows;
    }
    if (row >= rows || seen[row]) return bad_response(provider, "vectors whose numbers do not fit");
    seen[row] = true;
    std::vector<float> values = read_vector(*embedding);
    if (values.empty() || values.size() > kDimensionsMax || !normalise(values)) {
      return bad_response(provider, "a vector that cannot be read");
    }
    if (out.dimensions == 0) {
      out.dimensions = values.size();
      out.values.resize(rows * out.dimensions);
    }
    if (values.size() != out.dimensions) return bad_response(provider, "vectors of different lengths");
    std::ranges::copy(values, out.values.begin() + static_cast<std::ptrdiff_t>(row * out.dimensions));
  }
  return out;
}

base::Result<std::vector<std::string>> parse_model_list(std::string_view provider, std::string_view body) {
  if (auto names = gemini_models(body)) return *std::move(names);
  TESSERA_TRY(const json::value data, parse_list(provider, body));
  std::vector<std::string> ids;
  for (const json::value& item : data.get_array()) {
    const json::object* object = item.if_object();
    const json::value* id = object != nullptr ? object->if_contains("id") : nullptr;
    if (id != nullptr && id->is_string()) ids.emplace_back(id->get_string());
  }
  return ids;
}

}  // namespace tessera::llm
