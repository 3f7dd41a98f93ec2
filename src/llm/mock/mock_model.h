#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "core/chat_model.h"

namespace tessera::llm {

struct MockOptions {
  base::Millis token_delay{0};  ///< pause before each piece
};

/// A model that invents nothing, for tests of clients and servers. `mock/echo` repeats the last user message,
/// `mock/lorem` says `words` words of filler. `parameters_json` may hold "mock": {"answer": text, "words": n,
/// "delay_ms": n, "fail": a code's word ("exhausted", ...), "fail_after": pieces, "retry_after_ms": n}. Deterministic.
/// Thread-safe. Errors: what "fail" says (MOCK_FAILURE), cancelled, deadline, the sink's; invalid BAD_PARAMETERS.
class MockModel final : public core::ChatModel {
 public:
  explicit MockModel(const base::Clock& clock, MockOptions options = {}) : clock_(clock), options_(options) {}

  core::Task<base::Result<core::ChatCompletion>> generate(const core::RequestContext& context,
                                                          const core::ChatRequest& request,
                                                          core::ChatSink* sink) override;

 private:
  const base::Clock& clock_;
  MockOptions options_;
};

}  // namespace tessera::llm
