#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <filesystem>

#include "account/keys.h"
#include "app/backend.h"
#include "app/commands.h"
#include "app/server_note.h"
#include "async/run_blocking.h"
#include "store/sqlite/sqlite_store.h"
#include "wire/http_client.h"

namespace tessera::app {
namespace {

namespace json = boost::json;
using base::Code;
using base::Result;

/// A key as the server tells of it, and as we tell of those in a stopped server's database.
json::object key_json(const core::ApiKey& key) {
  const auto time = [](int64_t ms) { return ms == 0 ? json::value() : json::value(base::format_rfc3339(ms)); };
  return {{"key_id", key.key_id},
          {"app_id", key.tenant.app_id},
          {"name", key.name},
          {"hint", key.hint},
          {"scopes", json::array(key.scopes.begin(), key.scopes.end())},
          {"models", json::array(key.models.begin(), key.models.end())},
          {"requests_per_minute", key.requests_per_minute},
          {"tokens_per_minute", key.tokens_per_minute},
          {"created_at", time(key.created_at_ms)},
          {"expires_at", time(key.expires_at_ms)},
          {"revoked_at", time(key.revoked_at_ms)}};
}

std::string text_of(const json::object& object, std::string_view name) {
  const json::value* const value = object.if_contains(name);
  return value != nullptr && value->is_string() ? harmless(value->as_string(), false) : std::string();
}

std::string texts_of(const json::object& object, std::string_view name) {
  std::string joined;
  const json::value* const value = object.if_contains(name);
  if (value == nullptr || !value->is_array()) return joined;
  for (const json::value& item : value->as_array()) {
    if (item.is_string()) joined += (joined.empty() ? "" : ",") + harmless(item.as_string(), false);
  }
  return joined;
}

int64_t integer_of(const json::object& object, std::string_view name) {
  const json::value* const value = object.if_contains(name);
  return value != nullptr && value->is_int64() ? value->as_int64() : 0;
}

/// "90s", "15m", "12h", "30d".
Result<int64_t> seconds_of(const std::string& text) {
  if (text.empty()) return 0;
  constexpr std::pair<char, int64_t> kUnits[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86'400}};
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  for (const auto& [unit, seconds] : kUnits) {
    if (error == std::errc() && end + 1 == text.data() + text.size() && *end == unit && number > 0 &&
        number <= account::kKeySecondsMax / seconds) {
      return number * seconds;
    }
  }
  return base::fail(Code::invalid, "CONFIG_EXPIRY", "--expires takes a number and s, m, h or d, up to ten years: 30d");
}

Result<account::NewKey> wanted_key(const KeyArguments& what) {
  account::NewKey wanted;
  wanted.name = what.name;
  if (what.scopes.size() == 1 && what.scopes.front() == "all") {
    wanted.scopes = account::ScopeSet::all();
  } else {
    TESSERA_TRY(wanted.scopes, account::ScopeSet::parse(what.scopes));
  }
  wanted.models = what.models;
  wanted.requests_per_minute = what.requests_per_minute;
  wanted.tokens_per_minute = what.tokens_per_minute;
  TESSERA_TRY(wanted.expires_in_seconds, seconds_of(what.expires));
  return wanted;
}

/// Where the keys are: a stopped server's database, or a running server.
class KeyDoor {
 public:
  virtual ~KeyDoor() = default;
  virtual Result<json::object> create(const std::string& app, account::NewKey wanted) = 0;
  /// Of `app`; empty: all that may be seen.
  virtual Result<json::array> list(const std::string& app) = 0;
  virtual Result<json::object> revoke(const std::string& key_id) = 0;
};

class LocalKeys final : public KeyDoor {
 public:
  static Result<std::unique_ptr<KeyDoor>> open(const config::Settings& settings, base::Logger& log) {
    if (settings.storage.backend == "memory") {
      return base::fail(Code::invalid, "CONFIG_MEMORY", "storage.backend memory keeps no keys; use sqlite.");
    }
    std::unique_ptr<LocalKeys> keys(new LocalKeys);
    store::SqliteOptions options;
    options.path = (std::filesystem::path(settings.storage.directory) / "tessera.db").string();
    options.readers = 1;
    TESSERA_TRY(keys->store_, store::SqliteStore::open(std::move(options), keys->pool_, keys->clock_, log));
    keys->ring_ = std::make_unique<account::KeyRing>(
        account::KeyRing::Means{keys->store_->keys(), keys->clock_, keys->random_, keys->ids_});
    TESSERA_CHECK(async::sync_wait(keys->ring_->load()));
    return keys;
  }

  Result<json::object> create(const std::string& app, account::NewKey wanted) override {
    const core::Tenant tenant{app.empty() ? "default" : app};
    TESSERA_TRY(const account::IssuedKey issued, async::sync_wait(ring_->create(tenant, std::move(wanted))));
    json::object key = key_json(issued.key);
    key["key"] = issued.secret;
    return key;
  }

  Result<json::array> list(const std::string& app) override {
    json::array all;
    for (const core::ApiKey& key : app.empty() ? ring_->list_all() : ring_->list({app})) all.push_back(key_json(key));
    return all;
  }

  Result<json::object> revoke(const std::string& key_id) override {
    const account::Grant grant = ring_->find(key_id);
    const core::Tenant tenant = grant == nullptr ? core::Tenant{"default"} : grant->key.tenant;
    TESSERA_TRY(const core::ApiKey key, async::sync_wait(ring_->revoke(tenant, key_id)));
    return key_json(key);
  }

 private:
  LocalKeys() = default;

  base::SystemClock clock_;
  base::SystemRandom random_;
  base::IdSource ids_{clock_, random_};
  async::BlockingPool pool_{async::BlockingPoolOptions{.name = "store", .threads = 1}};
  std::unique_ptr<store::SqliteStore> store_;
  std::unique_ptr<account::KeyRing> ring_;
};

class RemoteKeys final : public KeyDoor {
 public:
  RemoteKeys(std::string url, std::string key) : url_(std::move(url)), key_(std::move(key)) {
    while (url_.ends_with('/')) url_.pop_back();
  }

  Result<json::object> create(const std::string& app, account::NewKey wanted) override {
    const auto scopes = wanted.scopes.names();
    json::object body{{"name", wanted.name},
                      {"scopes", json::array(scopes.begin(), scopes.end())},
                      {"models", json::array(wanted.models.begin(), wanted.models.end())},
                      {"requests_per_minute", wanted.requests_per_minute},
                      {"tokens_per_minute", wanted.tokens_per_minute},
                      {"expires_in_seconds", wanted.expires_in_seconds}};
    if (!app.empty()) body["app_id"] = app;
    return fetch("POST", "/api/keys", json::serialize(body));
  }

  Result<json::array> list(const std::string& app) override {
    json::array all;
    std::string cursor;
    do {
      std::string path = "/api/keys?limit=1000";
      if (!cursor.empty()) path += "&cursor=" + wire::percent_encode(cursor);
      if (!app.empty()) path += "&app_id=" + wire::percent_encode(app);
      TESSERA_TRY(const json::object page, fetch("GET", path, {}));
      const json::value* const items = page.if_contains("items");
      if (items == nullptr || !items->is_array()) return bad_response();
      all.insert(all.end(), items->as_array().begin(), items->as_array().end());
      cursor = text_of(page, "next_cursor");
    } while (!cursor.empty());
    return all;
  }

  Result<json::object> revoke(const std::string& key_id) override {
    return fetch("DELETE", "/api/keys/" + wire::percent_encode(key_id), {});
  }

 private:
  static std::unexpected<base::Error> bad_response() {
    return base::fail(Code::upstream, "BAD_RESPONSE", "what answers there does not speak Tessera's language");
  }

  Result<json::object> fetch(const char* method, const std::string& path, std::string body) {
    wire::ClientRequest request;
    request.method = method;
    request.url = url_ + path;
    request.body = std::move(body);
    if (!request.body.empty()) request.headers.push_back({"Content-Type", "application/json"});
    if (!key_.empty()) request.headers.push_back({"Authorization", "Bearer " + key_});
    TESSERA_TRY(const wire::ClientResponse response, async::sync_wait(http_.fetch(std::move(request))));
    boost::system::error_code failed;
    json::value value = json::parse(response.body, failed);
    if (failed || !value.is_object()) return bad_response();
    json::object& object = value.as_object();
    if (response.status < 400) return std::move(object);
    const json::value* const error = object.if_contains("error");
    if (error == nullptr || !error->is_object()) return bad_response();
    std::string message = text_of(error->as_object(), "message");
    if (response.status == 401) message += " Give the key of an administrator with --key, or in TESSERA_KEY.";
    return base::fail(Code::upstream, text_of(error->as_object(), "code"), std::move(message));
  }

  std::string url_;
  std::string key_;
  wire::HttpClient http_;
};

Result<std::unique_ptr<KeyDoor>> open_door(const Invocation& invocation, const config::Settings& settings,
                                           base::Logger& log) {
  if (!invocation.server.empty()) return std::make_unique<RemoteKeys>(invocation.server, invocation.api_key);
  const auto url = settings.storage.backend == "memory" ? std::nullopt : ServerNote::find(settings.storage.directory);
  if (url && server_answers(*url)) return std::make_unique<RemoteKeys>(*url, invocation.api_key);
  return LocalKeys::open(settings, log);
}

std::string limit_text(int64_t limit) {
  return limit == 0 ? "-" : std::to_string(limit);
}

std::string state_of(const json::object& key) {
  if (!text_of(key, "revoked_at").empty()) return "revoked";
  const std::string expires = text_of(key, "expires_at");
  return expires.empty() ? "in force" : "until " + expires;
}

std::string list_text(const json::array& keys, const Terminal& terminal) {
  if (keys.empty()) return "No keys. `tessera keys create` makes one.\n";
  std::vector<std::vector<std::string>> rows{
      {"KEY ID", "APP", "HINT", "REQ/MIN", "TOK/MIN", "STATE", "SCOPES", "NAME"}};
  for (const json::value& value : keys) {
    if (!value.is_object()) continue;
    const json::object& key = value.as_object();
    std::string name = text_of(key, "name");
    if (const std::string models = texts_of(key, "models"); !models.empty()) {
      name += (name.empty() ? "(only " : " (only ") + models + ")";
    }
    rows.push_back({text_of(key, "key_id"), text_of(key, "app_id"), ".." + text_of(key, "hint"),
                    limit_text(integer_of(key, "requests_per_minute")),
                    limit_text(integer_of(key, "tokens_per_minute")), state_of(key), texts_of(key, "scopes"), name});
  }
  return table(terminal, rows, 3, 5);
}

int create(KeyDoor& door, const Invocation& invocation, const Surroundings& here) {
  auto wanted = wanted_key(invocation.keys);
  if (!wanted) return report(here.terminal, wanted.error());
  const auto created = door.create(invocation.keys.app, *std::move(wanted));
  if (!created) return report(here.terminal, created.error());
  if (invocation.json) {
    write_out(json::serialize(*created) + "\n");
    return kExitOk;
  }
  // The key alone on standard output, so that a script can take it.
  write_out(text_of(*created, "key") + "\n");
  write_err(fmt::format("Key {} of app {} for {}. Keep it: only its hash is stored, and it is not shown again.\n",
                        text_of(*created, "key_id"), text_of(*created, "app_id"), texts_of(*created, "scopes")));
  return kExitOk;
}

int list(KeyDoor& door, const Invocation& invocation, const Surroundings& here) {
  const auto all = door.list(invocation.keys.app);
  if (!all) return report(here.terminal, all.error());
  write_out(invocation.json ? json::serialize(json::object{{"items", *all}}) + "\n" : list_text(*all, here.terminal));
  return kExitOk;
}

int revoke(KeyDoor& door, const Invocation& invocation, const Surroundings& here) {
  const auto revoked = door.revoke(invocation.keys.key_id);
  if (!revoked) return report(here.terminal, revoked.error());
  write_out(invocation.json
                ? json::serialize(*revoked) + "\n"
                : fmt::format("Revoked {} of app {}.\n", text_of(*revoked, "key_id"), text_of(*revoked, "app_id")));
  return kExitOk;
}

}  // namespace

int keys(const Invocation& invocation, const Surroundings& here) {
  const auto loaded = load_settings(invocation, here);
  if (!loaded) return report(here.terminal, loaded.error());
  const auto log = make_logger(*loaded->settings, here.terminal, false);
  const auto door = open_door(invocation, *loaded->settings, *log);
  if (!door) return report(here.terminal, door.error());
  switch (invocation.keys.verb) {
    case KeyVerb::create:
      return create(**door, invocation, here);
    case KeyVerb::list:
      return list(**door, invocation, here);
    case KeyVerb::revoke:
      return revoke(**door, invocation, here);
  }
  return kExitUsage;
}

}  // namespace tessera::app
