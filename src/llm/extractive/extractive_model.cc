#include "llm/extractive/extractive_model.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "llm/extractive/composition.h"
#include "llm/extractive/question.h"
#include "llm/extractive/ranking.h"

namespace tessera::llm {
namespace {

using core::Task;

constexpr size_t kSourcesMax = 64;
constexpr double kWordsPerToken = 0.75;  // of English prose, for max_tokens and the usage estimate

int64_t estimated_tokens(std::string_view text) {
  return static_cast<int64_t>((text.size() + 3) / 4);
}

float cosine(const core::Embeddings& rows, size_t a, size_t b) {
  const float* x = rows.values.data() + a * rows.dimensions;
  const float* y = rows.values.data() + b * rows.dimensions;
  float sum = 0;
  for (size_t i = 0; i < rows.dimensions; ++i) sum += x[i] * y[i];
  return sum;
}

std::string_view text_of(std::span<const core::Passage> sources, const extractive::Unit& unit) {
  return std::string_view(sources[unit.source].text).substr(unit.start, unit.tail_end - unit.start);
}

// What a unit says together with the unit before it and the titles above.
std::string in_context(std::span<const core::Passage> sources, const std::vector<extractive::Unit>& units,
                       const extractive::Unit& unit) {
  const core::Passage& passage = sources[unit.source];
  std::string text = passage.heading_path.empty() ? passage.title : passage.heading_path;
  text += ". ";
  if (unit.previous >= 0) text += std::string(text_of(sources, units[static_cast<size_t>(unit.previous)])) + " ";
  text += text_of(sources, unit);
  return text;
}

// Fills in the likeness of meaning; on failure leaves it empty.
Task<base::Result<>> add_meaning(core::Embedder& embedder, const core::RequestContext& context,
                                 std::span<const core::Passage> sources, extractive::Evidence& evidence) {
  std::vector<std::string> contexts;
  contexts.reserve(evidence.units.size());
  for (const extractive::Unit& unit : evidence.units) contexts.push_back(in_context(sources, evidence.units, unit));
  std::vector<std::string_view> texts{evidence.question.text};
  for (const extractive::Unit& unit : evidence.units) texts.push_back(text_of(sources, unit));
  texts.insert(texts.end(), contexts.begin(), contexts.end());

  TESSERA_CO_TRY(const core::Embeddings rows, co_await embedder.embed(context, texts));
  if (rows.rows != texts.size() || rows.values.size() != rows.rows * rows.dimensions) {
    co_return base::fail(base::Code::internal, "EMBEDDING_SHAPE", "the embedder gave another number of vectors");
  }
  const size_t units = evidence.units.size();
  for (size_t i = 0; i < units; ++i) {
    evidence.meaning.push_back(cosine(rows, 0, 1 + i));
    evidence.meaning_in_context.push_back(cosine(rows, 0, 1 + units + i));
  }
  co_return base::Result<>{};
}

}  // namespace

ExtractiveModel::ExtractiveModel(std::shared_ptr<core::Embedder> embedder, const base::Clock& clock,
                                 ExtractiveOptions options)
    : embedder_(std::move(embedder)), clock_(clock), options_(options) {}

Task<base::Result<core::ChatCompletion>> ExtractiveModel::generate(const core::RequestContext& context,
                                                                   const core::ChatRequest& request,
                                                                   core::ChatSink* sink) {
  TESSERA_CO_CHECK(context.check(clock_));
  const std::span<const core::Passage> sources =
      std::span(request.sources).subspan(0, std::min(request.sources.size(), kSourcesMax));

  extractive::Evidence evidence;
  evidence.question = extractive::question_of(request.messages);
  if (!evidence.question.terms.empty()) evidence.units = extractive::units_of(sources);
  if (embedder_ && !evidence.units.empty()) {
    const auto meaning = co_await add_meaning(*embedder_, context, sources, evidence);
    TESSERA_CO_CHECK(context.check(clock_));
    if (!meaning && context.trace != nullptr) context.trace->add_degraded("answer_meaning");
  }

  extractive::ChoiceLimits limits;
  limits.units_max = static_cast<size_t>(std::max<int64_t>(1, options_.sentences_max));
  limits.words_max = static_cast<size_t>(std::max<int64_t>(1, options_.words_max));
  if (request.max_tokens) {
    const double words = static_cast<double>(std::max<int64_t>(1, *request.max_tokens)) * kWordsPerToken;
    limits.words_max = std::min(limits.words_max, static_cast<size_t>(words));
  }
  const extractive::Ranking ranking = extractive::rank_units(evidence, sources);
  const std::vector<size_t> chosen = extractive::choose_units(evidence, ranking, limits);

  core::ChatCompletion completion;
  completion.model = kExtractiveModelId;
  completion.finish_reason = "stop";
  completion.content = extractive::compose_answer(sources, evidence.units, chosen);
  if (completion.content.empty()) completion.content = kNothingFound;
  for (const core::ChatMessage& message : request.messages) {
    completion.usage.prompt_tokens += estimated_tokens(message.content);
  }
  completion.usage.completion_tokens = estimated_tokens(completion.content);
  if (sink != nullptr) {
    for (const std::string_view piece : extractive::stream_pieces(completion.content)) {
      TESSERA_CO_CHECK(context.check(clock_));
      TESSERA_CO_CHECK(co_await sink->on_delta(core::ChatDelta{std::string(piece), {}}));
    }
  }
  co_return completion;
}

}  // namespace tessera::llm
