#include <fmt/format.h>
#include <unistd.h>

#include <condition_variable>
#include <mutex>
#include <thread>

#include "account/keys.h"
#include "app/commands.h"
#include "app/engine.h"
#include "app/local_models.h"
#include "app/server.h"
#include "app/server_note.h"
#include "app/stop_signals.h"

namespace tessera::app {
namespace {

/// Ends the process when stopping takes longer than it may. What was acknowledged is on disk already, so nothing is
/// lost; the next start catches the indexes up.
class StopBound {
 public:
  StopBound(base::Millis bound, base::Logger& log)
      : thread_([this, bound, &log] {
          std::unique_lock lock(mutex_);
          if (changed_.wait_for(lock, bound, [this] { return done_; })) return;
          log.log(base::LogLevel::error, "stop_forced", {{"after_ms", bound.count()}});
          log.flush();
          _exit(kExitFailure);
        }) {}
  ~StopBound() {
    {
      const std::lock_guard lock(mutex_);
      done_ = true;
    }
    changed_.notify_one();
    thread_.join();
  }
  StopBound(const StopBound&) = delete;
  StopBound& operator=(const StopBound&) = delete;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool done_ = false;  // guarded by mutex_
  std::thread thread_;
};

/// Time for flushing after the grace period for requests.
constexpr base::Millis kFlushTime{10'000};

void announce(const Server& server, const config::Settings& settings, const Terminal& terminal) {
  std::string text = fmt::format("Tessera {} listening on {}\n", version(), server.url());
  if (terminal.out_is_terminal) {
    const bool memory = settings.storage.backend == "memory";
    text += fmt::format("Data in {}. Model {}. Ctrl-C stops.\n",
                        memory ? "memory only" : harmless(settings.storage.directory, false),
                        harmless(default_model_text(settings), false));
  }
  write_out(text);
}

/// Nobody could call, and no key can be made over HTTP without one.
base::Error no_keys(const config::Settings& settings) {
  return base::make_error(
      base::Code::invalid, "NO_KEYS",
      fmt::format("auth.mode is keys, and there is no key in force yet. Make the first one, then start again:\n"
                  "  tessera keys create --data '{}' --app default --scopes all",
                  settings.storage.directory));
}

}  // namespace

int serve(const Invocation& invocation, const Surroundings& here) {
  const auto loaded = load_settings(invocation, here);
  if (!loaded) return report(here.terminal, loaded.error());
  const config::Settings& settings = *loaded->settings;
  StopSignals signals;
  const auto log = make_logger(settings, here.terminal, true);

  auto engine = Engine::create(loaded->settings, *log);
  if (!engine) return report(here.terminal, engine.error());
  if (settings.auth.mode == "keys" && (*engine)->keys().empty()) return report(here.terminal, no_keys(settings));
  auto server = Server::start(**engine);
  if (!server) return report(here.terminal, server.error());
  std::optional<ServerNote> note;
  if (settings.storage.backend != "memory") {
    auto written = ServerNote::write(settings.storage.directory, (*server)->url());
    if (!written) return report(here.terminal, written.error());
    note.emplace(*std::move(written));
  }
  log->log(base::LogLevel::info, "listening",
           {{"url", std::string_view((*server)->url())},
            {"version", version()},
            {"shards", int64_t((*engine)->shards().count())}});
  announce(**server, settings, here.terminal);

  const std::string_view signal = signals.wait();
  log->log(base::LogLevel::info, "stopping", {{"signal", signal}});
  const base::Millis grace = settings.server.shutdown_grace_ms;
  const StopBound bound(grace + kFlushTime, *log);
  bool whole = (*server)->stop(grace);
  note.reset();
  server->reset();
  whole = (*engine)->stop(kFlushTime / 2) && whole;
  engine->reset();
  log->log(base::LogLevel::info, "stopped", {{"cut", !whole}});
  log->flush();
  return kExitOk;
}

}  // namespace tessera::app
