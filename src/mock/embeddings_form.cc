// OpenAI's embeddings: vectors by feature hashing (Weinberger et al., 2009), each word in four places.
#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <iterator>

#include "base/hash.h"
#include "base/log.h"
#include "mock/form.h"

namespace tessera::mock {
namespace {

constexpr int64_t kDimensions = 256;

std::vector<float> embed(std::string_view text, size_t dimensions) {
  std::vector<float> vector(dimensions, 0.0F);
  std::string word;
  const auto add = [&] {
    if (word.empty()) return;
    uint64_t bits = base::hash64(word);
    for (int i = 0; i < 4; ++i, bits = base::hash64(word, bits)) {
      vector[bits % dimensions] += (bits >> 63U) != 0 ? 1.0F : -1.0F;
    }
    word.clear();
  };
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool letter = byte >= 0x80 || (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z');
    if (letter || (byte >= 'A' && byte <= 'Z')) {
      word += letter ? c : static_cast<char>(byte + 32);
    } else {
      add();
    }
  }
  add();
  double square = 0;
  for (const float value : vector) square += static_cast<double>(value) * static_cast<double>(value);
  if (square == 0) {
    vector[0] = 1;
    square = 1;
  }
  const auto scale = static_cast<float>(1 / std::sqrt(square));
  for (float& value : vector) value *= scale;
  return vector;
}

void append_base64(std::string& out, std::string_view bytes) {
  constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    for (size_t j = 0; j < 3; ++j) {
      group = group << 8U | (i + j < bytes.size() ? static_cast<unsigned char>(bytes[i + j]) : 0U);
    }
    for (size_t j = 0; j < 4; ++j) out += i + j <= bytes.size() ? kAlphabet[group >> (18 - 6 * j) & 63U] : '=';
  }
}

}  // namespace

std::string embeddings_body(const Ask& ask, std::string_view model, const Usage& usage) {
  std::string out = R"({"object":"list","data":[)";
  const auto dimensions = static_cast<size_t>(ask.dimensions.value_or(kDimensions));
  for (size_t i = 0; i < ask.inputs.size(); ++i) {
    const std::vector<float> vector = embed(ask.inputs[i], dimensions);
    fmt::format_to(std::back_inserter(out), R"({}{{"object":"embedding","index":{},"embedding":)", i > 0 ? "," : "", i);
    if (ask.base64) {
      std::string bytes(vector.size() * sizeof(float), '\0');
      std::memcpy(bytes.data(), vector.data(), bytes.size());  // little-endian, as the format is
      out += '"';
      append_base64(out, bytes);
      out += '"';
    } else {
      for (size_t d = 0; d < vector.size(); ++d) {
        fmt::format_to(std::back_inserter(out), "{}{}", d > 0 ? ',' : '[', vector[d]);
      }
      out += ']';
    }
    out += '}';
  }
  out += R"(],"model":)";
  base::append_json_string(out, model);
  return out + fmt::format(R"(,"usage":{{"prompt_tokens":{0},"total_tokens":{0}}}}})", usage.prompt);
}

}  // namespace tessera::mock
