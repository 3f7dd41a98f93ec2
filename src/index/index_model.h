#pragma once

#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "core/index.h"

namespace tessera::index {

/// The plainest possible RetrievalIndex, for tests: keeps the documents and scores everything, in double precision.
class IndexModel {
 public:
  void apply(const core::StoreChange& change);
  /// All matches, best first.
  [[nodiscard]] std::vector<core::IndexHit> lexical(const core::IndexQuery& query) const;
  [[nodiscard]] std::vector<core::IndexHit> dense(const core::IndexQuery& query) const;
  [[nodiscard]] core::IndexStats stats(int64_t collection) const;
  [[nodiscard]] size_t dimensions(int64_t collection) const;  ///< 0 while no chunk has a vector
  void clear() { collections_.clear(); }
  [[nodiscard]] std::vector<int64_t> documents(int64_t collection) const;

 private:
  struct Document {
    std::shared_ptr<const core::DocumentWrite> write;
    std::vector<std::map<std::string, int>> terms;  // of each chunk
    bool forgotten = false;                         // its vectors, when those of other dimensions came
  };
  struct Collection {
    std::map<int64_t, Document> documents;
    size_t dimensions = 0;  // of the latest vectors
    bool stemming = false;
  };
  std::map<int64_t, Collection> collections_;
};

/// Makes up documents and queries: words by Zipf's law, vectors around a few centres, a little metadata.
class IndexWorld {
 public:
  explicit IndexWorld(uint64_t seed, size_t dimensions = 20) : random_(seed), dimensions_(dimensions) {}

  uint64_t below(uint64_t bound) { return random_() % bound; }
  void set_dimensions(size_t dimensions) { dimensions_ = dimensions; }
  [[nodiscard]] size_t dimensions() const { return dimensions_; }
  std::string words(size_t count);
  std::vector<float> vector();
  core::StoreChange put(int64_t sequence, int64_t collection, int64_t document, size_t chunks, size_t words_each = 12);
  static core::StoreChange remove(int64_t sequence, int64_t collection, int64_t document);
  static core::StoreChange drop(int64_t sequence, int64_t collection);
  core::Filter filter();

 private:
  std::mt19937_64 random_;
  size_t dimensions_;
  int64_t next_chunk_ = 1;
};

/// Whether `got` are the best min(k, matches) of `all`, scores equal to 1e-4 and ties in any order within that; if not,
/// why.
std::string difference(const std::vector<core::IndexHit>& got, const std::vector<core::IndexHit>& all, size_t k);

}  // namespace tessera::index
