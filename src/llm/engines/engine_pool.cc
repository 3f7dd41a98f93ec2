#include "llm/engines/engine_pool.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "async/channel.h"
#include "llm/engines/engine_state.h"

namespace tessera::llm {

using base::Code;
using core::Task;

namespace {

uint64_t size_of(const std::string& path) {
  std::error_code failed;
  const auto size = std::filesystem::file_size(path, failed);
  return failed ? 0 : size;
}

base::Error shutting_down() {
  return base::make_error(Code::unavailable, "SHUTTING_DOWN", "the server is stopping; try again later");
}

}  // namespace

size_t EnginePool::Instance::busy() const {
  return static_cast<size_t>(std::ranges::count_if(slots, &Slot::busy));
}

EnginePool::State::State(EnginePoolOptions given, EngineMeans shared)
    : options(std::move(given)),
      means(std::move(shared)),
      memory_bytes(options.memory_bytes != 0 ? options.memory_bytes : size_of(options.spec.model_path)) {
  for (size_t i = 0; i < std::max<size_t>(1, options.instances); ++i) {
    instances.push_back(std::make_unique<Instance>());
    instances.back()->wanted = options.pinned;
  }
}

// ---- slots

std::unique_ptr<EnginePool::Grant> EnginePool::State::grant(const Prefix& prefix) {
  std::vector<std::span<const Slot>> engines;
  for (const auto& each : instances) {
    engines.push_back(each->state == EngineState::ready ? std::span<const Slot>(each->slots) : std::span<const Slot>());
  }
  SlotChoice choice;
  if (!choose_slot(engines, prefix, choice)) return nullptr;
  Instance& engine = *instances[choice.engine];
  Slot& slot = engine.slots[choice.slot];
  ++requests;
  if (choice.common > 0 && choice.common * 2 >= slot.prefix.size()) ++continued;
  slot = {.prefix = prefix, .used = ++uses, .busy = true};
  auto made = std::make_unique<Grant>();
  *made = {.state = shared_from_this(),
           .engine = choice.engine,
           .slot = choice.slot,
           .generation = engine.generation,
           .client = engine.client,
           .model = engine.model};
  return made;
}

void EnginePool::State::serve_waiting() {
  while (!waiting.empty()) {
    auto granted = grant(waiting.front()->prefix);
    if (granted == nullptr) break;
    const auto first = std::move(waiting.front());
    waiting.pop_front();
    first->grant = std::move(granted);
    first->waiter.wake();
  }
  ask_for_engines();
}

// One more engine for as many requests as the ones that are on their way cannot take.
void EnginePool::State::ask_for_engines() {
  const auto slots = static_cast<size_t>(std::max<int64_t>(1, options.spec.slots));
  size_t coming = 0;
  for (const auto& each : instances) {
    const bool comes = each->state == EngineState::starting || each->state == EngineState::suspect ||
                       each->state == EngineState::pausing || (each->state == EngineState::off && each->wanted);
    if (comes) coming += slots;
  }
  for (const auto& each : instances) {
    if (waiting.size() <= coming) return;
    if (each->state != EngineState::off || each->wanted) continue;
    each->wanted = true;
    each->bell.ring();
    coming += slots;
  }
}

// Waiting for an engine that cannot be loaded would only end at the deadline.
std::optional<base::Error> EnginePool::State::hopeless() const {
  if (!last_error || loads) return std::nullopt;
  base::SteadyTime next = base::SteadyTime::max();
  for (const auto& each : instances) {
    if (each->state != EngineState::pausing && each->state != EngineState::off) return std::nullopt;
    if (each->state == EngineState::pausing) next = std::min(next, each->retry_at);
  }
  if (next == base::SteadyTime::max()) return std::nullopt;
  base::Error error = *last_error;
  error.retry_after = std::max(base::Millis(100), std::chrono::ceil<base::Millis>(next - means.clock.now()));
  return error;
}

void EnginePool::State::fail_waiting(const base::Error& error) {
  for (const auto& each : waiting) {
    each->error = error;
    each->waiter.wake();
  }
  waiting.clear();
}

std::optional<base::SteadyTime> EnginePool::State::idle_since() const {
  const std::lock_guard lock(mutex);
  if (options.pinned || !waiting.empty()) return std::nullopt;
  std::optional<base::SteadyTime> oldest;
  for (const auto& each : instances) {
    if (each->state != EngineState::ready || each->busy() > 0) continue;
    if (!oldest || each->used < *oldest) oldest = each->used;
  }
  return oldest;
}

Task<base::Result<EnginePool::Lease>> EnginePool::acquire(const core::RequestContext& context, Prefix prefix) {
  const auto state = state_;
  TESSERA_CO_CHECK(context.check(state->means.clock));
  const auto mine = std::make_shared<State::Waiting>();
  mine->prefix = std::move(prefix);
  mine->priority = context.priority;
  {
    const std::lock_guard lock(state->mutex);
    if (state->closed) co_return std::unexpected(shutting_down());
    if (auto error = state->hopeless()) co_return std::unexpected(*std::move(error));
    if (state->waiting.empty()) {
      if (auto granted = state->grant(mine->prefix)) co_return Lease(std::move(granted));
    }
    if (state->waiting.size() >= state->options.waiting_max) {
      auto full = base::make_error(Code::exhausted, "ENGINE_QUEUE_FULL",
                                   "too many requests wait for this server's local model; try again later");
      full.retry_after = base::Millis(1000);
      co_return std::unexpected(std::move(full));
    }
    auto place = state->waiting.end();
    if (mine->priority == core::Priority::interactive) {
      place = std::ranges::find(state->waiting, core::Priority::background, [](auto& each) { return each->priority; });
    }
    state->waiting.insert(place, mine);
    state->ask_for_engines();
  }
  async::WaitBounds bounds{.deadline = {}, .token = context.cancel};
  if (context.deadline != base::SteadyTime::max()) bounds.deadline = context.deadline;
  const async::Wake why = co_await mine->waiter.wait(std::move(bounds));
  std::unique_lock lock(state->mutex);
  std::erase(state->waiting, mine);
  if (mine->error) co_return std::unexpected(*std::move(mine->error));
  auto granted = std::move(mine->grant);
  lock.unlock();
  if (granted == nullptr) co_return std::unexpected(async::wait_error(why));
  Lease lease(std::move(granted));  // given back if its caller has just left
  if (why != async::Wake::ready) co_return std::unexpected(async::wait_error(why));
  co_return lease;
}

// ---- leases

EnginePool::Lease::Lease(std::unique_ptr<Grant> grant) : grant_(std::move(grant)) {}
EnginePool::Lease::Lease(Lease&&) noexcept = default;

EnginePool::Lease::~Lease() {
  if (grant_ == nullptr) return;
  State& state = *grant_->state;
  const std::lock_guard lock(state.mutex);
  Instance& engine = *state.instances[grant_->engine];
  if (engine.generation != grant_->generation || grant_->slot >= engine.slots.size()) return;
  engine.slots[grant_->slot].busy = false;
  engine.used = state.means.clock.now();
  state.serve_waiting();
}

const std::shared_ptr<ProviderClient>& EnginePool::Lease::client() const {
  return grant_->client;
}
core::ChatModel& EnginePool::Lease::model() const {
  return *grant_->model;
}
size_t EnginePool::Lease::engine() const {
  return grant_->engine;
}
size_t EnginePool::Lease::slot() const {
  return grant_->slot;
}

void EnginePool::Lease::lost() {
  State& state = *grant_->state;
  const std::lock_guard lock(state.mutex);
  Instance& engine = *state.instances[grant_->engine];
  if (engine.generation != grant_->generation || engine.state != EngineState::ready) return;
  engine.state = EngineState::suspect;
  engine.bell.ring();
}

// ---- the pool

EnginePool::EnginePool(EnginePoolOptions options, EngineMeans means)
    : state_(std::make_shared<State>(std::move(options), std::move(means))), scope_(state_->means.executor) {
  State* const state = state_.get();
  state->means.memory.join(
      state, {.idle_since = [state] { return state->idle_since(); }, .unload = [state] { state->unload_one(); }});
  for (size_t i = 0; i < state_->instances.size(); ++i) {
    scope_.spawn([shared = state_, i](async::CancelToken token) { return State::supervise(shared, i, token); });
  }
}

EnginePool::~EnginePool() {
  stop();
}

void EnginePool::stop() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->closed = true;
    state_->fail_waiting(shutting_down());
  }
  state_->means.memory.leave(state_.get());
  scope_.cancel();
  (void)scope_.join_blocking();
}

const EngineSpec& EnginePool::spec() const {
  return state_->options.spec;
}

EngineStats EnginePool::stats() const {
  const std::lock_guard lock(state_->mutex);
  EngineStats stats;
  stats.kind = state_->options.spec.kind;
  stats.model = state_->options.spec.name;
  stats.instances = state_->instances.size();
  for (const auto& each : state_->instances) {
    const size_t busy = each->busy();
    if (each->state == EngineState::ready) ++stats.ready;
    if (each->state == EngineState::starting) ++stats.starting;
    if (each->state == EngineState::pausing || each->state == EngineState::suspect) ++stats.failing;
    if (busy > 0) ++stats.busy;
    stats.slots_busy += busy;
  }
  stats.queue = state_->waiting.size();
  stats.restarts = state_->restarts;
  stats.requests = state_->requests;
  stats.continued = state_->continued;
  if (state_->last_error) stats.last_failure = state_->last_error->message + " " + state_->last_error->detail;
  return stats;
}

int EnginePool::process_of(size_t instance) const {
  ChildHost::ChildId child = 0;
  {
    const std::lock_guard lock(state_->mutex);
    child = state_->instances[instance]->child;
  }
  return state_->means.children.process_of(child);
}

}  // namespace tessera::llm
