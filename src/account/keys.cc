#include "account/keys.h"

#include <algorithm>
#include <cstring>
#include <mutex>

namespace tessera::account {
namespace {

using base::Code;
using core::ApiKey;

constexpr std::string_view kPrefix = "tsk_";
constexpr size_t kSecretBytes = kPrefix.size() + 43;

std::unexpected<base::Error> refused(const char* message) {
  return base::fail(Code::unauthenticated, "UNAUTHENTICATED", message);
}

std::unexpected<base::Error> bad_field(const char* field, const char* message) {
  return base::fail(Code::invalid, "INVALID_FIELD", message, std::string(), field);
}

base::Result<> check_wanted(const core::Tenant& tenant, const NewKey& wanted) {
  // An app's name has the form of a collection's.
  if (!core::valid_collection_name(tenant.app_id)) {
    return bad_field("app_id", "An app's name has 1 to 128 letters, digits, '-', '_' or '.', not starting with '.'.");
  }
  if (wanted.scopes.empty()) return bad_field("scopes", "Name at least one scope: a key without any opens nothing.");
  if (wanted.name.size() > kKeyNameBytesMax) return bad_field("name", "A key's name has at most 200 bytes.");
  if (wanted.models.size() > kKeyModelsMax ||
      std::ranges::any_of(wanted.models, [](const auto& m) { return m.empty() || m.size() > 256; })) {
    return bad_field("models", "A key names at most 100 models, each of 1 to 256 bytes.");
  }
  if (wanted.requests_per_minute < 0) return bad_field("requests_per_minute", "A limit is not negative.");
  if (wanted.tokens_per_minute < 0) return bad_field("tokens_per_minute", "A limit is not negative.");
  if (wanted.expires_in_seconds < 0 || wanted.expires_in_seconds > kKeySecondsMax) {
    return bad_field("expires_in_seconds", "A key lives up to ten years, or for ever (0).");
  }
  return {};
}

bool by_age(const ApiKey& a, const ApiKey& b) {
  return std::tie(a.created_at_ms, a.key_id) < std::tie(b.created_at_ms, b.key_id);
}

}  // namespace

std::string make_secret(base::Random& random) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string secret(kPrefix);
  std::array<uint64_t, 4> bits{};
  for (uint64_t& word : bits) word = random.next();
  // Six bits a character, from the lowest; the last has four.
  for (size_t at = 0; at < 256; at += 6) {
    uint64_t six = bits[at / 64] >> (at % 64);
    if (at % 64 > 58 && at / 64 < 3) six |= bits[at / 64 + 1] << (64 - at % 64);
    secret += kDigits[six & 63U];
  }
  return secret;
}

bool KeyGrant::allows_model(std::string_view model) const {
  return key.models.empty() || std::ranges::find(key.models, model) != key.models.end();
}

size_t KeyRing::DigestHash::operator()(const base::Sha256& digest) const {
  size_t first = 0;
  std::memcpy(&first, digest.data(), sizeof first);
  return first;
}

bool KeyRing::DigestEqual::operator()(const base::Sha256& a, const base::Sha256& b) const {
  return base::equal_in_constant_time(base::as_bytes(a), base::as_bytes(b));
}

base::Result<> KeyRing::insert(ApiKey key) {
  base::Sha256 digest;
  if (key.hash.size() != digest.size()) {
    return base::fail(Code::unavailable, "DATABASE_DAMAGED", "A stored API key is damaged; restore a backup.");
  }
  std::memcpy(digest.data(), key.hash.data(), digest.size());
  auto grant = std::make_shared<KeyGrant>();
  TESSERA_TRY(grant->scopes, ScopeSet::parse(key.scopes));
  if (key.requests_per_minute > 0 || key.tokens_per_minute > 0) {
    grant->meter = std::make_shared<KeyMeter>(key.requests_per_minute, key.tokens_per_minute);
  }
  grant->key = std::move(key);
  const std::unique_lock lock(mutex_);
  by_id_.insert_or_assign(grant->key.key_id, grant);
  by_hash_.insert_or_assign(digest, grant);
  return {};
}

core::Task<base::Result<>> KeyRing::load() {
  TESSERA_CO_TRY(auto keys, co_await means_.store.load_keys());
  for (ApiKey& key : keys) TESSERA_CO_CHECK(insert(std::move(key)));
  co_return base::Result<>{};
}

