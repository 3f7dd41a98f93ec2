#include "store/sqlite/sqlite_ledger.h"

#include <algorithm>
#include <array>
#include <map>
#include <tuple>

#include "store/ledger_rules.h"
#include "store/rules.h"
#include "store/sqlite/schema.h"

namespace tessera::store {
namespace {

using core::LedgerEntry;
using core::LedgerGroup;
using core::Task;
using core::UsageRow;

// One row of usage_days: what it is of, by reference into the entries of one write.
using DayKey = std::tuple<std::string_view, int64_t, std::string_view, std::string_view, std::string_view,
                          std::string_view, std::string_view>;

DayKey day_key(const LedgerEntry& e) {
  return {e.tenant.app_id, day_of(e.at_ms), e.key_id, e.user_id, e.workflow, e.provider, e.model};
}

// A row that is there already takes the new numbers in.
#define ADD_TO_ROW                                                                           \
  "ON CONFLICT DO UPDATE SET "                                                               \
  "calls = calls + excluded.calls, prompt_tokens = prompt_tokens + excluded.prompt_tokens, " \
  "cached_prompt_tokens = cached_prompt_tokens + excluded.cached_prompt_tokens, "            \
  "completion_tokens = completion_tokens + excluded.completion_tokens, "                     \
  "cache_write_tokens = cache_write_tokens + excluded.cache_write_tokens, "                  \
  "cost_pico_usd = cost_pico_usd + excluded.cost_pico_usd"

base::Result<> add_to_day(Connection& db, const DayKey& key, const UsageRow& sum) {
  const auto& [app, day, key_id, user, workflow, provider, model] = key;
  return run(db, "INSERT INTO usage_days VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) " ADD_TO_ROW, app, day, key_id,
             user, workflow, provider, model, sum.calls, sum.prompt_tokens, sum.cached_prompt_tokens,
             sum.completion_tokens, sum.cost.pico_usd, sum.cache_write_tokens);
}

base::Result<> write_held(Connection& db, const LedgerEntry& e) {
  return run(db,
             "INSERT OR IGNORE INTO held_calls SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13 "
             "WHERE NOT EXISTS (SELECT 1 FROM ledger WHERE app_id = ?1 AND call_id = ?2)",
             e.tenant.app_id, e.call_id, e.at_ms, e.request_id, e.key_id, e.user_id, e.workflow, e.provider, e.model,
             e.prompt_tokens, e.completion_tokens, e.cost.pico_usd, e.response_id);
}

base::Result<> write_entries(WriteScope& scope, const std::vector<LedgerEntry>& entries) {
  std::map<DayKey, UsageRow> days;
  for (const LedgerEntry& e : entries) {
    if (e.outcome == core::CallOutcome::held) {
      TESSERA_CHECK(write_held(scope.db, e));
      continue;
    }
    if (!e.response_id.empty()) {
      TESSERA_CHECK(
          run(scope.db, "DELETE FROM held_calls WHERE app_id = ? AND call_id = ?", e.tenant.app_id, e.call_id));
    }
    TESSERA_CHECK(run(scope.db, "INSERT OR IGNORE INTO ledger VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                      e.tenant.app_id, e.call_id, e.at_ms, e.request_id, e.key_id, e.user_id, e.workflow, e.provider,
                      e.model, static_cast<int64_t>(e.outcome), e.prompt_tokens, e.cached_prompt_tokens,
                      e.completion_tokens, e.estimated, e.cost.pico_usd, e.cache_write_tokens));
    if (scope.db.changed() == 0) continue;
    UsageRow& sum = days[day_key(e)];
    ++sum.calls;
    sum.prompt_tokens += e.prompt_tokens;
    sum.cached_prompt_tokens += e.cached_prompt_tokens;
    sum.cache_write_tokens += e.cache_write_tokens;
    sum.completion_tokens += e.completion_tokens;
    sum.cost += e.cost;
  }
  for (const auto& [key, sum] : days) TESSERA_CHECK(add_to_day(scope.db, key, sum));
  return {};
}

// Sums whole days from usage_days and the ends of the span from the entries; groups by what is asked (the others are
// blank) and sorts by the places that were asked for. One text, since statements are kept by theirs.
constexpr const char* kSum = R"sql(
WITH parts AS (
  SELECT app_id, key_id, user_id, workflow, provider, model, day,
         calls, prompt_tokens, cached_prompt_tokens, completion_tokens, cost_pico_usd, cache_write_tokens
  FROM usage_days WHERE app_id = ?1 AND day >= ?2 AND day < ?3
  UNION ALL
  SELECT app_id, key_id, user_id, workflow, provider, model, at_ms / 86400000,
         1, prompt_tokens, cached_prompt_tokens, completion_tokens, cost_pico_usd, cache_write_tokens
  FROM ledger WHERE app_id = ?1 AND at_ms >= ?4 AND at_ms < ?5
  UNION ALL
  SELECT app_id, key_id, user_id, workflow, provider, model, at_ms / 86400000,
         1, prompt_tokens, cached_prompt_tokens, completion_tokens, cost_pico_usd, cache_write_tokens
  FROM ledger WHERE app_id = ?1 AND at_ms >= ?6 AND at_ms < ?7
), sums AS (
  SELECT iif(?12, app_id, '') AS g0, iif(?13, key_id, '') AS g1, iif(?14, user_id, '') AS g2,
         iif(?15, workflow, '') AS g3, iif(?16, provider, '') AS g4, iif(?17, model, '') AS g5,
         iif(?18, date(day * 86400, 'unixepoch'), '') AS g6,
         sum(calls) AS calls, sum(prompt_tokens) AS prompt, sum(cached_prompt_tokens) AS cached,
         sum(completion_tokens) AS completion, sum(cost_pico_usd) AS cost,
         sum(cache_write_tokens) AS written
  FROM parts
  WHERE (?8 = '' OR key_id = ?8) AND (?9 = '' OR user_id = ?9) AND (?10 = '' OR workflow = ?10)
    AND (?11 = '' OR model = ?11)
  GROUP BY 1, 2, 3, 4, 5, 6, 7
)
SELECT g0, g1, g2, g3, g4, g5, g6, calls, prompt, cached, completion, cost, written FROM sums
ORDER BY CASE ?19 WHEN 0 THEN g0 WHEN 1 THEN g1 WHEN 2 THEN g2 WHEN 3 THEN g3 WHEN 4 THEN g4 WHEN 5 THEN g5 ELSE g6 END,
         CASE ?20 WHEN 0 THEN g0 WHEN 1 THEN g1 WHEN 2 THEN g2 WHEN 3 THEN g3 WHEN 4 THEN g4 WHEN 5 THEN g5 ELSE g6 END,
         CASE ?21 WHEN 0 THEN g0 WHEN 1 THEN g1 WHEN 2 THEN g2 WHEN 3 THEN g3 WHEN 4 THEN g4 WHEN 5 THEN g5 ELSE g6 END,
         CASE ?22 WHEN 0 THEN g0 WHEN 1 THEN g1 WHEN 2 THEN g2 WHEN 3 THEN g3 WHEN 4 THEN g4 WHEN 5 THEN g5 ELSE g6 END,
         CASE ?23 WHEN 0 THEN g0 WHEN 1 THEN g1 WHEN 2 THEN g2 WHEN 3 THEN g3 WHEN 4 THEN g4 WHEN 5 THEN g5 ELSE g6 END,
         CASE ?24 WHEN 0 THEN g0 WHEN 1 THEN g1 WHEN 2 THEN g2 WHEN 3 THEN g3 WHEN 4 THEN g4 WHEN 5 THEN g5 ELSE g6 END,
         CASE ?25 WHEN 0 THEN g0 WHEN 1 THEN g1 WHEN 2 THEN g2 WHEN 3 THEN g3 WHEN 4 THEN g4 WHEN 5 THEN g5 ELSE g6 END
LIMIT ?26
)sql";

base::Result<std::vector<UsageRow>> read_usage(Connection& db, const core::LedgerFilter& filter,
                                               const std::vector<LedgerGroup>& groups, int64_t limit) {
  const UsageSpan span = usage_span(filter.from_ms, filter.to_ms);
  std::array<int64_t, kLedgerGroups> asked{};
  std::array<int64_t, kLedgerGroups> order{};
  for (size_t i = 0; i < groups.size(); ++i) {
    const auto column = static_cast<size_t>(groups[i]);
    asked.at(column) = 1;
    order.at(i) = static_cast<int64_t>(column);
  }
  // The places left over repeat the first, which changes nothing.
  for (size_t i = groups.size(); i < order.size(); ++i) order.at(i) = order[0];
  Query query(db, kSum, filter.tenant.app_id, span.first_day, span.last_day, span.from, span.head_end, span.tail_begin,
              span.to, filter.key_id, filter.user_id, filter.workflow, filter.model, asked[0], asked[1], asked[2],
              asked[3], asked[4], asked[5], asked[6], order[0], order[1], order[2], order[3], order[4], order[5],
              order[6], std::clamp<int64_t>(limit, 0, kUsageRowsMax));
  std::vector<UsageRow> rows;
  while (query.next()) {
    UsageRow row;
    for (const LedgerGroup group : groups) row.keys.push_back(query.string(static_cast<int>(group)));
    row.calls = query.integer(7);
    row.prompt_tokens = query.integer(8);
    row.cached_prompt_tokens = query.integer(9);
    row.completion_tokens = query.integer(10);
    row.cost.pico_usd = query.integer(11);
    row.cache_write_tokens = query.integer(12);
    rows.push_back(std::move(row));
  }
  TESSERA_CHECK(query.finish());
  return rows;
}

base::Result<int64_t> erase_user_entries(Connection& db, const std::string& app, const std::string& user) {
  TESSERA_CHECK(run(db, "UPDATE ledger SET user_id = '' WHERE app_id = ? AND user_id = ?", app, user));
  const int64_t erased = db.changed();
  TESSERA_CHECK(run(db,
                    "INSERT INTO usage_days SELECT app_id, day, key_id, '', workflow, provider, model, calls, "
                    "prompt_tokens, cached_prompt_tokens, completion_tokens, cost_pico_usd, cache_write_tokens "
                    "FROM usage_days "
                    "WHERE app_id = ? AND user_id = ? " ADD_TO_ROW,
                    app, user));
  TESSERA_CHECK(run(db, "DELETE FROM usage_days WHERE app_id = ? AND user_id = ?", app, user));
  TESSERA_CHECK(run(db, "UPDATE held_calls SET user_id = '' WHERE app_id = ? AND user_id = ?", app, user));
  return erased;
}

base::Result<std::vector<LedgerEntry>> read_held(Connection& db) {
  std::vector<LedgerEntry> all;
  Query query(db,
              "SELECT app_id, call_id, at_ms, request_id, key_id, user_id, workflow, provider, model, prompt_tokens, "
              "completion_tokens, cost_pico_usd, response_id FROM held_calls ORDER BY app_id, call_id");
  while (query.next()) {
    LedgerEntry& entry = all.emplace_back();
    entry.tenant.app_id = query.string(0);
    entry.call_id = query.string(1);
    entry.at_ms = query.integer(2);
    entry.request_id = query.string(3);
    entry.key_id = query.string(4);
    entry.user_id = query.string(5);
    entry.workflow = query.string(6);
    entry.provider = query.string(7);
    entry.model = query.string(8);
    entry.outcome = core::CallOutcome::held;
    entry.prompt_tokens = query.integer(9);
    entry.completion_tokens = query.integer(10);
    entry.estimated = true;
    entry.cost.pico_usd = query.integer(11);
    entry.response_id = query.string(12);
  }
  TESSERA_CHECK(query.finish());
  return all;
}

base::Result<std::vector<core::Budget>> read_budgets(Connection& db) {
  std::vector<core::Budget> budgets;
  Query query(db,
              "SELECT app_id, budget_id, scope, subject, period, limit_pico_usd, hard, created_at_ms FROM budgets "
              "ORDER BY app_id, budget_id");
  while (query.next()) {
    budgets.push_back({.budget_id = query.string(1),
                       .tenant = {query.string(0)},
                       .scope = static_cast<core::BudgetScope>(query.integer(2)),
                       .subject = query.string(3),
                       .period = static_cast<core::BudgetPeriod>(query.integer(4)),
                       .limit = {query.integer(5)},
                       .hard = query.integer(6) != 0,
                       .created_at_ms = query.integer(7)});
  }
  TESSERA_CHECK(query.finish());
  return budgets;
}

}  // namespace

