#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "config/settings.h"

namespace tessera::config {

/// The variables of a process, by name.
using Environment = std::map<std::string, std::string, std::less<>>;

/// This process's environment: the only place that reads it.
Environment process_environment();

/// Largest configuration file.
inline constexpr size_t kFileBytesMax = 256 * 1024;

/// A configuration file in memory; `name` is for messages.
struct File {
  std::string name;
  std::string text;
};

/// The file at `path`. Errors: not_found CONFIG_NOT_FOUND, too_large CONFIG_TOO_LARGE, invalid CONFIG_UNREADABLE.
base::Result<File> read_file(const std::string& path);

/// Finds the file to use: `path` if not empty, else $TESSERA_CONFIG, else ./tessera.yaml if it exists, else none.
/// Errors as read_file (a file that was asked for must be there).
base::Result<std::optional<File>> find_file(const std::string& path, const Environment& environment);

/// Where settings come from, weakest first: defaults, file, environment, flags.
struct Sources {
  std::optional<File> file;
  Environment environment;
  std::vector<std::pair<std::string, std::string>> flags;  ///< dotted name -> value
};

/// Where the value of a setting came from: "tessera.yaml:12", "$PORT", "--server.port". Those left at their default are
/// absent.
using Origins = std::map<std::string, std::string, std::less<>>;

struct Loaded {
  Snapshot settings;
  Origins origins;
};

/// Merges, checks and completes the settings. Never reads anything but its argument; safe on hostile files (bounded
/// size, depth and count; no aliases). Errors: invalid CONFIG_INVALID, whose message has one line for each problem
/// (at most 20), each saying where it is and what would be right. Values of secrets are never in it.
base::Result<Loaded> load(const Sources& sources);

/// Whether an address to listen on is reachable from this machine only.
bool is_loopback(std::string_view host);

}  // namespace tessera::config
