#pragma once

#include <vector>

#include "config/settings.h"
#include "llm/profiles/profile_table.h"

namespace tessera::app {

/// What the entries of `models:` change in the profiles that are shipped: prices and limits count under the name that
/// the provider knows, whatever a client asks for; what a request that does not say gets, under the entry's own name.
std::vector<llm::ProfileChange> profile_changes(const config::Settings& settings);

}  // namespace tessera::app
