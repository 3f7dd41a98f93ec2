#include "store/sqlite/sqlite_keys.h"

#include "store/rules.h"
#include "store/sqlite/codec.h"

namespace tessera::store {
namespace {

using core::ApiKey;
using core::Task;

base::Result<ApiKey> key_row(const Query& query) {
  ApiKey key;
  key.tenant.app_id = query.string(0);
  key.key_id = query.string(1);
  key.name = query.string(2);
  key.hint = query.string(3);
  key.hash = query.string(4);
  TESSERA_TRY(key.scopes, texts_from_json(query.text(5), "api_keys.scopes"));
  TESSERA_TRY(key.models, texts_from_json(query.text(6), "api_keys.models"));
  key.requests_per_minute = query.integer(7);
  key.tokens_per_minute = query.integer(8);
  key.created_at_ms = query.integer(9);
  key.expires_at_ms = query.integer(10);
  key.revoked_at_ms = query.integer(11);
  return key;
}

base::Result<> insert_key(WriteScope& scope, const ApiKey& key, const std::string& scopes, const std::string& models) {
  TESSERA_CHECK(run(scope.db, "INSERT OR IGNORE INTO api_keys VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    key.tenant.app_id, key.key_id, key.name, key.hint, Blob{key.hash}, scopes, models,
                    key.requests_per_minute, key.tokens_per_minute, key.created_at_ms, key.expires_at_ms,
                    key.revoked_at_ms));
  if (scope.db.changed() == 0) return std::unexpected(key_exists());
  return {};
}

base::Result<ApiKey> mark_revoked(WriteScope& scope, const core::Tenant& tenant, const std::string& key_id,
                                  int64_t at_ms) {
  TESSERA_CHECK(run(scope.db,
                    "UPDATE api_keys SET revoked_at_ms = ? WHERE app_id = ? AND key_id = ? AND revoked_at_ms = 0",
                    at_ms, tenant.app_id, key_id));
  Query query(scope.db, "SELECT * FROM api_keys WHERE app_id = ? AND key_id = ?", tenant.app_id, key_id);
  if (!query.next()) {
    TESSERA_CHECK(query.finish());
    return std::unexpected(key_not_found());
  }
  return key_row(query);
}

base::Result<std::vector<ApiKey>> read_keys(Connection& db) {
  std::vector<ApiKey> keys;
  Query query(db, "SELECT * FROM api_keys ORDER BY created_at_ms, app_id, key_id");
  while (query.next()) {
    TESSERA_TRY(ApiKey key, key_row(query));
    keys.push_back(std::move(key));
  }
  TESSERA_CHECK(query.finish());
  return keys;
}

}  // namespace

Task<base::Result<>> SqliteKeys::add_key(ApiKey key) {
  TESSERA_CO_CHECK(check_key(key));
  std::string scopes = texts_to_json(key.scopes);
  std::string models = texts_to_json(key.models);
  co_return co_await writer_.run([key = std::move(key), scopes = std::move(scopes), models = std::move(models)](
                                     WriteScope& scope) { return insert_key(scope, key, scopes, models); });
}

Task<base::Result<std::vector<ApiKey>>> SqliteKeys::load_keys() {
  co_return co_await readers_.run([](Connection& db) { return read_keys(db); });
}

Task<base::Result<ApiKey>> SqliteKeys::revoke_key(core::Tenant tenant, std::string key_id, int64_t at_ms) {
  TESSERA_CO_CHECK(check_tenant(tenant));
  co_return co_await writer_.run([tenant = std::move(tenant), key_id = std::move(key_id), at_ms](WriteScope& scope) {
    return mark_revoked(scope, tenant, key_id, at_ms);
  });
}

}  // namespace tessera::store
