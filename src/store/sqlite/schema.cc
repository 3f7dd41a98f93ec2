#include "store/sqlite/schema.h"

#include <fmt/core.h>

#include <array>

namespace tessera::store {
namespace {

using base::Code;

// Append only: a released step never changes.
constexpr std::array<const char*, kSchemaVersion> kSteps = {R"sql(
CREATE TABLE counters(
  id INTEGER PRIMARY KEY CHECK (id = 1),
  sequence INTEGER NOT NULL,
  collection_id INTEGER NOT NULL,
  document_key INTEGER NOT NULL,
  chunk_key INTEGER NOT NULL,
  text_key INTEGER NOT NULL,
  session_key INTEGER NOT NULL
) STRICT;
INSERT INTO counters VALUES (1, 0, 0, 0, 0, 0, 0);

CREATE TABLE collections(
  collection_id INTEGER PRIMARY KEY,
  app_id TEXT NOT NULL,
  name TEXT NOT NULL,
  chunk_size INTEGER NOT NULL,
  chunk_overlap INTEGER NOT NULL,
  embedding_model TEXT NOT NULL,
  stemming INTEGER NOT NULL,
  metadata_schema TEXT NOT NULL,
  created_at_ms INTEGER NOT NULL,
  documents INTEGER NOT NULL,
  chunks INTEGER NOT NULL,
  UNIQUE (app_id, name),
  UNIQUE (app_id, collection_id)
) STRICT;

CREATE TABLE documents(
  document_key INTEGER PRIMARY KEY,
  app_id TEXT NOT NULL,
  document_id TEXT NOT NULL,
  collection_id INTEGER NOT NULL,
  title TEXT NOT NULL,
  content_type TEXT NOT NULL,
  source TEXT NOT NULL,
  metadata BLOB NOT NULL,
  content_hash TEXT NOT NULL,
  version INTEGER NOT NULL,
  text_bytes INTEGER NOT NULL,
  first_text INTEGER NOT NULL,
  texts INTEGER NOT NULL,
  first_chunk INTEGER NOT NULL,
  chunks INTEGER NOT NULL,
  sequence INTEGER NOT NULL,
  created_at_ms INTEGER NOT NULL,
  updated_at_ms INTEGER NOT NULL,
  UNIQUE (app_id, document_id),
  FOREIGN KEY (app_id, collection_id) REFERENCES collections(app_id, collection_id)
) STRICT;
CREATE INDEX documents_by_collection ON documents(app_id, collection_id, document_id);

CREATE TABLE texts(
  text_key INTEGER PRIMARY KEY,
  app_id TEXT NOT NULL,
  document_key INTEGER NOT NULL,
  bytes BLOB NOT NULL
) STRICT;

CREATE TABLE chunks(
  chunk_key INTEGER PRIMARY KEY,
  app_id TEXT NOT NULL,
  document_key INTEGER NOT NULL,
  ordinal INTEGER NOT NULL,
  start_byte INTEGER NOT NULL,
  end_byte INTEGER NOT NULL,
  tokens INTEGER NOT NULL,
  heading_path TEXT NOT NULL
) STRICT;

CREATE TABLE vectors(
  document_key INTEGER PRIMARY KEY,
  app_id TEXT NOT NULL,
  dimensions INTEGER NOT NULL,
  halves BLOB NOT NULL
) STRICT;

CREATE TABLE changes(
  sequence INTEGER PRIMARY KEY,
  app_id TEXT NOT NULL,
  kind INTEGER NOT NULL,
  collection_id INTEGER NOT NULL,
  document_key INTEGER NOT NULL
) STRICT;

CREATE TABLE sessions(
  session_key INTEGER PRIMARY KEY,
  app_id TEXT NOT NULL,
  session_id TEXT NOT NULL,
  user_id TEXT NOT NULL,
  title TEXT NOT NULL,
  created_at_ms INTEGER NOT NULL,
  last_active_ms INTEGER NOT NULL,
  messages INTEGER NOT NULL,
  UNIQUE (app_id, session_id),
  UNIQUE (app_id, session_key)
) STRICT;
CREATE INDEX sessions_by_activity ON sessions(app_id, last_active_ms, session_id);
CREATE INDEX sessions_by_user ON sessions(app_id, user_id, last_active_ms, session_id);

CREATE TABLE messages(
  app_id TEXT NOT NULL,
  session_key INTEGER NOT NULL,
  sequence INTEGER NOT NULL,
  message_id TEXT NOT NULL,
  role TEXT NOT NULL,
  content TEXT NOT NULL,
  model TEXT NOT NULL,
  state TEXT NOT NULL,
  sources TEXT NOT NULL,
  prompt_tokens INTEGER NOT NULL,
  completion_tokens INTEGER NOT NULL,
  cost_usd REAL NOT NULL,
  created_at_ms INTEGER NOT NULL,
  PRIMARY KEY (app_id, session_key, sequence),
  FOREIGN KEY (app_id, session_key) REFERENCES sessions(app_id, session_key)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX messages_by_id ON messages(app_id, session_key, message_id);

CREATE TABLE tasks(
  app_id TEXT NOT NULL,
  task_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  collection TEXT NOT NULL,
  path TEXT NOT NULL,
  watch INTEGER NOT NULL,
  state TEXT NOT NULL,
  total INTEGER NOT NULL,
  done INTEGER NOT NULL,
  added INTEGER NOT NULL,
  updated INTEGER NOT NULL,
  unchanged INTEGER NOT NULL,
  deleted INTEGER NOT NULL,
  failed INTEGER NOT NULL,
  failures TEXT NOT NULL,
  error TEXT NOT NULL,
  created_at_ms INTEGER NOT NULL,
  updated_at_ms INTEGER NOT NULL,
  PRIMARY KEY (app_id, task_id)
) STRICT;
CREATE INDEX tasks_by_age ON tasks(app_id, created_at_ms, task_id);
CREATE INDEX tasks_unfinished ON tasks(app_id, task_id) WHERE state IN ('running', 'watching');
)sql",
                                                            R"sql(
ALTER TABLE documents ADD COLUMN source_stamp INTEGER NOT NULL DEFAULT 0;
CREATE INDEX documents_by_source ON documents(app_id, collection_id, source, document_id, content_hash, source_stamp)
  WHERE source <> '';
)sql",
                                                            R"sql(
CREATE TABLE api_keys(
  app_id TEXT NOT NULL,
  key_id TEXT NOT NULL,
  name TEXT NOT NULL,
  hint TEXT NOT NULL,
  hash BLOB NOT NULL UNIQUE,
  scopes TEXT NOT NULL,
  models TEXT NOT NULL,
  requests_per_minute INTEGER NOT NULL,
  tokens_per_minute INTEGER NOT NULL,
  created_at_ms INTEGER NOT NULL,
  expires_at_ms INTEGER NOT NULL,
  revoked_at_ms INTEGER NOT NULL,
  PRIMARY KEY (app_id, key_id)
) STRICT;
)sql",
                                                            R"sql(
CREATE TABLE ledger(
  app_id TEXT NOT NULL,
  call_id TEXT NOT NULL,
  at_ms INTEGER NOT NULL,
  request_id TEXT NOT NULL,
  key_id TEXT NOT NULL,
  user_id TEXT NOT NULL,
  workflow TEXT NOT NULL,
  provider TEXT NOT NULL,
  model TEXT NOT NULL,
  outcome INTEGER NOT NULL,
  prompt_tokens INTEGER NOT NULL,
  cached_prompt_tokens INTEGER NOT NULL,
  completion_tokens INTEGER NOT NULL,
  estimated INTEGER NOT NULL,
  cost_pico_usd INTEGER NOT NULL,
  PRIMARY KEY (app_id, call_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX ledger_by_time ON ledger(app_id, at_ms);

CREATE TABLE usage_days(
  app_id TEXT NOT NULL,
  day INTEGER NOT NULL,
  key_id TEXT NOT NULL,
  user_id TEXT NOT NULL,
  workflow TEXT NOT NULL,
  provider TEXT NOT NULL,
  model TEXT NOT NULL,
  calls INTEGER NOT NULL,
  prompt_tokens INTEGER NOT NULL,
  cached_prompt_tokens INTEGER NOT NULL,
  completion_tokens INTEGER NOT NULL,
  cost_pico_usd INTEGER NOT NULL,
  PRIMARY KEY (app_id, day, key_id, user_id, workflow, provider, model)
) STRICT, WITHOUT ROWID;

CREATE TABLE budgets(
  app_id TEXT NOT NULL,
  budget_id TEXT NOT NULL,
  scope INTEGER NOT NULL,
  subject TEXT NOT NULL,
  period INTEGER NOT NULL,
  limit_pico_usd INTEGER NOT NULL,
  hard INTEGER NOT NULL,
  created_at_ms INTEGER NOT NULL,
  PRIMARY KEY (app_id, budget_id)
) STRICT, WITHOUT ROWID;
)sql",
                                                            R"sql(
CREATE TABLE response_owners(
  response_id TEXT PRIMARY KEY,
  app_id TEXT NOT NULL,
  model TEXT NOT NULL,
  created_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX response_owners_by_age ON response_owners(created_at_ms);
)sql",
                                                            R"sql(
ALTER TABLE ledger ADD COLUMN cache_write_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE usage_days ADD COLUMN cache_write_tokens INTEGER NOT NULL DEFAULT 0;

CREATE TABLE held_calls(
  app_id TEXT NOT NULL,
  call_id TEXT NOT NULL,
  at_ms INTEGER NOT NULL,
  request_id TEXT NOT NULL,
  key_id TEXT NOT NULL,
  user_id TEXT NOT NULL,
  workflow TEXT NOT NULL,
  provider TEXT NOT NULL,
  model TEXT NOT NULL,
  prompt_tokens INTEGER NOT NULL,
  completion_tokens INTEGER NOT NULL,
  cost_pico_usd INTEGER NOT NULL,
  response_id TEXT NOT NULL,
  PRIMARY KEY (app_id, call_id)
) STRICT, WITHOUT ROWID;
ALTER TABLE response_owners ADD COLUMN endpoint TEXT NOT NULL DEFAULT '';
)sql",
                                                            R"sql(
ALTER TABLE tasks ADD COLUMN key_id TEXT NOT NULL DEFAULT '';
)sql"};

