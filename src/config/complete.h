#pragma once

#include "config/load.h"
#include "config/problems.h"

namespace tessera::config {

/// The last step of loading: fills in what follows from other settings (keys from the environment, the provider that
/// `openai` stands for, the default model, the dimensions of known embedding models) and checks settings against each
/// other.
void complete(Settings& settings, const Environment& environment, Problems& problems);

}  // namespace tessera::config
