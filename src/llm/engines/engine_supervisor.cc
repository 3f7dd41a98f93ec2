#include <fmt/format.h>

#include <algorithm>

#include "async/deadline.h"
#include "llm/engines/engine_state.h"

namespace tessera::llm {

using base::Code;
using core::Task;

namespace {

constexpr base::Millis kPollMin{15};
constexpr base::Millis kPollMax{500};
constexpr base::Millis kMemoryPoll{50};
constexpr size_t kDetailMax = 600;

std::string random_key(base::Random& random) {
  return fmt::format("{:016x}{:016x}", random.next(), random.next());
}

// The end of what a program said while it loaded, on one line.
std::string last_words(std::string_view said) {
  if (said.size() > kDetailMax) said.remove_prefix(said.size() - kDetailMax);
  std::string out;
  for (const char c : said) out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  return out;
}

}  // namespace

Task<> EnginePool::State::supervise(std::shared_ptr<State> self, size_t index, async::CancelToken token) {
  Instance& me = *self->instances[index];
  while (!token.cancelled()) {
    bool wanted = false;
    {
      const std::lock_guard lock(self->mutex);
      wanted = me.wanted;
    }
    if (!wanted) {
      (void)co_await me.bell.wait({.deadline = {}, .token = token});
      continue;
    }
    const End end = co_await self->run_once(index, token);
    if (const auto pause = self->settle(index, end)) (void)co_await async::sleep_for(*pause, token);
    const std::lock_guard lock(self->mutex);
    if (me.state == EngineState::pausing) me.state = EngineState::off;
  }
}

// What follows from how it ended; how long to wait before the next start.
std::optional<base::Millis> EnginePool::State::settle(size_t index, const End& end) {
  const std::lock_guard lock(mutex);
  Instance& me = *instances[index];
  me.client = nullptr;
  me.model = nullptr;
  me.slots.clear();
  me.state = EngineState::off;
  ++me.generation;
  if (end.kind != End::Kind::failed) {
    me.wanted = options.pinned;
    ask_for_engines();
    return std::nullopt;
  }
  const base::SteadyTime now = means.clock.now();
  if (end.was_ready && now - me.ready_since >= options.settle_time) me.failures = 0;
  ++me.failures;
  ++restarts;
  last_error = end.error;
  loads = end.was_ready;
  means.log.failure("engine_ended", end.error);
  // An engine that worked is started again at once; what ends again and again, with growing pauses.
  const int doublings = me.failures - (end.was_ready ? 2 : 1);
  if (doublings < 0) return std::nullopt;
  const int64_t longest = std::min(options.backoff_max.count(), options.backoff_min.count() << std::min(doublings, 20));
  const base::Millis pause(longest - static_cast<int64_t>(means.random.below(static_cast<uint64_t>(longest / 4 + 1))));
  me.state = EngineState::pausing;
  me.retry_at = now + pause;
  if (const auto error = hopeless()) {
    fail_waiting(*error);
    me.wanted = options.pinned;  // nobody is left to start it for
  }
  return pause;
}

base::Error EnginePool::State::ended(Instance& instance, bool loading) {
  const std::lock_guard lock(mutex);
  const auto& exit = instance.exit;
  const std::string how = !exit             ? "stopped answering"
                          : exit->by_signal ? fmt::format("was killed by signal {}", exit->status)
                                            : fmt::format("ended with status {}", exit->status);
  std::string detail = fmt::format("{} for model {} {}", options.spec.program, options.spec.name, how);
  if (loading && exit) detail += ": " + last_words(exit->said);
  return base::make_error(Code::unavailable, "ENGINE_FAILED",
                          loading ? "this server's local model cannot be loaded; the operator must look at its log"
                                  : "this server's local model broke off; try again",
                          std::move(detail));
}

Task<EnginePool::State::End> EnginePool::State::run_once(size_t index, async::CancelToken token) {
  Instance& me = *instances[index];
  {
    const std::lock_guard lock(mutex);
    me.state = EngineState::starting;
  }
  const auto memory = co_await reserve_memory(me, token);
  if (!memory) {
    const bool stopped = memory.error().code == Code::cancelled;
    co_return End{
        .kind = stopped ? End::Kind::stopped : End::Kind::failed, .was_ready = false, .error = memory.error()};
  }
  End end = co_await load(index, token);
  means.memory.release(memory_bytes, options.pinned);
  co_return end;
}

Task<base::Result<>> EnginePool::State::reserve_memory(Instance& instance, const async::CancelToken& token) {
  for (;;) {
    switch (means.memory.reserve(memory_bytes, options.pinned)) {
      case EngineMemory::Verdict::granted:
        co_return base::Result<>{};
      case EngineMemory::Verdict::never:
        co_return base::fail(Code::unavailable, "ENGINE_MEMORY",
                             "this server's local models may not use as much memory as this one needs",
                             fmt::format("model {} needs {} MB, memory.max_model_size allows {} MB in all",
                                         options.spec.name, memory_bytes >> 20U, means.memory.bytes_max() >> 20U));
      case EngineMemory::Verdict::later:
        break;
    }
    const auto why = co_await instance.bell.wait({.deadline = means.clock.now() + kMemoryPoll, .token = token});
    if (why == async::Wake::cancelled) co_return std::unexpected(base::make_error(Code::cancelled, "CANCELLED", ""));
  }
}

base::Result<> EnginePool::State::start_child(size_t index, const EngineDoor& door) {
  Instance& me = *instances[index];
  uint64_t generation = 0;
  {
    const std::lock_guard lock(mutex);
    me.exit.reset();
    generation = ++me.generation;
  }
  const auto on_exit = [self = shared_from_this(), index, generation](const ChildExit& exit) {
    const std::lock_guard lock(self->mutex);
    Instance& gone = *self->instances[index];
    if (gone.generation != generation) return;
    gone.exit = exit;
    gone.child = 0;
    if (gone.state == EngineState::ready) gone.state = EngineState::suspect;  // no more requests from this moment on
    gone.bell.ring();
  };
  auto command = launch_command(options.spec, door, index, instances.size());
  TESSERA_TRY(const ChildHost::ChildId child, means.children.start(std::move(command), on_exit));
  const std::lock_guard lock(mutex);
  if (!me.exit) me.child = child;
  return {};
}

Task<EnginePool::State::End> EnginePool::State::load(size_t index, async::CancelToken token) {
  Instance& me = *instances[index];
  const base::SteadyTime begun = means.clock.now();
  const auto failed = [](base::Error error) {
    return End{.kind = End::Kind::failed, .was_ready = false, .error = std::move(error)};
  };
  const auto port = free_loopback_port();
  if (!port) co_return failed(port.error());
  const EngineDoor door{.port = *port,
                        .key = options.spec.kind == EngineKind::transcription ? "" : random_key(means.random)};
  if (const auto started = start_child(index, door); !started) co_return failed(started.error());
  const auto loaded = co_await wait_loaded(me, *port, token);
  if (!loaded) {
    co_await end_child(me, base::Millis(0));
    const bool stopped = loaded.error().code == Code::cancelled;
    co_return End{
        .kind = stopped ? End::Kind::stopped : End::Kind::failed, .was_ready = false, .error = loaded.error()};
  }
  open_door(index, door);
  means.log.log(base::LogLevel::info, "engine_ready",
                {{"kind", to_string(options.spec.kind)},
                 {"model", std::string_view(options.spec.name)},
                 {"instance", static_cast<int64_t>(index)},
                 {"ms", std::chrono::duration_cast<base::Millis>(means.clock.now() - begun).count()}});
  co_return co_await watch(index, *port, token);
}

// From here on requests may come, and what the program writes is dropped.
void EnginePool::State::open_door(size_t index, const EngineDoor& door) {
  ProviderOptions provider;
  const bool speech = options.spec.kind == EngineKind::transcription;
  provider.name = kLocalProvider;
  if (const ProviderKind* kind = find_provider_kind(speech ? "whisper-server" : "llama-server")) provider.kind = kind;
  provider.base_url = fmt::format("http://127.0.0.1:{}/v1", door.port);
  provider.api_key = door.key;
  provider.connect_timeout = base::Millis(2'000);
  provider.first_token_timeout = provider.idle_timeout = provider.total_timeout = options.call_timeout;
  provider.attempts_max = 1;  // another try goes to another engine
  provider.concurrent_max = static_cast<size_t>(options.spec.slots) + 1;
  auto client = std::make_shared<ProviderClient>(std::move(provider), means.http, means.clock, means.random);
  auto model = std::make_shared<OpenAiModel>(client);

  std::unique_lock lock(mutex);
  Instance& me = *instances[index];
  const ChildHost::ChildId child = me.child;
  me.client = std::move(client);
  me.model = std::move(model);
  me.slots.assign(static_cast<size_t>(std::max<int64_t>(1, options.spec.slots)), Slot{});
  me.state = me.exit ? EngineState::suspect : EngineState::ready;
  me.used = me.ready_since = means.clock.now();
  last_error.reset();
  loads = true;
  lock.unlock();
  means.children.mute(child);
  lock.lock();
  serve_waiting();
}

Task<bool> EnginePool::State::healthy(uint16_t port, const async::CancelToken& token) const {
  wire::ClientRequest request;
  request.url = fmt::format("http://127.0.0.1:{}/health", port);
  request.connect_timeout = base::Millis(1'000);
  request.first_byte_timeout = request.idle_timeout = request.total_timeout = options.health_timeout;
  request.body_bytes_max = 64UL << 10U;
  request.cancel = token;
  const auto answer = co_await means.http->fetch(std::move(request));
  co_return answer && answer->status == 200;
}

// It listens soon, and answers 503 while the model loads.
Task<base::Result<>> EnginePool::State::wait_loaded(Instance& instance, uint16_t port,
                                                    const async::CancelToken& token) {
  const base::SteadyTime end = means.clock.now() + options.load_timeout;
  base::Millis pause = kPollMin;
  for (;;) {
    (void)co_await instance.bell.wait({.deadline = means.clock.now() + pause, .token = token});
    if (token.cancelled()) co_return std::unexpected(base::make_error(Code::cancelled, "CANCELLED", ""));
    bool gone = false;
    {
      const std::lock_guard lock(mutex);
      gone = instance.exit.has_value();
    }
    if (gone) co_return std::unexpected(ended(instance, true));
    if (co_await healthy(port, token)) co_return base::Result<>{};
    if (means.clock.now() >= end) {
      co_return base::fail(
          Code::unavailable, "ENGINE_FAILED",
          "this server's local model takes too long to load; the operator must look at its log",
          fmt::format("model {} did not load in {} ms", options.spec.name, options.load_timeout.count()));
    }
    pause = std::min(kPollMax, pause * 3 / 2);
  }
}

// Until the process ends, has to be ended, or is not needed any more.
Task<EnginePool::State::End> EnginePool::State::watch(size_t index, uint16_t port, async::CancelToken token) {
  Instance& me = *instances[index];
  base::SteadyTime check_at = means.clock.now() + options.health_interval;
  int missed = 0;
  for (;;) {
    (void)co_await me.bell.wait({.deadline = check_at, .token = token});
    if (token.cancelled()) {
      co_await end_child(me, options.stop_grace);
      co_return End{.kind = End::Kind::stopped, .was_ready = true, .error = {}};
    }
    const base::SteadyTime now = means.clock.now();
    std::unique_lock lock(mutex);
    const bool gone = me.exit.has_value();
    const bool suspect = me.state == EngineState::suspect;
    const bool idle = !options.pinned && options.idle_timeout.count() > 0 && me.busy() == 0 && waiting.empty() &&
                      now >= me.used + options.idle_timeout;
    if (!gone && idle) me.state = EngineState::stopping;
    const bool unload = me.state == EngineState::stopping;
    lock.unlock();
    if (gone) co_return End{.kind = End::Kind::failed, .was_ready = true, .error = ended(me, false)};
    if (unload) {
      means.log.log(base::LogLevel::info, "engine_unloaded", {{"model", std::string_view(options.spec.name)}});
      co_await end_child(me, options.stop_grace);
      co_return End{.kind = End::Kind::unloaded, .was_ready = true, .error = {}};
    }
    if (!suspect && now < check_at) continue;
    const bool well = co_await healthy(port, token);
    missed = well ? 0 : missed + 1;
    if (missed >= (suspect ? 2 : 3)) {
      co_await end_child(me, base::Millis(0));
      co_return End{.kind = End::Kind::failed, .was_ready = true, .error = ended(me, false)};
    }
    lock.lock();
    if (well && !me.exit && me.state == EngineState::suspect) {
      me.state = EngineState::ready;
      serve_waiting();
    }
    const bool soon = me.state == EngineState::suspect || missed > 0;
    lock.unlock();
    const base::Millis until = soon ? std::min(base::Millis(200), options.health_interval) : options.health_interval;
    check_at = means.clock.now() + until;
  }
}

// The host kills it after `grace` at the latest, so this wait ends by itself.
Task<> EnginePool::State::end_child(Instance& instance, base::Millis grace) {
  ChildHost::ChildId child = 0;
  {
    const std::lock_guard lock(mutex);
    if (instance.state == EngineState::ready) instance.state = EngineState::stopping;
    child = instance.exit ? 0 : instance.child;
  }
  if (child != 0) means.children.stop(child, grace);
  for (;;) {
    {
      const std::lock_guard lock(mutex);
      if (instance.exit || instance.child == 0) co_return;
    }
    (void)co_await instance.bell.wait();
  }
}

void EnginePool::State::unload_one() {
  const std::lock_guard lock(mutex);
  if (options.pinned || !waiting.empty()) return;
  Instance* oldest = nullptr;
  for (const auto& each : instances) {
    if (each->state != EngineState::ready || each->busy() > 0) continue;
    if (oldest == nullptr || each->used < oldest->used) oldest = each.get();
  }
  if (oldest == nullptr) return;
  oldest->state = EngineState::stopping;
  oldest->bell.ring();
}

}  // namespace tessera::llm
