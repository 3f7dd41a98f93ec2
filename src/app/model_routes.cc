#include "app/model_routes.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <set>

#include "llm/providers/provider_ports.h"
#include "llm/providers/translated_model.h"
#include "llm/routing/fitted_model.h"
#include "llm/routing/renamed_model.h"
#include "llm/routing/single_flight.h"

namespace tessera::app {
namespace {

using config::ProviderSettings;
using config::RoutedModelSettings;
using core::ModelProfile;

constexpr size_t kLocalConcurrency = 4096;  // local engines have queues of their own

// What was configured for the model, else for the provider, else what is known of the model, else the default.
base::Millis patience(base::Millis configured, base::Millis provider, base::Millis known, base::Millis initial) {
  if (configured > base::Millis(0)) return configured;
  return provider == initial && known > base::Millis(0) ? known : provider;
}

}  // namespace

ModelRoutes::ModelRoutes(const config::Settings& settings, Means means)
    : settings_(settings), means_(std::move(means)) {
  add_lines();
}

llm::EndpointOptions ModelRoutes::endpoint_options(const std::string& name, const std::string& provider,
                                                   int64_t concurrent_max) const {
  const config::LlmSettings& llm = settings_.llm;
  observe::Metrics& metrics = means_.metrics;
  llm::EndpointOptions options;
  options.name = name;
  options.breaker = {
      .failures_max = llm.breaker_failures, .open_min = llm.breaker_open_ms, .open_max = llm.breaker_open_max_ms};
  options.lanes.concurrent_max = static_cast<size_t>(concurrent_max);
  options.lanes.waiting_max = static_cast<size_t>(llm.waiting_max);
  options.lanes.interactive_wait = llm.high_priority_timeout_ms;
  options.lanes.background_wait = llm.default_priority_timeout_ms;
  options.lanes.priorities = llm.priority_queue;
  options.lanes.queue = &metrics.llm_queue.with(name);
  options.counters.retries = &metrics.llm_retries.with(provider);
  options.counters.fallbacks = &metrics.llm_fallbacks.with(name);
  options.counters.hedges = &metrics.llm_hedges.with(name);
  options.counters.breaker = &metrics.llm_breaker.with(name);
  return options;
}

void ModelRoutes::add_lines() {
  const LocalChat& local = means_.local;
  if (local.model != nullptr) {
    lines_[local.provider].push_back(
        {nullptr,
         {},
         std::make_shared<llm::Endpoint>(endpoint_options(local.provider, local.provider, kLocalConcurrency),
                                         means_.clock)});
  }
  for (const ProviderSettings& provider : settings_.providers) {
    std::vector<std::string> keys{provider.api_key};
    keys.insert(keys.end(), provider.further_api_keys.begin(), provider.further_api_keys.end());
    if (keys.size() > 1 && keys.front().empty()) keys.erase(keys.begin());
    for (size_t i = 0; i < keys.size(); ++i) {
      const std::string name = i == 0 ? provider.name : fmt::format("{}#{}", provider.name, i + 1);
      lines_[provider.name].push_back(
          {&provider, keys[i],
           std::make_shared<llm::Endpoint>(endpoint_options(name, provider.name, provider.concurrent_max),
                                           means_.clock)});
    }
  }
}

bool ModelRoutes::has_provider(std::string_view name) const {
  return lines_.find(name) != lines_.end();
}

const RoutedModelSettings* ModelRoutes::entry_of(std::string_view name) const {
  const auto found = std::ranges::find_if(settings_.models, [name](const RoutedModelSettings& entry) {
    return entry.name == name || std::ranges::find(entry.aliases, name) != entry.aliases.end();
  });
  return found == settings_.models.end() ? nullptr : &*found;
}

std::vector<ModelRoutes::Place> ModelRoutes::places_of(const RoutedModelSettings& entry) const {
  std::vector<Place> places;
  for (const std::string& provider : entry.providers) {
    if (has_provider(provider)) places.push_back({provider, entry.upstream});
  }
  if (!places.empty()) return places;
  const auto lists = [&](const std::vector<std::string>& models) {
    return std::ranges::find(models, entry.upstream) != models.end();
  };
  if (has_provider(means_.local.provider) && lists(means_.local.models)) {
    places.push_back({means_.local.provider, entry.upstream});
  }
  for (const ProviderSettings& provider : settings_.providers) {
    if (lists(provider.models)) places.push_back({provider.name, entry.upstream});
  }
  // Nobody lists it: one provider alone is meant.
  if (places.empty() && settings_.providers.size() == 1) {
    places.push_back({settings_.providers.front().name, entry.upstream});
  }
  return places;
}

std::vector<ModelRoutes::Place> ModelRoutes::places_of(std::string_view name) const {
  if (const RoutedModelSettings* entry = entry_of(name)) return places_of(*entry);
  const size_t slash = name.find('/');
  if (slash != std::string_view::npos && has_provider(name.substr(0, slash))) {
    return {{std::string(name.substr(0, slash)), std::string(name.substr(slash + 1))}};
  }
  RoutedModelSettings plain;
  plain.upstream = name;
  return places_of(plain);
}

std::vector<std::string> ModelRoutes::names_of(const Place& place) const {
  std::vector<std::string> names;
  const auto consider = [&](const std::string& name) {
    const std::vector<Place> places = places_of(name);
    if (std::ranges::find(places, place) == places.end()) return;
    if (std::ranges::find(names, name) == names.end()) names.push_back(name);
  };
  consider(place.model);
  consider(place.full_name());
  for (const RoutedModelSettings& entry : settings_.models) {
    consider(entry.name);
    for (const std::string& alias : entry.aliases) consider(alias);
  }
  return names;
}

llm::ProviderOptions ModelRoutes::provider_options(const Line& line, const std::string& model,
                                                   const RoutedModelSettings* entry) const {
  const ProviderSettings& provider = *line.provider;
  const ModelProfile* profile = model.empty() ? nullptr : means_.profiles.find(provider.name, model);
  const config::LlmSettings initial;
  const RoutedModelSettings none;
  const RoutedModelSettings& own = entry == nullptr ? none : *entry;
  const ModelProfile unknown;
  const ModelProfile& known = profile == nullptr ? unknown : *profile;
  llm::ProviderOptions options;
  options.name = provider.name;
  if (const auto* kind = llm::find_provider_kind(provider.type)) options.kind = kind;
  options.base_url = provider.base_url;
  options.api_key = line.key;
  options.api_version = provider.api_version;
  options.models = provider.models;
  options.upstream_model = model;
  options.connect_timeout =
      patience(own.connect_timeout_ms, provider.connect_timeout_ms, known.connect_timeout, initial.connect_timeout_ms);
  options.first_token_timeout = patience(own.first_token_timeout_ms, provider.first_token_timeout_ms,
                                         known.first_token_timeout, initial.first_token_timeout_ms);
  options.idle_timeout =
      patience(own.idle_timeout_ms, provider.idle_timeout_ms, known.idle_timeout, initial.idle_timeout_ms);
  options.total_timeout =
      patience(own.total_timeout_ms, provider.total_timeout_ms, known.total_timeout, initial.total_timeout_ms);
  options.attempts_max = 1;  // the router tries again, and its lanes bound the calls
  options.concurrent_max = SIZE_MAX;
  options.addresses =
      settings_.llm.allow_private_addresses ? wire::AddressPolicy::any : wire::AddressPolicy::public_only;
  return options;
}

std::shared_ptr<core::ChatModel> ModelRoutes::decorated(std::shared_ptr<core::ChatModel> model, const Line& line,
                                                        const Place& place) const {
  if (!means_.decorate) return model;
  const ModelProfile* profile = place.model.empty() ? nullptr : means_.profiles.find(place.provider, place.model);
  return means_.decorate(
      std::move(model),
      {.provider = place.provider, .endpoint = line.endpoint->name(), .model = place.model, .profile = profile});
}

std::shared_ptr<core::ChatModel> ModelRoutes::model_at(const Line& line, const Place& place,
                                                       const RoutedModelSettings* entry) const {
  const auto& [provider, model] = place;
  std::shared_ptr<core::ChatModel> made = means_.local.model;
  if (line.provider != nullptr) {
    made = llm::make_provider_model(std::make_shared<llm::ProviderClient>(provider_options(line, model, entry),
                                                                          means_.http, means_.clock, means_.random));
  }
  made = decorated(std::move(made), line, place);
  if (model.empty()) return made;
  made = std::make_shared<llm::RenamedModel>(std::move(made), provider, model);
  const ModelProfile* profile = means_.profiles.find(provider, model);
  if (means_.counter == nullptr || profile == nullptr || profile->context_window == 0) return made;
  const auto* const kind = line.provider == nullptr ? nullptr : llm::find_provider_kind(line.provider->type);
  const ModelProfile* const habits = entry == nullptr ? profile : means_.profiles.find(provider, entry->name);
  const llm::FitOptions fit{
      .window = profile->context_window,
      .completion = habits == nullptr ? 0 : habits->max_tokens.value_or(0),
      .trim = settings_.llm.context_overflow == "trim",
      // A window that somebody set may be narrower than the provider's.
      .relayed = (entry != nullptr && entry->context_window > 0) || (kind != nullptr && kind->cuts_silently)};
  return std::make_shared<llm::FittedModel>(std::move(made), fit, *means_.counter);
}

llm::RouterOptions ModelRoutes::router_options() const {
  const config::LlmSettings& llm = settings_.llm;
  llm::RouterOptions options;
  options.attempts_max = llm.attempts_max;
  options.backoff = {.min = llm.backoff_min_ms, .max = llm.backoff_max_ms};
  options.hedge = llm.hedge;
  options.hedge_after = llm.hedge_after_ms;
  return options;
}

std::shared_ptr<core::ChatModel> ModelRoutes::router_over(std::vector<llm::Candidate> candidates) const {
  std::shared_ptr<core::ChatModel> router =
      std::make_shared<llm::Router>(std::move(candidates), router_options(), means_.clock, means_.random);
  if (!settings_.llm.single_flight) return router;
  return std::make_shared<llm::SingleFlight>(std::move(router), &means_.metrics.llm_shared, means_.note_shared);
}

// Whoever may use `auto` may use all that it chooses from; else a key must list what stands in for its models.
void ModelRoutes::add(Gathering& to, const Place& place, const RoutedModelSettings* entry, bool own) const {
  const auto lines = lines_.find(place.provider);
  if (lines == lines_.end()) return;
  std::vector<std::string> names;
  if (!own || to.plan.one_by_one) names = names_of(place);
  if (to.plan.one_by_one) names.push_back(to.plan.name);
  for (const Line& line : lines->second) {
    if (to.candidates.size() >= llm::Router::kCandidatesMax) return;
    llm::Candidate candidate;
    candidate.model = to.make(line, place, entry);
    if (candidate.model == nullptr) continue;
    candidate.endpoint = line.endpoint;
    candidate.profile = means_.profiles.find(place.provider, entry == nullptr ? place.model : entry->name);
    candidate.weight = line.provider == nullptr ? 1 : line.provider->weight;
    candidate.attempts_max = line.provider == nullptr ? 0 : line.provider->attempts_max;
    candidate.group = to.group;
    candidate.names = names;
    to.candidates.push_back(std::move(candidate));
  }
}

void ModelRoutes::add_stand_ins(Gathering& to) const {
  const Plan& plan = to.plan;
  const auto stand_in = [&](std::string_view name, bool only_on_rate_limit) {
    ++to.group;
    const size_t before = to.candidates.size();
    const RoutedModelSettings* entry = entry_of(name);
    for (const Place& place : places_of(name)) {
      if (std::ranges::find(plan.places, place) == plan.places.end()) add(to, place, entry, false);
    }
    for (size_t i = before; i < to.candidates.size(); ++i) to.candidates[i].only_on_rate_limit = only_on_rate_limit;
  };
  if (plan.entry != nullptr && !plan.entry->cheaper.empty()) {
    stand_in(plan.entry->cheaper, true);
  } else if (settings_.llm.cheaper_fallback) {
    for (const Place& place : plan.places) {
      const ModelProfile* profile = means_.profiles.find(place.provider, place.model);
      const std::string_view cheaper = profile == nullptr ? "" : means_.profiles.cheaper_than(profile->id);
      if (!cheaper.empty()) stand_in(fmt::format("{}/{}", place.provider, cheaper), true);
    }
  }
  const bool own = plan.entry != nullptr && !plan.entry->fallbacks.empty();
  for (const std::string& name : own ? plan.entry->fallbacks : settings_.llm.fallbacks) stand_in(name, false);
}

std::vector<llm::Candidate> ModelRoutes::gather(const Plan& plan, const Make& make, bool stand_ins) const {
  Gathering to{.plan = plan, .make = make};
  for (const Place& place : plan.places) {
    add(to, place, plan.entry, true);
    // What is here already is not shared with what costs.
    if (plan.one_by_one || place.provider == means_.local.provider) ++to.group;
  }
  if (stand_ins) add_stand_ins(to);
  return std::move(to.candidates);
}

std::shared_ptr<core::ChatModel> ModelRoutes::route(const Plan& plan) const {
  const Make make = [this](const Line& line, const Place& place, const RoutedModelSettings* entry) {
    return model_at(line, place, entry);
  };
  std::vector<llm::Candidate> candidates = gather(plan, make, true);
  return candidates.empty() ? nullptr : router_over(std::move(candidates));
}

llm::CatalogRoute ModelRoutes::catalog_route(const Plan& plan, std::vector<std::string> names) const {
  llm::CatalogRoute made;
  made.info.id = plan.name;
  made.names = std::move(names);
  made.model = route(plan);
  if (!plan.places.empty()) {
    const Place& first = plan.places.front();
    made.info.provider = first.provider;
    made.ports = ports_of(plan);
    made.info.profile = means_.profiles.find(first.provider, plan.entry == nullptr ? first.model : plan.entry->name);
  }
  return made;
}

std::vector<llm::CatalogRoute> ModelRoutes::named() {
  std::vector<llm::CatalogRoute> routes;
  std::set<std::string, std::less<>> taken;
  const auto add = [&](const Plan& plan, std::vector<std::string> names) {
    if (plan.places.empty() || !taken.insert(plan.name).second) return;
    routes.push_back(catalog_route(plan, std::move(names)));
  };
  for (const RoutedModelSettings& entry : settings_.models) {
    add({entry.name, &entry, places_of(entry)}, entry.aliases);
  }
  std::vector<std::pair<std::string, std::string>> listed;  // provider, model
  for (const std::string& model : means_.local.models) listed.emplace_back(means_.local.provider, model);
  for (const ProviderSettings& provider : settings_.providers) {
    for (const std::string& model : provider.models) listed.emplace_back(provider.name, model);
  }
  for (const auto& [provider, model] : listed) {
    const std::string full = provider + "/" + model;
    std::vector<Place> everywhere = places_of(model);
    const RoutedModelSettings* entry = entry_of(model);
    // One route for both names where one provider serves it; else the bare name means all of them.
    if (entry == nullptr && everywhere.size() == 1 && everywhere.front().provider == provider) {
      add({model, nullptr, std::move(everywhere)}, {full});
      continue;
    }
    if (entry == nullptr) add({model, nullptr, std::move(everywhere)}, {});
    if (entry_of(full) != nullptr) continue;
    add({full, entry != nullptr && entry->upstream == model ? entry : nullptr, {{provider, model}}}, {});
  }
  const std::vector<std::string> none;
  const std::vector<std::string>& at_home = means_.local.model == nullptr ? none : means_.local.models;
  if (auto places = automatic_models(settings_, means_.local.provider, at_home); !places.empty()) {
    Plan plan{.name = "auto", .entry = nullptr, .places = std::move(places), .one_by_one = true};
    llm::CatalogRoute made;
    made.info.id = plan.name;
    made.info.provider = plan.places.front().provider;
    std::vector<std::string> choices;
    for (const Place& place : plan.places) std::ranges::move(names_of(place), std::back_inserter(choices));
    made.info.choices = std::make_shared<const std::vector<std::string>>(std::move(choices));
    made.model = route(plan);
    core::ModelPorts ports = ports_of(plan);
    made.ports.responses = std::move(ports.responses);  // for the others a model is to be named
    made.ports.stored_responses = std::move(ports.stored_responses);
    routes.push_back(std::move(made));
  }
  return routes;
}

std::vector<llm::CatalogEntry> ModelRoutes::others() {
  std::vector<llm::CatalogEntry> entries;
  for (const ProviderSettings& provider : settings_.providers) {
    const Plan plan{.name = provider.name, .entry = nullptr, .places = {{provider.name, {}}}};
    const Make make = [this](const Line& line, const Place& place, const RoutedModelSettings* own) {
      return model_at(line, place, own);
    };
    llm::CatalogEntry entry;
    entry.provider = provider.name;
    entry.model = router_over(gather(plan, make, false));
    entry.any_model = true;
    // Where nobody else could be meant, "PROVIDER/" may be left out.
    entry.bare_names = settings_.providers.size() == 1 && means_.local.model == nullptr;
    entry.ports = ports_of(plan);
    entry.ports.models = line_ports(lines_.find(provider.name)->second.front(), plan.places.front(), nullptr).models;
    entries.push_back(std::move(entry));
  }
  return entries;
}

std::string ModelRoutes::name_at(std::string_view provider, std::string_view model) const {
  const RoutedModelSettings* const entry = entry_of(model);
  if (entry != nullptr && std::ranges::find(entry->providers, provider) != entry->providers.end()) {
    return std::string(model);
  }
  return fmt::format("{}/{}", provider, model);
}

}  // namespace tessera::app