base::Result<int64_t> ask(Connection& connection, const char* sql) {
  Query query(connection, sql);
  const int64_t value = query.next() ? query.integer(0) : 0;
  TESSERA_CHECK(query.finish());
  return value;
}

base::Result<> not_ours(const std::string& path, const char* why) {
  return base::fail(Code::invalid, "DATABASE_NOT_OURS",
                    fmt::format("{} {}; name another path, or move that file away.", path, why));
}

base::Result<> step(Connection& connection, int64_t from) {
  TESSERA_CHECK(connection.execute("BEGIN IMMEDIATE"));
  TESSERA_CHECK(connection.execute(kSteps[static_cast<size_t>(from)]));
  const std::string mark =
      fmt::format("PRAGMA application_id = {}; PRAGMA user_version = {}", kApplicationId, from + 1);
  TESSERA_CHECK(connection.execute(mark.c_str()));
  return connection.execute("COMMIT");
}

}  // namespace

base::Result<> check_schema(Connection& connection, const std::string& path) {
  TESSERA_TRY(const int64_t application, ask(connection, "PRAGMA application_id"));
  if (application != kApplicationId) return not_ours(path, "is not the database of a Tessera");
  TESSERA_TRY(const int64_t version, ask(connection, "PRAGMA user_version"));
  if (version != kSchemaVersion) return not_ours(path, "was written by another version, which has to read it");
  return {};
}

