#include "account/background_calls.h"

#include <utility>

#include "account/estimate.h"

namespace tessera::account {

using core::CallOutcome;

void BackgroundCalls::saw(const core::Tenant& tenant, std::string_view response_id, const core::RelayReport& report) {
  const bool ended = report.background_id.empty() && (report.usage_reported || !report.finish_reason.empty());
  if (!ended) return;
  auto entry = spending_.find_held(tenant, response_id);
  if (!entry) return;
  core::Usage usage = report.usage;
  entry->estimated = !report.usage_reported && report.answer_bytes > 0;
  if (!report.usage_reported) {
    usage = {.prompt_tokens = entry->estimated ? entry->prompt_tokens : 0,
             .completion_tokens = tokens_of_bytes(report.answer_bytes),
             .tier = report.usage.tier,
             .cost = {}};
  }
  entry->outcome = report.finish_reason == "failed"      ? CallOutcome::failed
                   : report.finish_reason == "cancelled" ? CallOutcome::cancelled
                                                         : CallOutcome::complete;
  entry->cost = charge(profiles_.find(entry->provider, entry->model), usage);
  fill_usage(*entry, usage);
  spending_.settle_held(*std::move(entry));
}

void BackgroundCalls::forgotten(const core::Tenant& tenant, std::string_view response_id) {
  auto entry = spending_.find_held(tenant, response_id);
  if (!entry) return;
  entry->outcome = CallOutcome::complete;
  spending_.settle_held(*std::move(entry));
}

}  // namespace tessera::account
