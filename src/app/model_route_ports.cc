// What models do besides chat goes the same ways as chat.
#include <algorithm>
#include <utility>

#include "app/model_routes.h"
#include "llm/providers/provider_ports.h"
#include "llm/providers/responses_over_chat.h"
#include "llm/routing/renamed_model.h"

namespace tessera::app {
namespace {

using config::RoutedModelSettings;
using core::PortKind;

/// Responses stay with the endpoint that made them: another provider, or the same with another key, knows none of them.
class KeptResponses final : public core::StoredResponses {
 public:
  void add(const std::string& endpoint, std::shared_ptr<core::StoredResponses> keeper) {
    if (!keeps(endpoint)) keepers_.emplace_back(endpoint, std::move(keeper));
  }
  [[nodiscard]] bool empty() const { return keepers_.empty(); }

  [[nodiscard]] bool keeps(std::string_view endpoint) const override { return find(endpoint) != nullptr; }
  core::Task<base::Result<std::string>> ask_stored(const core::RequestContext& context, core::StoredResponseAsk ask,
                                                   core::RelayReport& report) override {
    if (core::StoredResponses* const keeper = find(ask.endpoint)) {
      co_return co_await keeper->ask_stored(context, std::move(ask), report);
    }
    co_return std::unexpected(gone());
  }
  core::Task<base::Result<>> stream_stored(const core::RequestContext& context, core::StoredResponseAsk ask,
                                           core::RelaySink& sink, core::RelayReport& report) override {
    if (core::StoredResponses* const keeper = find(ask.endpoint)) {
      co_return co_await keeper->stream_stored(context, std::move(ask), sink, report);
    }
    co_return std::unexpected(gone());
  }

 private:
  [[nodiscard]] core::StoredResponses* find(std::string_view endpoint) const {
    const auto named = [endpoint](const auto& each) { return endpoint.empty() || each.first == endpoint; };
    const auto found = std::ranges::find_if(keepers_, named);
    return found == keepers_.end() ? nullptr : found->second.get();
  }
  static base::Error gone() {
    return base::make_error(base::Code::not_found, "RESPONSE_NOT_FOUND",
                            "The provider that made this response is not configured any longer.", {}, "response_id");
  }

  std::vector<std::pair<std::string, std::shared_ptr<core::StoredResponses>>> keepers_;  // by endpoint
};

}  // namespace

core::ModelPorts ModelRoutes::line_ports(const Line& line, const Place& place, const RoutedModelSettings* entry) const {
  if (line.provider == nullptr) return {};
  return llm::make_provider_ports(std::make_shared<llm::ProviderClient>(provider_options(line, place.model, entry),
                                                                        means_.http, means_.clock, means_.random));
}

std::shared_ptr<core::ChatModel> ModelRoutes::port_at(PortKind kind, const Line& line, const Place& place,
                                                      const RoutedModelSettings* entry) const {
  std::shared_ptr<core::ChatModel> made = core::port_model(line_ports(line, place, entry), kind);
  if (made != nullptr) {
    made = decorated(std::move(made), line, place);
    if (place.model.empty()) return made;
    return std::make_shared<llm::RenamedModel>(std::move(made), place.provider, place.model);
  }
  if (kind != PortKind::responses) return nullptr;
  // Providers without `/responses` answer them over chat.
  std::shared_ptr<core::ChatModel> chat = model_at(line, place, entry);
  if (chat == nullptr || !chat->relays()) return nullptr;
  core::ModelPorts over;
  over.responses = llm::make_responses_over_chat(std::move(chat), means_.clock);
  return core::port_model(over, kind);
}

core::ModelPorts ModelRoutes::ports_of(const Plan& plan) const {
  core::ModelPorts ports;
  const auto kept = std::make_shared<KeptResponses>();
  for (const PortKind kind : core::kPortKinds) {
    const bool responses = kind == PortKind::responses;
    const Make make = [&](const Line& line, const Place& place, const RoutedModelSettings* entry) {
      if (responses) {
        if (auto stored = line_ports(line, place, entry).stored_responses) {
          kept->add(line.endpoint->name(), std::move(stored));
        }
      }
      return port_at(kind, line, place, entry);
    };
    // Another model's vectors mean nothing beside this one's; nor do its ranks.
    std::vector<llm::Candidate> candidates = gather(plan, make, responses);
    if (candidates.empty()) continue;
    llm::RouterOptions options = router_options();
    options.hedge = options.hedge && !responses;  // the one that comes second would be kept as well
    core::set_port(
        ports, kind,
        std::make_shared<llm::Router>(std::move(candidates), std::move(options), means_.clock, means_.random));
  }
  if (!kept->empty()) ports.stored_responses = kept;
  return ports;
}

}  // namespace tessera::app
