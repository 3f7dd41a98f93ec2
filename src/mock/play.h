#pragma once

#include <cstdint>
#include <string>

#include "async/task.h"
#include "base/clock.h"
#include "mock/ask.h"
#include "mock/draws.h"
#include "mock/form.h"
#include "mock/plan.h"
#include "mock/record.h"
#include "wire/http_server.h"

namespace tessera::mock {

/// One request being answered. The references outlive the coroutine.
struct Performance {
  const Ask& ask;
  const Plan& plan;
  AnswerHead head;
  Draws draws;
  const base::Clock& clock;
  wire::ResponseWriter& writer;
  Entry& entry;  ///< outcome, status, events, usage and times are filled in
};

/// Answers as the plan says: with its pauses, its pieces and its faults. A client that leaves ends it at once, while it
/// pauses as well.
async::Task<> perform(Performance& show);

/// Sends an error answer.
async::Task<> send_error(Performance& show, int status, std::string code, std::string message);

/// "reset after 5", "status 429"; empty: no fault.
std::string fault_of(const Plan& plan);

}  // namespace tessera::mock
