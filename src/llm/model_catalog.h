#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/chat_model.h"
#include "core/model_ports.h"

namespace tessera::llm {

/// One provider of the catalog: `models` are the names it answers to; with `any_model` every "NAME/..." does, with
/// `bare_names` every name that is nobody else's, too.
struct CatalogEntry {
  std::string provider;
  std::vector<std::string> models;
  std::shared_ptr<core::ChatModel> model;
  bool needs_sources = false;
  bool any_model = false;
  bool bare_names = false;
  core::ModelPorts ports = {};  ///< what the provider does besides chat
};

/// One model that answers to names of its own. `names` are further ones beside `info.id`.
struct CatalogRoute {
  core::ModelInfo info;
  std::vector<std::string> names;
  std::shared_ptr<core::ChatModel> model;
  core::ModelPorts ports = {};
};

/// The models of this server: what the composition root put in, found by "PROVIDER/MODEL" or by the bare model name
/// (the first provider that has it wins). Immutable, hence thread-safe.
class ModelCatalog final : public core::ModelCatalog {
 public:
  /// An empty `default_model` means tessera/extractive. Errors: invalid MODEL_NOT_FOUND when there is no such default,
  /// PROVIDER_TWICE.
  /// A route comes before what the entries say of its names; of two routes with one name, the earlier.
  static base::Result<std::unique_ptr<ModelCatalog>> create(std::vector<CatalogEntry> entries,
                                                            std::string default_model = {},
                                                            std::vector<CatalogRoute> routes = {});

  [[nodiscard]] base::Result<std::shared_ptr<core::ChatModel>> find(std::string_view id) const override;
  [[nodiscard]] std::optional<core::ModelInfo> info(std::string_view id) const override;
  [[nodiscard]] std::vector<core::ModelInfo> list() const override;
  [[nodiscard]] std::string default_model() const override { return default_model_; }
  [[nodiscard]] core::ModelPorts ports(std::string_view id) const override;

 private:
  ModelCatalog(std::vector<CatalogEntry> entries, std::vector<CatalogRoute> routes);
  [[nodiscard]] const CatalogEntry* entry_of(std::string_view id) const;
  [[nodiscard]] const CatalogRoute* route_of(std::string_view id) const;

  std::vector<CatalogEntry> entries_;
  std::vector<CatalogRoute> routes_;
  std::unordered_map<std::string_view, const CatalogRoute*> by_name_;  // into routes_
  std::string default_model_;
};

}  // namespace tessera::llm
