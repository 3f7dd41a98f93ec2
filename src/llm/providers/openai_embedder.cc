#include "llm/providers/openai_embedder.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "llm/providers/openai_dialect.h"

namespace tessera::llm {
namespace {

using core::Task;

bool is_empty(std::string_view text) {
  return text.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

}  // namespace

OpenAiEmbedder::OpenAiEmbedder(OpenAiEmbedderOptions options, std::shared_ptr<core::EmbeddingsRelay> port)
    : options_(std::move(options)),
      port_(std::move(port)),
      limiter_({.concurrent_max = std::max<size_t>(1, options_.concurrent_max), .waiting_max = SIZE_MAX}),
      dimensions_(options_.dimensions) {
  options_.batch_size = std::max<size_t>(1, options_.batch_size);
}

size_t OpenAiEmbedder::count_tokens(std::string_view text) const {
  return (text.size() + 3) / 4;
}

Task<base::Result<core::Embeddings>> OpenAiEmbedder::embed(const core::RequestContext& context,
                                                           std::span<const std::string_view> texts) {
  core::Embeddings out;
  out.rows = texts.size();
  out.dimensions = dimensions_.load();
  std::vector<size_t> places;
  for (size_t i = 0; i < texts.size(); ++i) {
    if (!is_empty(texts[i])) places.push_back(i);
  }
  for (size_t from = 0; from < places.size();) {
    std::vector<std::string_view> batch;
    size_t bytes = 0;
    while (from + batch.size() < places.size() && batch.size() < options_.batch_size) {
      const std::string_view text = texts[places[from + batch.size()]];
      if (!batch.empty() && bytes + text.size() > options_.batch_bytes_max) break;
      bytes += text.size();
      batch.push_back(text);
    }
    const size_t asked = options_.request_dimensions ? options_.dimensions : 0;
    core::RelayRequest request;
    request.model = options_.asked_model.empty() ? options_.model : options_.asked_model;
    request.body = render_embedding_request(options_.model, batch, asked, options_.base64);
    core::RelayReport report;
    TESSERA_CO_TRY(async::Limiter::Permit permit,
                   co_await limiter_.acquire({.deadline = context.deadline, .token = context.cancel}));
    TESSERA_CO_TRY(const std::string response, co_await port_->embeddings(context, request, report));
    permit.release();
    TESSERA_CO_TRY(const EmbeddingRows rows, parse_embedding_response(report.provider, response, batch.size()));
    size_t known = 0;
    if (!dimensions_.compare_exchange_strong(known, rows.dimensions) && known != rows.dimensions) {
      co_return base::fail(base::Code::upstream, "EMBEDDING_DIMENSIONS",
                           fmt::format("the model {} gives vectors of {} numbers, but {} were expected; if that is the "
                                       "model meant, set embedding.dimensions to {}, restart, and POST /api/reindex",
                                       options_.model, rows.dimensions, known, rows.dimensions));
    }
    out.dimensions = rows.dimensions;
    out.values.resize(out.rows * out.dimensions);
    for (size_t i = 0; i < batch.size(); ++i) {
      std::copy_n(rows.values.begin() + static_cast<std::ptrdiff_t>(i * rows.dimensions), rows.dimensions,
                  out.values.begin() + static_cast<std::ptrdiff_t>(places[from + i] * rows.dimensions));
    }
    from += batch.size();
  }
  out.values.resize(out.rows * out.dimensions);
  co_return out;
}

}  // namespace tessera::llm
