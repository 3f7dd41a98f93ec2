#include "app/server_note.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace tessera::app {
namespace {

std::string note_path(const std::string& directory) {
  return (std::filesystem::path(directory) / "server.json").string();
}

}  // namespace

ServerNote::ServerNote(std::string path) : path_(std::move(path)) {}
ServerNote::ServerNote(ServerNote&& other) noexcept : path_(std::exchange(other.path_, {})) {}

base::Result<ServerNote> ServerNote::write(const std::string& directory, const std::string& url) {
  const std::string path = note_path(directory);
  const std::string draft = path + ".new";
  {
    std::ofstream file(draft, std::ios::trunc);
    file << boost::json::serialize(boost::json::object{{"url", url}, {"pid", getpid()}}) << '\n';
    if (!file.flush()) {
      return base::fail(base::Code::unavailable, "SERVER_NOTE", "cannot write into the data directory", draft);
    }
  }
  chmod(draft.c_str(), S_IRUSR | S_IWUSR);
  if (std::rename(draft.c_str(), path.c_str()) != 0) {
    return base::fail(base::Code::unavailable, "SERVER_NOTE", "cannot write into the data directory", path);
  }
  return ServerNote(path);
}

ServerNote::~ServerNote() {
  if (!path_.empty()) unlink(path_.c_str());
}

std::optional<std::string> ServerNote::find(const std::string& directory) {
  std::ifstream file(note_path(directory));
  std::string text(4096, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  boost::system::error_code failed;
  const boost::json::value value = boost::json::parse(text, failed);
  if (failed || !value.is_object()) return std::nullopt;
  const auto* const url = value.as_object().if_contains("url");
  const auto* const pid = value.as_object().if_contains("pid");
  if (url == nullptr || !url->is_string() || pid == nullptr || !pid->is_int64() || pid->as_int64() <= 1) {
    return std::nullopt;
  }
  const bool alive = kill(static_cast<pid_t>(pid->as_int64()), 0) == 0 || errno == EPERM;
  if (!alive) return std::nullopt;
  return std::string(url->as_string());
}

}  // namespace tessera::app
