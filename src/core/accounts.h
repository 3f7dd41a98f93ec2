#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/chat_model.h"
#include "core/context.h"
#include "core/documents.h"
#include "core/money.h"

namespace tessera::core {

/// An API key as it is kept: never the key itself. `hash` is SHA-256 of the whole key; keys have 256 random bits.
struct ApiKey {
  std::string key_id;               ///< public, time-ordered
  Tenant tenant;                    ///< the app that it opens
  std::string name;                 ///< what people call it
  std::string hint;                 ///< its last four characters
  std::string hash;                 ///< 32 bytes
  std::vector<std::string> scopes;  ///< "chat", "ingest", "memory", "agents", "admin", "metrics"
  std::vector<std::string> models;  ///< the only ones it may use; empty: all
  int64_t requests_per_minute = 0;  ///< 0: no limit
  int64_t tokens_per_minute = 0;    ///< 0: no limit
  int64_t created_at_ms = 0;
  int64_t expires_at_ms = 0;  ///< 0: never
  int64_t revoked_at_ms = 0;  ///< 0: in force
};

/// Keys of all tenants: for the service that checks them, which alone may see more than one tenant's. Durable when a
/// task completes. Thread-safe. Errors as DocumentStore; KEY_NOT_FOUND, KEY_EXISTS.
class KeyStore {
 public:
  virtual ~KeyStore() = default;
  virtual Task<base::Result<>> add_key(ApiKey key) = 0;
  /// Of every tenant, revoked ones too, oldest first.
  virtual Task<base::Result<std::vector<ApiKey>>> load_keys() = 0;
  /// Marks it; a second time changes nothing.
  virtual Task<base::Result<ApiKey>> revoke_key(Tenant tenant, std::string key_id, int64_t at_ms) = 0;
};

/// How a call of a model ended. held: it has not, for all that is known: its provider goes on in the background.
enum class CallOutcome : uint8_t { complete, failed, cancelled, cached, held };

/// One call of a model in the ledger. Append-only. An entry that is `held` says what its call may cost at most and is
/// in no sum; the next one of its id takes its place, for good.
struct LedgerEntry {
  std::string call_id;     ///< unique; a second entry of the same id changes nothing, unless the first was held
  std::string request_id;  ///< of the request it was made for; one request may make several calls
  Tenant tenant;
  std::string key_id;
  std::string user_id;
  std::string workflow;
  std::string provider;
  std::string model;  ///< as the price table knows it
  CallOutcome outcome = CallOutcome::complete;
  int64_t prompt_tokens = 0;
  int64_t cached_prompt_tokens = 0;
  int64_t cache_write_tokens = 0;  ///< of the prompt, as cached ones
  int64_t completion_tokens = 0;
  bool estimated = false;  ///< the provider did not say; counted by us
  Money cost;
  int64_t at_ms = 0;  ///< Unix time
  /// What its provider knows it by, of an entry that is held and of the one in its place; else empty.
  std::string response_id = {};
};

/// Which entries; empty members mean any. `from_ms` <= at < `to_ms`.
struct LedgerFilter {
  Tenant tenant;  ///< required
  std::string key_id;
  std::string user_id;
  std::string workflow;
  std::string model;
  int64_t from_ms = 0;
  int64_t to_ms = INT64_MAX;
};

/// What usage is added up by.
enum class LedgerGroup : uint8_t { app, key, user, workflow, provider, model, day };

/// A sum of entries. `keys` hold one value for each group asked for, in that order; days as "2026-11-21" (UTC).
struct UsageRow {
  std::vector<std::string> keys;
  int64_t calls = 0;
  int64_t prompt_tokens = 0;
  int64_t cached_prompt_tokens = 0;
  int64_t cache_write_tokens = 0;
  int64_t completion_tokens = 0;
  Money cost;

  /// Adds another's sums to its own; its keys stay.
  void add(const UsageRow& row) {
    calls += row.calls;
    prompt_tokens += row.prompt_tokens;
    cached_prompt_tokens += row.cached_prompt_tokens;
    cache_write_tokens += row.cache_write_tokens;
    completion_tokens += row.completion_tokens;
    cost += row.cost;
  }
};

/// What money was spent on. Durable when append completes. Thread-safe. Errors as DocumentStore.
class Ledger {
 public:
  virtual ~Ledger() = default;
  virtual Task<base::Result<>> append_entries(std::vector<LedgerEntry> entries) = 0;
  /// The entries that are held, of all tenants.
  virtual Task<base::Result<std::vector<LedgerEntry>>> load_held() = 0;
  /// Rows in the order of their keys; at most `limit`.
  virtual Task<base::Result<std::vector<UsageRow>>> sum_usage(LedgerFilter filter, std::vector<LedgerGroup> groups,
                                                              int64_t limit) = 0;
  /// Takes a person's name off what was spent and what is held, so that sums stay and nobody is told by them; returns
  /// how many entries. Errors: invalid USER_REQUIRED.
  virtual Task<base::Result<int64_t>> erase_user(Tenant tenant, std::string user_id) = 0;
};

/// What may be spent. `subject` names the key, user or workflow; empty for the app.
enum class BudgetScope : uint8_t { app, key, user, workflow };
enum class BudgetPeriod : uint8_t { day, month, total };  ///< days and months in UTC
struct Budget {
  std::string budget_id;
  Tenant tenant;
  BudgetScope scope = BudgetScope::app;
  std::string subject;  ///< "*": each of them alike
  BudgetPeriod period = BudgetPeriod::month;
  Money limit;
  bool hard = true;  ///< else only a warning
  int64_t created_at_ms = 0;
};

/// Budgets of all tenants. Durable when a task completes. Thread-safe. Errors as DocumentStore; BUDGET_NOT_FOUND.
class BudgetStore {
 public:
  virtual ~BudgetStore() = default;
  /// Replaces the one of the same id.
  virtual Task<base::Result<>> put_budget(Budget budget) = 0;
  virtual Task<base::Result<std::vector<Budget>>> load_budgets() = 0;
  virtual Task<base::Result<>> delete_budget(Tenant tenant, std::string budget_id) = 0;
};

}  // namespace tessera::core
