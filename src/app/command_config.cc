#include <fmt/format.h>

#include "api/api.h"
#include "app/commands.h"
#include "app/engine.h"
#include "config/render.h"
#include "observe/metrics.h"

namespace tessera::app {

int config_check(const Invocation& invocation, const Surroundings& here) {
  const auto loaded = load_settings(invocation, here);
  if (!loaded) return report(here.terminal, loaded.error());
  write_out(fmt::format("The configuration is right; {} settings are given, the others have their defaults.\n",
                        loaded->origins.size()));
  return kExitOk;
}

int config_show(const Invocation& invocation, const Surroundings& here) {
  const auto loaded = load_settings(invocation, here);
  if (!loaded) return report(here.terminal, loaded.error());
  write_out(invocation.json ? config::show_json(*loaded->settings) + "\n" : config::show_yaml(*loaded));
  return kExitOk;
}

int config_reference(const Invocation& invocation) {
  switch (invocation.form) {
    case ReferenceForm::text:
      write_out(config::reference_text());
      break;
    case ReferenceForm::markdown:
      write_out(config::reference_markdown());
      break;
    case ReferenceForm::yaml:
      write_out(config::reference_yaml());
      break;
    case ReferenceForm::metrics:
      write_out(observe::metrics_markdown());
      break;
    case ReferenceForm::openapi:
      write_out(api::openapi_json(version()) + "\n");
      break;
  }
  return kExitOk;
}

int print_version(const Invocation& invocation) {
  write_out(invocation.json ? fmt::format("{{\"version\":\"{}\"}}\n", version())
                            : fmt::format("tessera {}\n", version()));
  return kExitOk;
}

int quit(const Invocation& invocation) {
  if (invocation.exit_code == kExitOk) {
    write_out(invocation.message);
  } else {
    write_err(invocation.message);
  }
  return invocation.exit_code;
}

}  // namespace tessera::app
