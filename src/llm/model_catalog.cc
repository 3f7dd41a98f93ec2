#include "llm/model_catalog.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "llm/extractive/extractive_model.h"

namespace tessera::llm {
namespace {

constexpr size_t kNamesInMessage = 20;

bool has(const CatalogEntry& entry, std::string_view model) {
  return std::ranges::find(entry.models, model) != entry.models.end();
}

// "openai/gpt-4o" with the provider's name taken off; empty when the name is another.
std::string_view without_provider(std::string_view id, std::string_view provider) {
  if (id.size() <= provider.size() + 1 || !id.starts_with(provider) || id[provider.size()] != '/') return {};
  return id.substr(provider.size() + 1);
}

// A name that no provider's model has: a mistyped one is no reason to send a conversation away.
bool is_ours(std::string_view id) {
  static constexpr std::string_view kOurs[] = {"tessera/", "extractive/", "mock/", "llama_cpp/", "whisper/"};
  return id == "auto" || std::ranges::any_of(kOurs, [id](std::string_view name) { return id.starts_with(name); });
}

}  // namespace

base::Result<std::unique_ptr<ModelCatalog>> ModelCatalog::create(std::vector<CatalogEntry> entries,
                                                                 std::string default_model,
                                                                 std::vector<CatalogRoute> routes) {
  std::set<std::string_view> names;
  for (const CatalogEntry& entry : entries) {
    if (!names.insert(entry.provider).second) {
      return base::fail(base::Code::invalid, "PROVIDER_TWICE",
                        fmt::format("two providers are called {}; rename one", entry.provider));
    }
  }
  std::unique_ptr<ModelCatalog> catalog(new ModelCatalog(std::move(entries), std::move(routes)));
  if (default_model.empty()) default_model = kExtractiveModelId;
  auto found = catalog->find(default_model);
  if (!found) {
    base::Error error = std::move(found).error();
    error.code = base::Code::invalid;
    return std::unexpected(std::move(error));
  }
  catalog->default_model_ = std::move(default_model);
  return catalog;
}

ModelCatalog::ModelCatalog(std::vector<CatalogEntry> entries, std::vector<CatalogRoute> routes)
    : entries_(std::move(entries)), routes_(std::move(routes)) {
  for (const CatalogRoute& route : routes_) by_name_.emplace(route.info.id, &route);
  for (const CatalogRoute& route : routes_) {
    for (const std::string& name : route.names) by_name_.emplace(name, &route);
  }
}

const CatalogRoute* ModelCatalog::route_of(std::string_view id) const {
  const auto found = by_name_.find(id);
  return found == by_name_.end() ? nullptr : found->second;
}

const CatalogEntry* ModelCatalog::entry_of(std::string_view id) const {
  for (const CatalogEntry& entry : entries_) {
    const std::string_view rest = without_provider(id, entry.provider);
    if (!rest.empty() && (entry.any_model || has(entry, rest))) return &entry;
  }
  for (const CatalogEntry& entry : entries_) {
    if (has(entry, id)) return &entry;
  }
  if (id.empty() || is_ours(id)) return nullptr;
  const auto found = std::ranges::find(entries_, true, &CatalogEntry::bare_names);
  return found == entries_.end() ? nullptr : &*found;
}

base::Result<std::shared_ptr<core::ChatModel>> ModelCatalog::find(std::string_view id) const {
  if (const CatalogRoute* route = route_of(id)) return route->model;
  if (const CatalogEntry* entry = entry_of(id)) return entry->model;
  std::string known;
  size_t count = 0;
  for (const core::ModelInfo& model : list()) {
    if (++count > kNamesInMessage) break;
    known += (known.empty() ? "" : ", ") + model.id;
  }
  if (count > kNamesInMessage) known += ", ...";
  return base::fail(base::Code::not_found, "MODEL_NOT_FOUND",
                    fmt::format("there is no model {}; there are: {}", id.substr(0, 100), known), "", "model");
}

std::optional<core::ModelInfo> ModelCatalog::info(std::string_view id) const {
  if (const CatalogRoute* route = route_of(id)) return route->info;
  const CatalogEntry* entry = entry_of(id);
  if (entry == nullptr) return std::nullopt;
  return core::ModelInfo{std::string(id), entry->provider, entry->needs_sources};
}

core::ModelPorts ModelCatalog::ports(std::string_view id) const {
  if (const CatalogRoute* route = route_of(id)) return route->ports;
  const CatalogEntry* entry = entry_of(id);
  return entry == nullptr ? core::ModelPorts{} : entry->ports;
}

std::vector<core::ModelInfo> ModelCatalog::list() const {
  std::vector<core::ModelInfo> models;
  for (const CatalogRoute& route : routes_) {
    if (route_of(route.info.id) == &route) models.push_back(route.info);
  }
  for (const CatalogEntry& entry : entries_) {
    for (const std::string& model : entry.models) {
      // A bare name that an earlier provider answers to needs this one's name before it.
      if (route_of(model) != nullptr) continue;
      const bool taken = entry_of(model) != &entry;
      models.push_back(
          core::ModelInfo{taken ? entry.provider + "/" + model : model, entry.provider, entry.needs_sources});
    }
  }
  return models;
}

}  // namespace tessera::llm