base::Result<Grant> KeyRing::check(std::string_view secret) const {
  static constexpr const char* kUnknown =
      "This API key is not known here. Check that it is whole (tsk_ and 43 characters) and of this server; the "
      "operator makes one with `tessera keys create`.";
  if (secret.size() != kSecretBytes || !secret.starts_with(kPrefix)) return refused(kUnknown);
  const base::Sha256 digest = base::sha256(secret);
  Grant grant;
  {
    const std::shared_lock lock(mutex_);
    const auto it = by_hash_.find(digest);
    if (it != by_hash_.end()) grant = it->second;
  }
  if (grant == nullptr) return refused(kUnknown);
  // Who holds the whole key may know why it does not work.
  if (grant->key.revoked_at_ms != 0) return refused("This API key was revoked. Ask the operator for another one.");
  if (grant->key.expires_at_ms != 0 && grant->key.expires_at_ms <= means_.clock.unix_ms()) {
    return refused("This API key has expired. Ask the operator for another one.");
  }
  return grant;
}

Grant KeyRing::find(std::string_view key_id) const {
  if (key_id.empty()) return nullptr;
  const std::shared_lock lock(mutex_);
  const auto it = by_id_.find(std::string(key_id));
  return it == by_id_.end() ? nullptr : it->second;
}

bool KeyRing::empty() const {
  const int64_t now = means_.clock.unix_ms();
  const std::shared_lock lock(mutex_);
  return std::ranges::none_of(by_id_, [now](const auto& item) {
    const ApiKey& key = item.second->key;
    return key.revoked_at_ms == 0 && (key.expires_at_ms == 0 || key.expires_at_ms > now);
  });
}

std::vector<ApiKey> KeyRing::list(const core::Tenant& tenant) const {
  std::vector<ApiKey> keys;
  {
    const std::shared_lock lock(mutex_);
    for (const auto& [id, grant] : by_id_) {
      if (grant->key.tenant == tenant) keys.push_back(grant->key);
    }
  }
  std::ranges::sort(keys, by_age);
  return keys;
}

std::vector<ApiKey> KeyRing::list_all() const {
  std::vector<ApiKey> keys;
  {
    const std::shared_lock lock(mutex_);
    for (const auto& [id, grant] : by_id_) keys.push_back(grant->key);
  }
  std::ranges::sort(keys, by_age);
  return keys;
}

core::Task<base::Result<IssuedKey>> KeyRing::create(core::Tenant tenant, NewKey wanted) {
  TESSERA_CO_CHECK(check_wanted(tenant, wanted));
  bool full = false;
  {
    const std::shared_lock lock(mutex_);
    full = by_id_.size() >= kKeysMax;
  }
  if (full) {
    co_return base::fail(Code::exhausted, "TOO_MANY_KEYS", "This server keeps 100000 keys, revoked ones among them.");
  }
  IssuedKey issued;
  issued.secret = make_secret(means_.random);
  ApiKey& key = issued.key;
  key.key_id = means_.ids.next();
  key.tenant = std::move(tenant);
  key.name = std::move(wanted.name);
  key.hint = issued.secret.substr(issued.secret.size() - 4);
  key.hash = base::as_bytes(base::sha256(issued.secret));
  key.scopes = wanted.scopes.names();
  key.models = std::move(wanted.models);
  key.requests_per_minute = wanted.requests_per_minute;
  key.tokens_per_minute = wanted.tokens_per_minute;
  key.created_at_ms = means_.clock.unix_ms();
  if (wanted.expires_in_seconds > 0) key.expires_at_ms = key.created_at_ms + wanted.expires_in_seconds * 1000;
  TESSERA_CO_CHECK(co_await means_.store.add_key(key));
  TESSERA_CO_CHECK(insert(key));
  co_return issued;
}

core::Task<base::Result<ApiKey>> KeyRing::revoke(core::Tenant tenant, std::string key_id) {
  TESSERA_CO_TRY(ApiKey key, co_await means_.store.revoke_key(tenant, key_id, means_.clock.unix_ms()));
  TESSERA_CO_CHECK(insert(key));
  co_return key;
}

}  // namespace tessera::account
