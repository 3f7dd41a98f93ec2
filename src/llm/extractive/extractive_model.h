#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "base/clock.h"
#include "core/chat_model.h"
#include "core/embedder.h"

namespace tessera::llm {

inline constexpr std::string_view kExtractiveModelId = "tessera/extractive";
/// What the model says when no source is about the question.
inline constexpr std::string_view kNothingFound = "I found nothing about that in these documents.";

struct ExtractiveOptions {
  int64_t sentences_max = 3;
  int64_t words_max = 90;
};

/// Answers the last user message by quoting the sentences (list items, table rows, code blocks) of `request.sources`
/// that answer it best, each with its marker "[n]"; says kNothingFound when none is about it. Every quotation is a
/// verbatim piece of the passage's text but for bracketed numbers ("[12]"), which are left out. Deterministic; invents
/// nothing. Thread-safe; needs no network: the embedder may be null or fail (then words alone decide and the trace says
/// "answer_meaning"). Stops at its next await when cancelled or late. Errors: cancelled, deadline, the sink's.
class ExtractiveModel final : public core::ChatModel {
 public:
  ExtractiveModel(std::shared_ptr<core::Embedder> embedder, const base::Clock& clock, ExtractiveOptions options = {});

  core::Task<base::Result<core::ChatCompletion>> generate(const core::RequestContext& context,
                                                          const core::ChatRequest& request,
                                                          core::ChatSink* sink) override;

 private:
  std::shared_ptr<core::Embedder> embedder_;
  const base::Clock& clock_;
  ExtractiveOptions options_;
};

}  // namespace tessera::llm