base::Result<> migrate(Connection& connection, const std::string& path) {
  const auto application = ask(connection, "PRAGMA application_id");
  if (!application) {
    const base::Error& error = application.error();
    if (error.name != "DATABASE_DAMAGED") return std::unexpected(error);
    return base::fail(
        Code::unavailable, "DATABASE_DAMAGED",
        fmt::format("{} is damaged, or not a database; restore it from a backup, or name another path.", path),
        error.detail);
  }
  TESSERA_TRY(const int64_t version, ask(connection, "PRAGMA user_version"));
  TESSERA_TRY(const int64_t tables, ask(connection, "SELECT count(*) FROM sqlite_master"));
  const bool fresh = tables == 0 && version == 0;
  if (!fresh && *application != kApplicationId) return not_ours(path, "is the database of another program");
  if (version > kSchemaVersion) {
    return base::fail(Code::invalid, "DATABASE_TOO_NEW",
                      fmt::format("The database {} was made by a newer Tessera (schema {} > {}); upgrade the program.",
                                  path, version, kSchemaVersion));
  }
  if (version < 0) return not_ours(path, "has a schema number that no Tessera wrote");
  for (int64_t from = version; from < kSchemaVersion; ++from) {
    if (auto done = step(connection, from); !done) {
      if (connection.in_transaction()) (void)connection.execute("ROLLBACK");
      return done;
    }
  }
  return {};
}

}  // namespace tessera::store
