#include "store/sqlite/sqlite_responses.h"

#include "store/rules.h"

namespace tessera::store {
namespace {

using core::ResponseOwner;
using core::Task;

base::Result<> write_owner(Connection& db, const ResponseOwner& owner) {
  const int64_t oldest = owner.created_at_ms - core::kResponseKeptMs;
  TESSERA_CHECK(run(db,
                    "DELETE FROM response_owners WHERE response_id IN (SELECT response_id FROM response_owners "
                    "WHERE created_at_ms < ? ORDER BY created_at_ms, response_id LIMIT ?)",
                    oldest, kOwnersDropped));
  return run(db,
             "INSERT INTO response_owners VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (response_id) DO UPDATE "
             "SET app_id = ?2, model = ?3, created_at_ms = ?4, endpoint = ?5 WHERE created_at_ms < ?6",
             owner.response_id, owner.tenant.app_id, owner.model, owner.created_at_ms, owner.endpoint, oldest);
}

base::Result<std::optional<ResponseOwner>> read_owner(Connection& db, const std::string& response_id, int64_t oldest) {
  std::optional<ResponseOwner> found;
  Query query(db,
              "SELECT app_id, model, created_at_ms, endpoint FROM response_owners WHERE response_id = ? AND "
              "created_at_ms >= ?",
              response_id, oldest);
  if (query.next()) {
    found = ResponseOwner{.response_id = response_id,
                          .tenant = {query.string(0)},
                          .model = query.string(1),
                          .created_at_ms = query.integer(2),
                          .endpoint = query.string(3)};
  }
  TESSERA_CHECK(query.finish());
  return found;
}

}  // namespace

Task<base::Result<>> SqliteResponses::add_owner(ResponseOwner owner) {
  TESSERA_CO_CHECK(check_owner(owner));
  co_return co_await writer_.run(
      [owner = std::move(owner)](WriteScope& scope) { return write_owner(scope.db, owner); });
}

Task<base::Result<std::optional<ResponseOwner>>> SqliteResponses::find_owner(std::string response_id, int64_t now_ms) {
  co_return co_await readers_.run(
      [&](Connection& db) { return read_owner(db, response_id, now_ms - core::kResponseKeptMs); });
}

Task<base::Result<>> SqliteResponses::delete_owner(core::Tenant tenant, std::string response_id) {
  TESSERA_CO_CHECK(check_tenant(tenant));
  co_return co_await writer_.run([app = std::move(tenant.app_id), id = std::move(response_id)](WriteScope& scope) {
    return run(scope.db, "DELETE FROM response_owners WHERE response_id = ? AND app_id = ?", id, app);
  });
}

}  // namespace tessera::store
