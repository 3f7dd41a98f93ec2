#pragma once

#include <memory>
#include <string>
#include <vector>

#include "config/kinds.h"

namespace tessera::config {

// One struct for each section of settings.def, one member for each setting; the help texts are there.
#define TESSERA_SECTION(section, Type, help) struct Type {
#define TESSERA_SETTING(section, member, kind, default_value, limits, reload, flag, environment, help) \
  TypeOf<Kind::kind> member = detail::initial<Kind::kind>(default_value);
#define TESSERA_SECTION_END(section, Type) \
  }                                        \
  ;
#include "config/settings.def"
#undef TESSERA_SECTION
#undef TESSERA_SETTING
#undef TESSERA_SECTION_END

/// One entry of `providers:`; the members are the rows of providers.def. After loading, `api_key` holds the key that
/// `api_key_env` named, `further_api_keys` those of `api_keys_env`, and a timeout or limit left at 0 has been filled in
/// from `llm`.
struct ProviderSettings {
#define TESSERA_PROVIDER(member, kind, default_value, limits, help) \
  TypeOf<Kind::kind> member = detail::initial<Kind::kind>(default_value);
#include "config/providers.def"
#undef TESSERA_PROVIDER
  std::vector<std::string> further_api_keys;
};

/// One entry of `models:`; the members are the rows of models.def.
struct RoutedModelSettings {
#define TESSERA_ROUTED_MODEL(member, kind, default_value, limits, help) \
  TypeOf<Kind::kind> member = detail::initial<Kind::kind>(default_value);
#include "config/models.def"
#undef TESSERA_ROUTED_MODEL
};

/// Everything that can be configured, typed: `settings.server.port`. A value; loaded once by `load` (load.h) and shared
/// as an immutable snapshot. A default-constructed one holds the defaults.
struct Settings {
#define TESSERA_SECTION(section, Type, help) Type section;
#define TESSERA_SETTING(...)
#define TESSERA_SECTION_END(section, Type)
#include "config/settings.def"
#undef TESSERA_SECTION
#undef TESSERA_SETTING
#undef TESSERA_SECTION_END

  std::vector<ProviderSettings> providers;
  std::vector<RoutedModelSettings> models;
};

using Snapshot = std::shared_ptr<const Settings>;

}  // namespace tessera::config
