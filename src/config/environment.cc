#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "config/load.h"

extern char** environ;  // NOLINT(readability-redundant-declaration): POSIX leaves the declaration to the program

namespace tessera::config {

using base::Code;

Environment process_environment() {
  Environment result;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view line(*entry);
    const size_t equals = line.find('=');
    if (equals != std::string_view::npos) result.emplace(line.substr(0, equals), line.substr(equals + 1));
  }
  return result;
}

base::Result<File> read_file(const std::string& path) {
  errno = 0;
  std::ifstream stream(path, std::ios::binary);
  if (!stream) {
    const bool missing = errno == ENOENT;
    return base::fail(missing ? Code::not_found : Code::invalid, missing ? "CONFIG_NOT_FOUND" : "CONFIG_UNREADABLE",
                      fmt::format("cannot open the configuration file {}: {}", path, std::strerror(errno)));
  }
  File file{.name = path, .text = std::string(kFileBytesMax + 1, '\0')};
  stream.read(file.text.data(), static_cast<std::streamsize>(file.text.size()));
  if (stream.bad() || (stream.fail() && !stream.eof())) {
    return base::fail(Code::invalid, "CONFIG_UNREADABLE", fmt::format("cannot read the configuration file {}", path));
  }
  file.text.resize(static_cast<size_t>(stream.gcount()));
  if (file.text.size() > kFileBytesMax) {
    return base::fail(Code::too_large, "CONFIG_TOO_LARGE",
                      fmt::format("the configuration file {} is larger than {} KiB", path, kFileBytesMax / 1024));
  }
  return file;
}

base::Result<std::optional<File>> find_file(const std::string& path, const Environment& environment) {
  std::string wanted = path;
  if (wanted.empty()) {
    const auto found = environment.find("TESSERA_CONFIG");
    if (found != environment.end()) wanted = found->second;
  }
  if (!wanted.empty()) {
    TESSERA_TRY(File file, read_file(wanted));
    return std::optional(std::move(file));
  }
  auto file = read_file("tessera.yaml");
  if (file) return std::optional(*std::move(file));
  if (file.error().code == Code::not_found) return std::nullopt;
  return std::unexpected(std::move(file).error());
}

}  // namespace tessera::config
