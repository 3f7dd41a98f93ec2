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
  /// By which name to ask for what a provider calls `model`: that of an entry of `models:` which names the provider,
  /// where `model` is one; else PROVIDER/MODEL.
  [[nodiscard]] std::string name_at(std::string_view provider, std::string_view model) const;

 private:
  /// One provider with one of its keys.
  struct Line {
    const config::ProviderSettings* provider = nullptr;  // null: the local models
    std::string key;
    std::shared_ptr<llm::Endpoint> endpoint;
  };
  using Place = ModelPlace;
  /// What serves a place at a line; null where it cannot.
  using Make =
      std::function<std::shared_ptr<core::ChatModel>(const Line&, const Place&, const config::RoutedModelSettings*)>;
  struct Plan {
    std::string name;
    const config::RoutedModelSettings* entry = nullptr;
    std::vector<Place> places;
    bool one_by_one = false;  // not shared by weight
  };
  /// Candidates for one use of a plan's model.
  struct Gathering {
    const Plan& plan;
    const Make& make;
    std::vector<llm::Candidate> candidates = {};
    int64_t group = 0;
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
  void add(Gathering& to, const Place& place, const config::RoutedModelSettings* entry, bool own) const;
  void add_stand_ins(Gathering& to) const;
  /// Who serves the plan's own places, and with `stand_ins` other models after them.
  [[nodiscard]] std::vector<llm::Candidate> gather(const Plan& plan, const Make& make, bool stand_ins) const;
  [[nodiscard]] std::shared_ptr<core::ChatModel> decorated(std::shared_ptr<core::ChatModel> model, const Line& line,
                                                           const Place& place) const;
  [[nodiscard]] std::shared_ptr<core::ChatModel> model_at(const Line& line, const Place& place,
                                                          const config::RoutedModelSettings* entry) const;
  [[nodiscard]] std::shared_ptr<core::ChatModel> port_at(core::PortKind kind, const Line& line, const Place& place,
                                                         const config::RoutedModelSettings* entry) const;
  [[nodiscard]] std::shared_ptr<core::ChatModel> route(const Plan& plan) const;
  [[nodiscard]] llm::RouterOptions router_options() const;
  [[nodiscard]] std::shared_ptr<core::ChatModel> router_over(std::vector<llm::Candidate> candidates) const;
  [[nodiscard]] core::ModelPorts ports_of(const Plan& plan) const;
  [[nodiscard]] core::ModelPorts line_ports(const Line& line, const Place& place,
                                            const config::RoutedModelSettings* entry) const;
  [[nodiscard]] llm::ProviderOptions provider_options(const Line& line, const std::string& model,
                                                      const config::RoutedModelSettings* entry) const;
  [[nodiscard]] llm::CatalogRoute catalog_route(const Plan& plan, std::vector<std::string> names) const;

  const config::Settings& settings_;
  Means means_;
  std::map<std::string, std::vector<Line>, std::less<>> lines_;  // by provider
};

}  // namespace tessera::app
