#include <cstdint>
#include <cstdlib>

#include "config/load.h"
#include "config/render.h"

using namespace tessera::config;

// Any bytes as a configuration file, and as the value of a few variables: either settings, which can be shown and
// loaded again, or a named problem.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  Sources sources;
  sources.file = File{.name = "f", .text = text};
  if (size < 64) {
    sources.environment["TESSERA_SERVER_BODY_BYTES_MAX"] = text;
    sources.environment["REQUEST_TIMEOUT"] = text;
    sources.environment["CORS_ORIGINS"] = text;
  }
  const auto loaded = load(sources);
  if (!loaded) {
    if (loaded.error().message.empty()) std::abort();
    return 0;
  }
  const bool secret = !loaded->settings->openai.api_key.empty() || !loaded->settings->providers.empty();
  if (secret) return 0;
  Sources again;
  again.file = File{.name = "g", .text = show_yaml(*loaded)};
  const auto reloaded = load(again);
  if (!reloaded || show_json(*reloaded->settings) != show_json(*loaded->settings)) std::abort();
  return 0;
}
