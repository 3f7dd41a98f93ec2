#include <algorithm>

#include "app/model_routes.h"

namespace tessera::app {
namespace {

using config::ProviderSettings;
using config::RoutedModelSettings;

// The model that a provider is known for: the first that it lists, else the first entry that names it.
std::string first_model(const ProviderSettings& provider, const std::vector<RoutedModelSettings>& entries) {
  if (!provider.models.empty()) return provider.models.front();
  const auto found = std::ranges::find_if(entries, [&](const RoutedModelSettings& entry) {
    return std::ranges::find(entry.providers, provider.name) != entry.providers.end();
  });
  return found == entries.end() ? std::string() : found->upstream;
}

}  // namespace

std::vector<ModelPlace> automatic_models(const config::Settings& settings, std::string_view local,
                                         const std::vector<std::string>& local_models) {
  std::vector<ModelPlace> places;
  const bool any = settings.llm.provider == "auto";
  const auto wanted = [&](std::string_view provider) { return any || settings.llm.provider == provider; };
  if (!local_models.empty() && wanted(local)) places.push_back({std::string(local), local_models.front()});
  for (const std::string_view location : {"local", "cloud"}) {
    for (const ProviderSettings& provider : settings.providers) {
      if (provider.location != location || !wanted(provider.name)) continue;
      std::string model = first_model(provider, settings.models);
      if (!model.empty()) places.push_back({provider.name, std::move(model)});
    }
  }
  return places;
}

}  // namespace tessera::app
