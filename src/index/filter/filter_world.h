#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "core/metadata.h"

namespace tessera::index {

/// Makes up metadata and filters for tests: fields with few and with only different values, all types, mixed types,
/// lists, rare fields, awkward numbers.
class FilterWorld {
 public:
  explicit FilterWorld(uint64_t seed) : random_(seed) {}

  uint64_t below(uint64_t bound) { return random_() % bound; }
  core::Metadata metadata();
  core::Filter filter(int depth = 3);

 private:
  core::MetadataValue value(uint64_t kind);
  std::string word(uint64_t bound);
  std::string field();

  std::mt19937_64 random_;
  int64_t next_ = 1'700'000'000;
};

}  // namespace tessera::index
