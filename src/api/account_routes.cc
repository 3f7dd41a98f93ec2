#include "api/account_routes.h"

#include <algorithm>

#include "account/keys.h"
#include "api/body.h"
#include "api/json_writer.h"
#include "api/render.h"

namespace tessera::api {
namespace {

void write_texts(JsonWriter& out, std::string_view name, const std::vector<std::string>& texts) {
  out.key(name).begin_array();
  for (const std::string& text : texts) out.text(text);
  out.end_array();
}

void write_time_or_null(JsonWriter& out, std::string_view name, int64_t at_ms) {
  out.key(name);
  if (at_ms == 0) {
    out.null();
  } else {
    out.text(base::format_rfc3339(at_ms));
  }
}

void write_key_fields(JsonWriter& out, const core::ApiKey& key) {
  out.field("key_id", key.key_id).field("app_id", key.tenant.app_id).field("name", key.name).field("hint", key.hint);
  write_texts(out, "scopes", key.scopes);
  write_texts(out, "models", key.models);
  out.field("requests_per_minute", key.requests_per_minute).field("tokens_per_minute", key.tokens_per_minute);
  write_time_or_null(out, "created_at", key.created_at_ms);
  write_time_or_null(out, "expires_at", key.expires_at_ms);
  write_time_or_null(out, "revoked_at", key.revoked_at_ms);
}

}  // namespace

void AccountRoutes::bind(std::array<RouteHandler, kRouteCount>& handlers) {
  const auto at = [&](RouteId id) -> RouteHandler& { return handlers[static_cast<size_t>(id)]; };
  at(RouteId::create_key) = [this](Call& call) { return create_key(call); };
  at(RouteId::list_keys) = [this](Call& call) { return list_keys(call); };
  at(RouteId::revoke_key) = [this](Call& call) { return revoke_key(call); };
}

base::Result<core::Tenant> AccountRoutes::subject(const Call& call, std::string app_id) const {
  if (app_id.empty() || app_id == call.context.tenant.app_id) return call.context.tenant;
  if (options_.keys_required) {
    return base::fail(base::Code::forbidden, "APP_NOT_YOURS",
                      "A key manages its own app only. For another app, the operator stops the server and runs "
                      "`tessera keys create --app NAME`.",
                      std::string(), "app_id");
  }
  return core::Tenant{std::move(app_id)};
}

async::Task<base::Result<Reply>> AccountRoutes::create_key(Call& call) {
  TESSERA_CO_TRY(const Body body, Body::parse(call.request.body, *find_schema("KeyRequest")));
  TESSERA_CO_TRY(core::Tenant tenant, subject(call, body.text_or("app_id", "")));
  account::NewKey wanted;
  wanted.name = body.text_or("name", "");
  const auto scopes = body.texts("scopes").value_or(std::vector<std::string>());
  TESSERA_CO_TRY(wanted.scopes, account::ScopeSet::parse(scopes));
  wanted.models = body.texts("models").value_or(std::vector<std::string>());
  wanted.requests_per_minute = body.integer("requests_per_minute").value_or(0);
  wanted.tokens_per_minute = body.integer("tokens_per_minute").value_or(0);
  wanted.expires_in_seconds = body.integer("expires_in_seconds").value_or(0);
  TESSERA_CO_TRY(const account::IssuedKey issued, co_await parts_.keys.create(std::move(tenant), std::move(wanted)));
  JsonWriter out;
  out.begin_object().field("key", issued.secret);
  write_key_fields(out, issued.key);
  out.end_object();
  Reply reply;
  reply.status = 201;
  reply.headers.push_back({"Cache-Control", "no-store"});
  reply.body = out.take();
  co_return reply;
}

async::Task<base::Result<Reply>> AccountRoutes::list_keys(Call& call) {
  TESSERA_CO_CHECK(call.allow_query({"limit", "cursor", "app_id"}));
  TESSERA_CO_TRY(const core::PageRequest page, call.page());
  TESSERA_CO_TRY(std::string app_id, call.query("app_id"));
  TESSERA_CO_TRY(const core::Tenant tenant, subject(call, std::move(app_id)));
  const auto keys = parts_.keys.list(tenant);
  // The cursor is the last key shown; keys are never forgotten.
  auto it = keys.begin();
  if (!page.cursor.empty()) {
    it = std::ranges::find(keys, page.cursor, &core::ApiKey::key_id);
    if (it == keys.end()) {
      co_return base::fail(base::Code::invalid, "CURSOR_INVALID",
                           "The cursor is not one that this list gave; start without a cursor.", std::string(),
                           "cursor");
    }
    ++it;
  }
  JsonWriter out;
  out.begin_object().key("items").begin_array();
  std::string cursor;
  for (int64_t shown = 0; it != keys.end() && shown < page.limit; ++it, ++shown) {
    out.begin_object();
    write_key_fields(out, *it);
    out.end_object();
    cursor = it->key_id;
  }
  out.end_array();
  write_cursor(out, it == keys.end() ? std::string() : cursor);
  out.end_object();
  Reply reply;
  reply.body = out.take();
  co_return reply;
}

async::Task<base::Result<Reply>> AccountRoutes::revoke_key(Call& call) {
  TESSERA_CO_CHECK(call.allow_query({"app_id"}));
  TESSERA_CO_TRY(std::string app_id, call.query("app_id"));
  TESSERA_CO_TRY(core::Tenant tenant, subject(call, std::move(app_id)));
  TESSERA_CO_TRY(const core::ApiKey key, co_await parts_.keys.revoke(std::move(tenant), call.param("key_id")));
  JsonWriter out;
  out.begin_object();
  write_key_fields(out, key);
  out.end_object();
  Reply reply;
  reply.body = out.take();
  co_return reply;
}

}  // namespace tessera::api
