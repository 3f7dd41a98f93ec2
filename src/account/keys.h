#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "account/limits.h"
#include "account/scopes.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/random.h"
#include "base/result.h"
#include "base/sha256.h"
#include "core/accounts.h"

namespace tessera::account {

/// What a key is to be.
struct NewKey {
  std::string name;
  ScopeSet scopes;
  std::vector<std::string> models;  ///< empty: all
  int64_t requests_per_minute = 0;  ///< 0: no limit
  int64_t tokens_per_minute = 0;
  int64_t expires_in_seconds = 0;  ///< 0: never
};

/// A new key. `secret` exists here only: it is not kept and cannot be shown again.
struct IssuedKey {
  core::ApiKey key;
  std::string secret;
};

/// What a request that showed a key may do. Immutable but for the meter, which all requests of the key share.
struct KeyGrant {
  core::ApiKey key;
  ScopeSet scopes;
  std::shared_ptr<KeyMeter> meter;

  [[nodiscard]] bool allows_model(std::string_view model) const;
};
using Grant = std::shared_ptr<const KeyGrant>;

/// The keys of this server, as the store has them, in memory for checking. Thread-safe; reading takes a shared lock for
/// one look-up. What refers to the outside outlives it.
class KeyRing {
 public:
  struct Means {
    core::KeyStore& store;
    const base::Clock& clock;
    base::Random& random;  ///< of the kernel, outside of tests
    const base::IdSource& ids;
  };
  explicit KeyRing(Means means) : means_(means) {}
  KeyRing(const KeyRing&) = delete;
  KeyRing& operator=(const KeyRing&) = delete;

  /// Reads the store; once, before the ring is used. Errors: the store's.
  core::Task<base::Result<>> load();
  /// The grant of a key as it was shown. Errors: unauthenticated UNAUTHENTICATED, saying what to do.
  [[nodiscard]] base::Result<Grant> check(std::string_view secret) const;
  /// Of a request under way; null when there is no such key.
  [[nodiscard]] Grant find(std::string_view key_id) const;
  /// Whether no key is in force.
  [[nodiscard]] bool empty() const;
  /// Of one app, oldest first, revoked ones too.
  [[nodiscard]] std::vector<core::ApiKey> list(const core::Tenant& tenant) const;
  /// Of all apps, for the operator of the machine.
  [[nodiscard]] std::vector<core::ApiKey> list_all() const;

  /// In force when it completes. Errors: invalid INVALID_FIELD; exhausted TOO_MANY_KEYS; the store's.
  core::Task<base::Result<IssuedKey>> create(core::Tenant tenant, NewKey wanted);
  /// In force at once for requests that come later; those under way go on. Errors: not_found KEY_NOT_FOUND; the
  /// store's.
  core::Task<base::Result<core::ApiKey>> revoke(core::Tenant tenant, std::string key_id);

 private:
  struct DigestHash {
    size_t operator()(const base::Sha256& digest) const;
  };
  struct DigestEqual {
    bool operator()(const base::Sha256& a, const base::Sha256& b) const;
  };

  base::Result<> insert(core::ApiKey key);

  const Means means_;
  mutable std::shared_mutex mutex_;
  std::unordered_map<base::Sha256, Grant, DigestHash, DigestEqual> by_hash_;  // guarded by mutex_
  std::unordered_map<std::string, Grant> by_id_;                              // guarded by mutex_
};

/// "tsk_" and 43 characters of base64url: 256 random bits.
std::string make_secret(base::Random& random);

/// Bounds of a NewKey.
inline constexpr size_t kKeyNameBytesMax = 200;
inline constexpr size_t kKeyModelsMax = 100;
inline constexpr size_t kKeysMax = 100'000;
/// Ten years.
inline constexpr int64_t kKeySecondsMax = 10LL * 366 * 24 * 3600;

}  // namespace tessera::account
