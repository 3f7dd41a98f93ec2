#pragma once

#include "async/waiter.h"
#include "core/context.h"

namespace tessera::rag {

/// How long work for this request may wait.
inline async::WaitBounds bounds_of(const core::RequestContext& context) {
  async::WaitBounds bounds;
  if (context.deadline != base::SteadyTime::max()) bounds.deadline = context.deadline;
  bounds.token = context.cancel;
  return bounds;
}

}  // namespace tessera::rag
