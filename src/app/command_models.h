#pragma once

#include "app/invocation.h"

namespace CLI {
class App;
}

namespace tessera::app {

/// Adds `models list` and `models suggest` to the command line.
void add_model_commands(CLI::App& app, Invocation& into);

}  // namespace tessera::app
