#include "llm/routing/single_flight.h"

#include "async/channel.h"
#include "async/event.h"

namespace tessera::llm {

using core::Task;

struct SingleFlight::Flight {
  async::Event landed;
  // Written before `landed` is set, read after. Until then what those get whose first was destroyed: they try again.
  base::Result<std::string> result = base::fail(base::Code::cancelled, "FLIGHT_LOST", "the call was given up");
  core::RelayReport report;
};

namespace {

// Every part with its length before it, so that no two requests run together.
std::string identity(const core::RequestContext& context, const core::RelayRequest& request) {
  std::string key;
  key.reserve(request.body.size() + request.model.size() + 64);
  for (const std::string_view part :
       {std::string_view(context.tenant.app_id), std::string_view(request.model), std::string_view(request.body)}) {
    key += std::to_string(part.size());
    key += ':';
    key += part;
  }
  // Who may use fewer models must not be answered by one of the others.
  if (context.only_models != nullptr) {
    for (const std::string& name : *context.only_models) key.append(std::to_string(name.size())).append(":" + name);
  }
  return key;
}

bool left_early(const base::Result<std::string>& result) {
  if (result) return false;
  return result.error().code == base::Code::cancelled || result.error().name.starts_with("DEADLINE");
}

}  // namespace

Task<base::Result<std::string>> SingleFlight::relay(const core::RequestContext& context,
                                                    const core::RelayRequest& request, core::RelaySink* sink,
                                                    core::RelayReport& report) {
  return sink != nullptr ? inner_->relay(context, request, sink, report) : join(context, request, report);
}

void SingleFlight::land(const std::string& key) {
  std::shared_ptr<Flight> flight;
  {
    const std::lock_guard lock(mutex_);
    const auto found = flights_.find(key);
    if (found == flights_.end()) return;
    flight = std::move(found->second);
    flights_.erase(found);
  }
  flight->landed.set();
}

Task<base::Result<std::string>> SingleFlight::join(const core::RequestContext& context,
                                                   const core::RelayRequest& request, core::RelayReport& report) {
  const std::string key = identity(context, request);
  for (;;) {
    std::shared_ptr<Flight> flight;
    bool first = false;
    {
      const std::lock_guard lock(mutex_);
      auto& place = flights_[key];
      first = place == nullptr;
      if (first) place = std::make_shared<Flight>();
      flight = place;
    }
    if (first) {
      struct Landing {  // however this frame ends
        SingleFlight& flights;
        const std::string& key;
        ~Landing() { flights.land(key); }
      } const landing{*this, key};
      flight->result = co_await inner_->relay(context, request, nullptr, flight->report);
      report = flight->report;
      co_return flight->result;
    }
    async::WaitBounds bounds{.deadline = {}, .token = context.cancel};
    if (context.deadline != base::SteadyTime::max()) bounds.deadline = context.deadline;
    const async::Wake why = co_await flight->landed.wait(std::move(bounds));
    if (why != async::Wake::ready) co_return std::unexpected(async::wait_error(why));
    if (left_early(flight->result)) continue;  // its time was over, not ours
    if (shared_ != nullptr) shared_->increment();
    report = flight->report;
    report.usage.cost = {};  // the first pays
    if (flight->result && on_shared_) TESSERA_CO_CHECK(on_shared_(context, report));
    co_return flight->result;
  }
}

}  // namespace tessera::llm
