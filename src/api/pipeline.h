#pragma once

#include <span>
#include <string_view>

#include "api/api.h"
#include "api/call.h"
#include "api/call_metrics.h"
#include "base/result.h"

namespace tessera::api {

/// What the stages share: fixed at start.
struct PipelineState {
  const ApiParts& parts;
  const ApiOptions& options;
  const Router& router;
  CallMetrics& metrics;
};

/// One step that every request passes: `before` on the way in (in order; an error ends the way in and becomes the
/// answer), `after` on the way out (in reverse order, for every request whose `before` ran), before the answer is sent.
/// Either may be null. Must not block.
struct Stage {
  std::string_view name;
  base::Result<> (*before)(const PipelineState&, Call&);
  void (*after)(const PipelineState&, Call&, Reply&);
};

/// The stages in order; each position is justified where the list stands.
std::span<const Stage> pipeline();

/// The key that a request shows: `Authorization: Bearer`, `api-key` or `x-api-key`; empty when there is none.
std::string_view shown_key(const wire::Request& request);

/// Counts and logs a finished request: called once the answer is out, so that streams are counted with their whole
/// length.
void record_call(const PipelineState& state, const Call& call);

}  // namespace tessera::api
