#include "index/embedding/static_embedder.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "index/embedding/accumulate.h"
#include "index/embedding/embedded_model.h"

namespace tessera::index {

StaticEmbedder::StaticEmbedder(const StaticModel& model) : model_(model), matcher_(model) {}

base::Result<StaticEmbedder> StaticEmbedder::embedded() {
  TESSERA_TRY(const auto model, StaticModel::open(embedded_static_model()));
  return StaticEmbedder(model);
}

size_t StaticEmbedder::embed_one(std::string_view text, std::span<float> out) const {
  std::fill(out.begin(), out.end(), 0.0F);
  const QuantisedRows table{model_.rows().data(), model_.scales().data(), model_.dimensions()};
  std::array<uint16_t, 512> ids;
  size_t tokens = 0;
  while (!text.empty()) {
    const auto progress = model_.tokenizer().encode(text, ids);
    text.remove_prefix(progress.bytes);
    tokens += progress.ids;
    size_t known = 0;  // [UNK] has no vector
    for (size_t i = 0; i < progress.ids; ++i) {
      const uint16_t id = ids[i];
      ids[known] = static_cast<uint16_t>(id - model_.first_row());
      known += id >= model_.first_row();
    }
    accumulate(table, std::span(ids).first(known), out.data());
  }
  float square = 0;
  for (const float value : out) square += value * value;
  if (square > 0) {
    const float factor = 1.0F / std::sqrt(square);
    for (float& value : out) value *= factor;
  }
  return tokens;
}

core::Task<base::Result<core::Embeddings>> StaticEmbedder::embed(const core::RequestContext&,
                                                                 std::span<const std::string_view> texts) {
  core::Embeddings result{.rows = texts.size(), .dimensions = dimensions(), .values = {}};
  result.values.resize(texts.size() * dimensions());
  for (size_t i = 0; i < texts.size(); ++i) {
    embed_one(texts[i], std::span(result.values).subspan(i * dimensions(), dimensions()));
  }
  co_return result;
}

}  // namespace tessera::index
