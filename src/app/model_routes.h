#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "base/result.h"
#include "config/settings.h"
#include "core/chat_model.h"
#include "core/model_profile.h"
#include "llm/model_catalog.h"
#include "llm/profiles/profile_table.h"
#include "llm/providers/provider_client.h"
#include "llm/routing/router.h"
#include "llm/routing/single_flight.h"
#include "observe/metrics.h"
#include "text/bpe.h"
#include "wire/http_client.h"

namespace tessera::app {

/// Puts something around the model of one endpoint, such as accounting.
using ModelDecorator =
    std::function<std::shared_ptr<core::ChatModel>(std::shared_ptr<core::ChatModel>, const core::EndpointInfo&)>;

/// Local chat models: they count as one provider, before all others.
struct LocalChat {
  std::string provider;
  std::vector<std::string> models;
  std::shared_ptr<core::ChatModel> model;  ///< null: there are none
  core::ModelPorts ports = {};             ///< decorated already
};

/// A model at one provider.
struct ModelPlace {
  std::string provider;
  std::string model;  ///< as the provider calls it
  [[nodiscard]] std::string full_name() const { return provider + "/" + model; }
  bool operator==(const ModelPlace&) const = default;
};

/// Who answers the model `auto`, one after the other: the first of the local models (`local_models` of the provider
/// `local`), then the first model of each provider on this machine, then of each of the others; or of `llm.provider`
/// alone. Empty when nobody does.
std::vector<ModelPlace> automatic_models(const config::Settings& settings, std::string_view local,
                                         const std::vector<std::string>& local_models);

/// Builds the routes of the configured models: provider -> decorator -> router, with one endpoint for each provider and
/// key. For the time of start-up; what it makes lives on without it.
class ModelRoutes {
 public:
  struct Means {
    std::shared_ptr<wire::HttpClient> http;
    observe::Metrics& metrics;
    const llm::ProfileTable& profiles;
    const base::Clock& clock;
    base::Random& random;
    ModelDecorator decorate;  ///< empty: nothing is put around
    LocalChat local;
    const text::BpeCounter* counter = nullptr;     ///< null: conversations are not counted
    llm::SingleFlight::OnShared note_shared = {};  ///< enters answers that were shared; empty: nobody does
  };
  /// `settings` outlives it; what `means` refers to outlives what it makes.
  ModelRoutes(const config::Settings& settings, Means means);

  /// A route for every model of `models:` and of every provider, and `auto`, if anybody answers it.
  [[nodiscard]] std::vector<llm::CatalogRoute> named();
  /// An entry for each provider, for models that nobody has listed.
  [[nodiscard]] std::vector<llm::CatalogEntry> others();

 private:
  /// One provider with one of its keys.
  struct Line {
    const config::ProviderSettings* provider = nullptr;  // null: the local models
    std::string key;
    std::shared_ptr<llm::Endpoint> endpoint;
  };
  using Place = ModelPlace;
  struct Plan {
    std::string name;
    const config::RoutedModelSettings* entry = nullptr;
    std::vector<Place> places;
    bool one_by_one = false;  // not shared by weight
  };

  void add_lines();
  [[nodiscard]] llm::EndpointOptions endpoint_options(const std::string& name, const std::string& provider,
                                                      int64_t concurrent_max) const;
  [[nodiscard]] std::vector<Place> places_of(std::string_view name) const;
  [[nodiscard]] std::vector<Place> places_of(const config::RoutedModelSettings& entry) const;
  [[nodiscard]] const config::RoutedModelSettings* entry_of(std::string_view name) const;
  /// Whatever may be asked for to reach it: what a key that is limited to some models has to list.
  [[nodiscard]] std::vector<std::string> names_of(const Place& place) const;
  [[nodiscard]] bool has_provider(std::string_view name) const;
  void add_candidates(std::vector<llm::Candidate>& to, const Place& place, const config::RoutedModelSettings* entry,
                      int64_t group);
  [[nodiscard]] std::shared_ptr<core::ChatModel> model_at(const Line& line, const std::string& model,
                                                          const config::RoutedModelSettings* entry);
  [[nodiscard]] std::shared_ptr<core::ChatModel> route(const Plan& plan);
  [[nodiscard]] llm::RouterOptions router_options() const;
  [[nodiscard]] std::shared_ptr<core::ChatModel> router_over(std::vector<llm::Candidate> candidates) const;
  [[nodiscard]] core::ModelPorts ports_of(const std::string& provider);
  [[nodiscard]] core::ModelPorts with_responses(core::ModelPorts ports,
                                                const std::shared_ptr<core::ChatModel>& model) const;
  [[nodiscard]] llm::ProviderOptions provider_options(const Line& line, const std::string& model,
                                                      const config::RoutedModelSettings* entry) const;
  [[nodiscard]] llm::CatalogRoute catalog_route(const Plan& plan, std::vector<std::string> names);

  const config::Settings& settings_;
  Means means_;
  std::map<std::string, std::vector<Line>, std::less<>> lines_;  // by provider
  std::map<std::string, core::ModelPorts, std::less<>> ports_;   // by provider
};

}  // namespace tessera::app
