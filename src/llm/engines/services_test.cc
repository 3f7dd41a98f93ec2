#include "llm/engines/services_test.h"

#include <unistd.h>

#include <fstream>
#include <future>
#include <map>
#include <mutex>

#include "async/deadline.h"

namespace tessera::llm::testing {
namespace {

namespace fs = std::filesystem;

const fs::path kPrefix = fs::path(TESSERA_SOURCE_DIR) / ".svc";

/// Removed when the program ends.
struct Directory {
  fs::path path = fs::temp_directory_path() / ("tessera-engines-" + std::to_string(::getpid()));
  Directory() { fs::create_directories(path); }
  ~Directory() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
};

const Directory& directory() {
  static const Directory it;
  return it;
}

}  // namespace

std::string Services::scratch(const std::string& name) {
  return directory().path / name;
}

std::string Services::missing() {
  if (fs::exists(kPrefix / "version")) return {};
  std::ifstream file(kPrefix / "missing");
  std::string reason;
  std::getline(file, reason);
  return reason.empty() ? "llama-server and whisper-server were not fetched: tests/services/fetch.py" : reason;
}

std::string Services::program(const std::string& name) {
  return kPrefix / "bin" / name;
}

std::string Services::model(const std::string& kind, const std::vector<std::string>& arguments) {
  static std::mutex mutex;
  static std::map<std::string, std::string> made;
  const std::lock_guard lock(mutex);
  std::string key = kind;
  for (const std::string& each : arguments) key += "\n" + each;
  if (const auto found = made.find(key); found != made.end()) return found->second;
  const std::string file = directory().path / (kind + std::to_string(made.size()) + ".gguf");
  ChildHost host;
  std::promise<ChildExit> ended;
  std::vector<std::string> command = {"python3", std::string(TESSERA_SOURCE_DIR) + "/tests/services/models.py", kind,
                                      file};
  command.insert(command.end(), arguments.begin(), arguments.end());
  const auto child = host.start({.arguments = command, .environment = {"LANG=C.UTF-8"}},
                                [&ended](const ChildExit& exit) { ended.set_value(exit); });
  if (!child) return {};
  const ChildExit exit = ended.get_future().get();
  EXPECT_EQ(exit.status, 0) << exit.said;
  made[key] = file;
  return file;
}

EnginePoolOptions real_pool(EngineKind kind, const std::string& model_path) {
  EnginePoolOptions options;
  options.spec.kind = kind;
  options.spec.name = "tiny";
  options.spec.program = Services::program(kind == EngineKind::transcription ? "whisper-server" : "llama-server");
  options.spec.model_path = model_path;
  options.spec.slots = 2;
  options.spec.context = kind == EngineKind::chat ? 4096 : 512;
  options.load_timeout = base::Millis(60'000);
  options.backoff_min = base::Millis(20);
  options.health_interval = base::Millis(500);
  options.memory_bytes = 1'000'000;
  return options;
}

bool eventually(const std::function<bool()>& condition) {
  const base::SystemClock clock;
  const auto end = clock.now() + std::chrono::seconds(20);
  while (!condition()) {
    if (clock.now() > end) return false;
    (void)async::sync_wait(async::sleep_until(clock.now() + base::Millis(5)));
  }
  return true;
}

}  // namespace tessera::llm::testing
