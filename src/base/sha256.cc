#include "base/sha256.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <memory>

#include "base/assert.h"

namespace tessera::base {

Sha256 sha256(std::string_view bytes) {
  // Fetched once: looking the algorithm up costs more than hashing a key. The context is used again by its thread.
  static const EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  thread_local const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                                     &EVP_MD_CTX_free);
  Sha256 digest;
  unsigned length = 0;
  TESSERA_ASSERT(algorithm != nullptr && context != nullptr);
  TESSERA_ASSERT(EVP_DigestInit_ex2(context.get(), algorithm, nullptr) == 1);
  TESSERA_ASSERT(EVP_DigestUpdate(context.get(), bytes.data(), bytes.size()) == 1);
  TESSERA_ASSERT(EVP_DigestFinal_ex(context.get(), digest.data(), &length) == 1 && length == digest.size());
  return digest;
}

std::string_view as_bytes(const Sha256& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

bool equal_in_constant_time(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace tessera::base
