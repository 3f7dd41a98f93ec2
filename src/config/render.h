#pragma once

#include <string>

#include "config/load.h"

namespace tessera::config {

/// What stands for a secret that is set.
inline constexpr std::string_view kRedacted = "(set)";

/// The effective settings as YAML, each with where it came from; secrets redacted.
std::string show_yaml(const Loaded& loaded);
/// The same as a JSON object of sections, values only; secrets redacted.
std::string show_json(const Settings& settings);

/// Every setting with kind, default, limits, names and help.
std::string reference_text();
/// The same as the page docs/config.md.
std::string reference_markdown();
/// A tessera.yaml with every setting at its default, commented out.
std::string reference_yaml();

}  // namespace tessera::config
