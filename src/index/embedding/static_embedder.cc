#include "index/embedding/static_embedder.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "index/embedding/accumulate.h"
#include "index/embedding/embedded_model.h"

namespace tessera::index {

namespace {

/// Adds the vectors of tokens to `sum`. [UNK] has none. `ids` is written over.
void add_tokens(const StaticModel& model, std::span<uint16_t> ids, std::span<float> sum) {
  const QuantisedRows table{model.rows().data(), model.scales().data(), model.dimensions()};
  size_t known = 0;
  for (const uint16_t id : ids) {
    ids[known] = static_cast<uint16_t>(id - model.first_row());
    known += id >= model.first_row();
  }
  accumulate(table, ids.first(known), sum.data());
}

void normalise(std::span<float> vector) {
  float square = 0;
  for (const float value : vector) square += value * value;
  if (square == 0) return;
  const float factor = 1.0F / std::sqrt(square);
  for (float& value : vector) value *= factor;
}

class StaticTokenReader final : public core::TokenReader {
 public:
  explicit StaticTokenReader(const StaticModel& model) : model_(model) {}

  size_t read(std::string_view text, std::vector<uint16_t>& tokens) override {
    const size_t before = tokens.size();
    while (!text.empty()) {
      const auto progress = model_.tokenizer().encode(text, ids_, &memo_);
      text.remove_prefix(progress.bytes);
      tokens.insert(tokens.end(), ids_.begin(), ids_.begin() + static_cast<ptrdiff_t>(progress.ids));
    }
    return tokens.size() - before;
  }

  void embed(std::span<const uint16_t> tokens, std::span<const size_t> ends, std::span<float> vectors) override {
    std::ranges::fill(vectors, 0.0F);
    size_t start = 0;
    for (const size_t end : ends) {
      const auto vector = vectors.first(model_.dimensions());
      vectors = vectors.subspan(model_.dimensions());
      for (; start < end;) {
        const size_t count = std::min(end - start, ids_.size());
        std::ranges::copy(tokens.subspan(start, count), ids_.begin());
        add_tokens(model_, std::span(ids_).first(count), vector);
        start += count;
      }
      normalise(vector);
    }
  }

 private:
  const StaticModel& model_;
  text::WordPieceMemo memo_;
  std::array<uint16_t, 512> ids_;
};

}  // namespace

StaticEmbedder::StaticEmbedder(const StaticModel& model) : model_(model), matcher_(model) {}

base::Result<StaticEmbedder> StaticEmbedder::embedded() {
  TESSERA_TRY(const auto model, StaticModel::open(embedded_static_model()));
  return StaticEmbedder(model);
}

size_t StaticEmbedder::embed_one(std::string_view text, std::span<float> out) const {
  std::fill(out.begin(), out.end(), 0.0F);
  std::array<uint16_t, 512> ids;
  size_t tokens = 0;
  while (!text.empty()) {
    const auto progress = model_.tokenizer().encode(text, ids);
    text.remove_prefix(progress.bytes);
    tokens += progress.ids;
    add_tokens(model_, std::span(ids).first(progress.ids), out);
  }
  normalise(out);
  return tokens;
}

std::unique_ptr<core::TokenReader> StaticEmbedder::token_reader() const {
  return std::make_unique<StaticTokenReader>(model_);
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
