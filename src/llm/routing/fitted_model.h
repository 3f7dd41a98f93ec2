#pragma once

#include <memory>

#include "core/chat_model.h"
#include "text/bpe.h"

namespace tessera::llm {

struct FitOptions {
  int64_t window = 0;      ///< tokens of prompt and completion together
  int64_t completion = 0;  ///< kept free for the answer of a request that does not say
  bool trim = false;       ///< leave out the oldest messages; else refuse
  bool relayed = false;    ///< refuse relayed requests as well: the provider's own word is not to be relied upon
};

/// A model whose conversations fit its context window. One that might not is counted (o200k tokens, and four for each
/// message); most cannot, since a token has at least one byte, and pass uncounted. What does not fit is refused, or
/// loses its oldest messages, never the instructions nor the last message; then the trace's degraded parts have
/// "context_trimmed". Without trimming, a relayed request is left to a provider that refuses by itself, since its count
/// is exact. Thread-safe. Errors: invalid CONTEXT_TOO_LONG; those of the model.
class FittedModel final : public core::ChatModel {
 public:
  /// `counter` outlives it.
  FittedModel(std::shared_ptr<core::ChatModel> inner, FitOptions options, const text::BpeCounter& counter);
  [[nodiscard]] bool relays() const override { return inner_->relays(); }
  core::Task<base::Result<std::string>> relay(const core::RequestContext& context, const core::RelayRequest& request,
                                              core::RelaySink* sink, core::RelayReport& report) override;
  core::Task<base::Result<core::ChatCompletion>> generate(const core::RequestContext& context,
                                                          const core::ChatRequest& request,
                                                          core::ChatSink* sink) override;

 private:
  core::Task<base::Result<std::string>> relay_counted(const core::RequestContext& context,
                                                      const core::RelayRequest& request, core::RelaySink* sink,
                                                      core::RelayReport& report);
  core::Task<base::Result<core::ChatCompletion>> generate_counted(const core::RequestContext& context,
                                                                  const core::ChatRequest& request,
                                                                  core::ChatSink* sink);
  [[nodiscard]] int64_t count(std::string_view text) const;

  std::shared_ptr<core::ChatModel> inner_;
  FitOptions options_;
  const text::BpeCounter& counter_;
};

}  // namespace tessera::llm