static_assert(static_cast<size_t>(LedgerGroup::day) + 1 == kLedgerGroups);

Task<base::Result<>> SqliteLedger::append_entries(std::vector<LedgerEntry> entries) {
  TESSERA_CO_CHECK(check_entries(entries));
  if (entries.empty()) co_return base::Result<>{};
  const WriteHints hints{.bytes = entries.size() * sizeof(LedgerEntry), .more = false};
  co_return co_await writer_.run(
      [entries = std::move(entries)](WriteScope& scope) { return write_entries(scope, entries); }, hints);
}

Task<base::Result<std::vector<LedgerEntry>>> SqliteLedger::load_held() {
  co_return co_await readers_.run([](Connection& db) { return read_held(db); });
}

Task<base::Result<int64_t>> SqliteLedger::erase_user(core::Tenant tenant, std::string user_id) {
  TESSERA_CO_CHECK(check_tenant(tenant));
  if (user_id.empty()) co_return std::unexpected(user_required());
  co_return co_await writer_.run([app = std::move(tenant.app_id), user = std::move(user_id)](WriteScope& scope) {
    return erase_user_entries(scope.db, app, user);
  });
}

Task<base::Result<std::vector<UsageRow>>> SqliteLedger::sum_usage(core::LedgerFilter filter,
                                                                  std::vector<LedgerGroup> groups, int64_t limit) {
  TESSERA_CO_CHECK(check_usage(filter, groups));
  co_return co_await readers_.run([&](Connection& db) { return read_usage(db, filter, groups, limit); });
}

