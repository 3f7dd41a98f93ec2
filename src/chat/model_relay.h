#pragma once

#include <string>
#include <utility>

#include "base/clock.h"
#include "chat/citations.h"
#include "core/chat_model.h"

namespace tessera::chat {

struct ModelRelayOptions {
  bool check_markers = false;  ///< the answer rests on sources 1..sources
  size_t sources = 0;
  size_t answer_bytes_max = 4ULL << 20U;
};

/// Stands between a model and the reader: checks markers on the way, keeps the answer, bounds it, notes the time to the
/// first text ("first_token"). Lives as long as one answer; one thread at a time. Errors: upstream ANSWER_TOO_LARGE,
/// the reader's.
class ModelRelay final : public core::ChatSink {
 public:
  /// `reader` may be null (the answer is only kept); it, the context and the clock outlive the relay.
  ModelRelay(ModelRelayOptions options, core::ChatSink* reader, const core::RequestContext& context,
             const base::Clock& clock);

  core::Task<base::Result<>> on_delta(core::ChatDelta delta) override;
  /// After the model: lets go what was held back. `content` is the model's whole answer, taken when no text was
  /// streamed.
  core::Task<base::Result<>> finish(std::string content);
  [[nodiscard]] std::string take_answer() { return std::move(answer_); }
  [[nodiscard]] int64_t removed() const { return filter_.removed(); }

 private:
  core::Task<base::Result<>> pass(std::string shown, std::string extra_json);

  ModelRelayOptions options_;
  core::ChatSink* reader_;
  core::RequestTrace* trace_;
  const base::Clock& clock_;
  base::SteadyTime began_;
  CitationFilter filter_;
  std::string answer_;
  bool streamed_ = false;
};

}  // namespace tessera::chat
