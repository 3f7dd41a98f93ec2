// What accounting adds to a call: the check of a key among many, by 1 to 4 threads; a reservation against four budgets
// and its settlement, with the ledger written behind it, by 1 to 4 threads on the same budgets; the estimate of a
// prompt; an entry on its way into SQLite.
#include <benchmark/benchmark.h>

#include <filesystem>

#include "account/estimate.h"
#include "account/keys.h"
#include "account/spending.h"
#include "async/run_blocking.h"
#include "async/shards.h"
#include "base/id.h"
#include "store/memory/memory_store.h"
#include "store/sqlite/sqlite_store.h"

namespace {

using namespace tessera;

// Takes everything and keeps nothing: the ledger's own time is measured apart.
class NoLedger final : public core::Ledger {
 public:
  core::Task<base::Result<>> append_entries(std::vector<core::LedgerEntry>) override { co_return base::Result<>{}; }
  core::Task<base::Result<std::vector<core::LedgerEntry>>> load_held() override {
    co_return std::vector<core::LedgerEntry>{};
  }
  core::Task<base::Result<std::vector<core::UsageRow>>> sum_usage(core::LedgerFilter, std::vector<core::LedgerGroup>,
                                                                  int64_t) override {
    co_return std::vector<core::UsageRow>{};
  }
  core::Task<base::Result<int64_t>> erase_user(core::Tenant, std::string) override { co_return 0; }
};

struct Desk {
  Desk() {
    if (!async::sync_wait(spending.load())) std::abort();
    for (int scope = 0; scope < 4; ++scope) {
      core::Budget budget;
      budget.budget_id = "b" + std::to_string(scope);
      budget.tenant = {"app"};
      budget.scope = static_cast<core::BudgetScope>(scope);
      budget.subject = scope == 0 ? "" : "*";
      budget.limit = {INT64_MAX};
      if (!async::sync_wait(spending.put_budget(budget))) std::abort();
    }
  }
  base::SystemClock clock;
  std::unique_ptr<base::Logger> log = base::silent_logger();
  observe::Metrics metrics;
  async::Shards loop{1};
  store::MemoryStore store{clock};
  NoLedger ledger;
  account::Spending spending{{ledger, store.budgets(), clock, *log, metrics, loop.executor(0)},
                             {.entries_max = 10'000'000}};
};

core::LedgerEntry entry_for_call(std::string call_id) {
  core::LedgerEntry entry;
  entry.call_id = std::move(call_id);
  entry.request_id = "019a0000-0000-7000-8000-000000000000";
  entry.tenant = {"app"};
  entry.key_id = "019a0000-0000-7000-8000-000000000001";
  entry.user_id = "user";
  entry.provider = "openai";
  entry.model = "gpt-4o-mini";
  entry.prompt_tokens = 50;
  entry.completion_tokens = 20;
  entry.cost = {19'500'000};
  entry.at_ms = 1'750'000'000'000;
  return entry;
}

void BM_reserve_and_settle(benchmark::State& state) {
  static Desk desk;
  const account::CallOwner owner{.app_id = "app", .key_id = "key", .user_id = "user", .workflow = "flow"};
  const core::LedgerEntry entry = entry_for_call("019a0000-0000-7000-8000-000000000002");
  for (auto _ : state) {
    auto hold = desk.spending.reserve(owner, {1'000'000});
    if (!hold) {
      state.SkipWithError(hold.error().name.c_str());
      break;
    }
    desk.spending.settle(*std::move(hold), entry);
  }
}
BENCHMARK(BM_reserve_and_settle)->Threads(1)->Threads(2)->Threads(4)->UseRealTime();

/// A ring with many keys, and one of them as a client shows it.
struct Ring {
  explicit Ring(int64_t keys) {
    if (!async::sync_wait(ring.load())) std::abort();
    account::NewKey wanted;
    wanted.scopes = account::ScopeSet::all();
    for (int64_t i = 0; i < keys; ++i) {
      auto made = async::sync_wait(ring.create({"app"}, wanted));
      if (!made) std::abort();
      secret = std::move(made->secret);
    }
  }
  base::SystemClock clock;
  base::SystemRandom random;
  base::IdSource ids{clock, random};
  store::MemoryStore store{clock};
  account::KeyRing ring{{store.keys(), clock, random, ids}};
  std::string secret;
};

void check_key(benchmark::State& state, Ring& ring) {
  for (auto _ : state) {
    auto grant = ring.ring.check(ring.secret);
    if (!grant) std::abort();
    benchmark::DoNotOptimize(grant);
  }
}
void BM_check_key_of_10(benchmark::State& state) {
  static Ring ring(10);
  check_key(state, ring);
}
void BM_check_key_of_10000(benchmark::State& state) {
  static Ring ring(10'000);
  check_key(state, ring);
}
BENCHMARK(BM_check_key_of_10)->Threads(1)->Threads(2)->Threads(4)->UseRealTime();
BENCHMARK(BM_check_key_of_10000)->Threads(1)->Threads(2)->Threads(4)->UseRealTime();

void BM_estimate(benchmark::State& state) {
  const text::BpeCounter counter{text::BpeVocabulary::o200k()};
  std::string prompt;
  while (static_cast<int64_t>(prompt.size()) < state.range(0)) prompt += "The ferry to Holm leaves at seven. ";
  const std::string body = R"({"model":"m","messages":[{"role":"user","content":")" + prompt + R"("}]})";
  for (auto _ : state) benchmark::DoNotOptimize(account::estimate_relay(body, counter, nullptr));
}
BENCHMARK(BM_estimate)->Arg(200)->Arg(5'000)->Arg(10'000)->Arg(400'000);

void BM_ledger_sqlite(benchmark::State& state) {
  const auto folder = std::filesystem::temp_directory_path() / "tessera-account-bench";
  std::filesystem::remove_all(folder);
  base::SystemClock clock;
  base::SystemRandom random;
  const base::IdSource ids(clock, random);
  const auto log = base::silent_logger();
  async::BlockingPool pool{async::BlockingPoolOptions{.name = "read", .threads = 1}};
  {
    auto store = store::SqliteStore::open({.path = (folder / "tessera.db").string()}, pool, clock, *log);
    if (!store) std::abort();
    for (auto _ : state) {
      state.PauseTiming();
      std::vector<core::LedgerEntry> entries;
      for (int64_t i = 0; i < state.range(0); ++i) entries.push_back(entry_for_call(ids.next()));
      state.ResumeTiming();
      if (!async::sync_wait((*store)->ledger().append_entries(std::move(entries)))) std::abort();
    }
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
  std::filesystem::remove_all(folder);
}
BENCHMARK(BM_ledger_sqlite)->Arg(1)->Arg(100)->Arg(1000)->UseRealTime();

}  // namespace