base::Result<std::unique_ptr<LedgerFile>> LedgerFile::open(const std::string& path) {
  TESSERA_TRY(auto connection, Connection::open(path, Connection::Mode::read_only));
  TESSERA_CHECK(check_schema(*connection, path));
  return std::unique_ptr<LedgerFile>(new LedgerFile(std::move(connection)));
}

base::Result<std::vector<std::string>> LedgerFile::list_apps() {
  std::vector<std::string> apps;
  Query query(*connection_, "SELECT DISTINCT app_id FROM usage_days ORDER BY app_id");
  while (query.next()) apps.push_back(query.string(0));
  TESSERA_CHECK(query.finish());
  return apps;
}

base::Result<std::vector<UsageRow>> LedgerFile::sum_usage(const core::LedgerFilter& filter,
                                                          const std::vector<LedgerGroup>& groups, int64_t limit) {
  TESSERA_CHECK(check_usage(filter, groups));
  return read_usage(*connection_, filter, groups, limit);
}

Task<base::Result<>> SqliteBudgets::put_budget(core::Budget budget) {
  TESSERA_CO_CHECK(check_budget(budget));
  co_return co_await writer_.run([b = std::move(budget)](WriteScope& scope) {
    return run(scope.db, "INSERT OR REPLACE INTO budgets VALUES (?, ?, ?, ?, ?, ?, ?, ?)", b.tenant.app_id, b.budget_id,
               static_cast<int64_t>(b.scope), b.subject, static_cast<int64_t>(b.period), b.limit.pico_usd, b.hard,
               b.created_at_ms);
  });
}

Task<base::Result<std::vector<core::Budget>>> SqliteBudgets::load_budgets() {
  co_return co_await readers_.run([](Connection& db) { return read_budgets(db); });
}

Task<base::Result<>> SqliteBudgets::delete_budget(core::Tenant tenant, std::string budget_id) {
  TESSERA_CO_CHECK(check_tenant(tenant));
  co_return co_await writer_.run(
      [tenant = std::move(tenant), id = std::move(budget_id)](WriteScope& scope) -> base::Result<> {
        TESSERA_CHECK(run(scope.db, "DELETE FROM budgets WHERE app_id = ? AND budget_id = ?", tenant.app_id, id));
        if (scope.db.changed() == 0) return std::unexpected(budget_not_found());
        return {};
      });
}

}  // namespace tessera::store
