#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "index/vector/dot_kernels.h"
#include "index/vector/vector_index.h"

namespace tessera::index {

using Vector = std::vector<float>;

inline std::filesystem::path test_directory(const std::string& name) {
  const auto path = std::filesystem::temp_directory_path() / (name + std::to_string(::getpid()));
  std::filesystem::remove_all(path);
  std::filesystem::create_directories(path);
  return path;
}

/// Points around centres, as embeddings of chunks of related documents are.
class Cloud {
 public:
  Cloud(size_t dimensions, size_t centres, float spread, uint32_t seed) : random_(seed), spread_(spread) {
    for (size_t i = 0; i < centres; ++i) centres_.push_back(gauss(dimensions));
  }
  Vector next() {
    Vector vector = gauss(centres_[0].size());
    const Vector& centre = centres_[random_() % centres_.size()];
    for (size_t i = 0; i < vector.size(); ++i) vector[i] = centre[i] + spread_ * vector[i];
    return vector;
  }

 private:
  Vector gauss(size_t dimensions) {
    std::normal_distribution<float> normal;
    Vector vector(dimensions);
    for (float& x : vector) x = normal(random_);
    return vector;
  }
  std::mt19937 random_;
  float spread_;
  std::vector<Vector> centres_;
};

/// Loads an index from the bytes of its record and of its files, which need not be what was saved.
inline base::Result<std::unique_ptr<VectorIndex>> load_parts(FileStore& store, const std::vector<std::string>& contents,
                                                             const std::vector<FileEntry>& files,
                                                             std::span<const uint64_t> live,
                                                             const VectorOptions& options) {
  // The entries in the record become those of the changed files, as one who damages on purpose would see to it.
  std::string record = contents[0];
  std::vector<std::shared_ptr<const IndexFile>> held;
  for (size_t i = 0; i < files.size(); ++i) {
    const auto writer = store.create("changed");
    writer->put_array(std::span<const char>(contents[i + 1]));
    TESSERA_TRY(held.emplace_back(), writer->finish());
    ByteWriter before;
    ByteWriter after;
    before.put_entry(files[i]);
    after.put_entry(held.back()->entry());
    const size_t at = record.find(before.bytes());
    if (at != std::string::npos) record.replace(at, before.bytes().size(), after.bytes());
  }
  ByteReader reader(record);
  return VectorIndex::load(store, reader, live, options);
}

/// A VectorIndex beside the truth: every vector as it came, by row.
class VectorSubject {
 public:
  VectorSubject(const VectorOptions& options, size_t dimensions, const std::filesystem::path& directory = {})
      : options_(options), dimensions_(dimensions), store_(std::make_unique<FileStore>(directory)) {
    index_ = std::make_unique<VectorIndex>(options);
  }
  ~VectorSubject() {
    if (!store_->on_disk()) return;
    index_.reset();
    std::filesystem::remove_all(store_->directory());
  }

  [[nodiscard]] VectorIndex& index() { return *index_; }
  [[nodiscard]] const std::vector<FileEntry>& files() const { return files_; }

  void add(const Vector& vector) {
    auto encoded = index_->encode(vector, 1, dimensions_);
    ASSERT_TRUE(encoded);
    index_->append(*encoded);
    const bool zero = std::ranges::all_of(vector, [](float x) { return x == 0; });
    if (!zero) vectors_[rows_] = vector;
    if (rows_ % 64 == 0) live_.push_back(0);
    live_[rows_ / 64] |= uint64_t{1} << (rows_ % 64);
    ++rows_;
    ASSERT_EQ(index_->rows(), rows_);
    ASSERT_EQ(index_->vectors(), vectors_.size());
  }
  void remove(Row row) {
    index_->remove(row, 1);
    vectors_.erase(row);
    live_[row / 64] &= ~(uint64_t{1} << (row % 64));
    ASSERT_EQ(index_->vectors(), vectors_.size());
  }
  void maintain_once(bool stopped = false) {
    const std::atomic<bool> stop = stopped;
    auto job = index_->plan();
    if (job == nullptr) return;
    job->run(stop);
    index_->install(std::move(job));
  }
  void maintain() {
    const std::atomic<bool> stop = false;
    while (auto job = index_->plan()) {
      job->run(stop);
      index_->install(std::move(job));
    }
  }
  base::Result<> save() {
    ByteWriter record;
    files_.clear();
    TESSERA_CHECK(index_->save(*store_, record, files_));
    record_ = record.bytes();
    return store_->commit(record_, files_);
  }
  base::Result<> save_and_load() {
    TESSERA_CHECK(save());
    if (store_->on_disk()) {
      index_.reset();
      store_ = std::make_unique<FileStore>(std::filesystem::path(store_->directory()));
      TESSERA_TRY(record_, store_->read_manifest());
    }
    ByteReader reader(record_);
    TESSERA_TRY(index_, VectorIndex::load(*store_, reader, live_, options_));
    EXPECT_TRUE(reader.at_end());
    EXPECT_EQ(index_->vectors(), vectors_.size());
    return {};
  }
  void compact() {
    RowMap map(rows_, kGoneRow);
    std::map<Row, Vector> kept;
    std::vector<uint64_t> live;
    Row next = 0;
    for (Row row = 0; row < rows_; ++row) {
      if (((live_[row / 64] >> (row % 64)) & 1) == 0) continue;
      if (vectors_.contains(row)) kept[next] = vectors_[row];
      if (next % 64 == 0) live.push_back(0);
      live[next / 64] |= uint64_t{1} << (next % 64);
      map[row] = next++;
    }
    index_ = index_->compacted(map);
    vectors_ = std::move(kept);
    live_ = std::move(live);
    rows_ = next;
    ASSERT_EQ(index_->rows(), rows_);
    ASSERT_EQ(index_->vectors(), vectors_.size());
  }

  [[nodiscard]] Vector some_vector(size_t number) const {
    if (vectors_.empty()) return Vector(dimensions_, 1.0F);
    return std::next(vectors_.begin(), static_cast<std::ptrdiff_t>(number % vectors_.size()))->second;
  }
  /// Rows kept with a chance of 2^-`halvings`.
  [[nodiscard]] std::vector<uint64_t> random_filter(uint64_t seed, size_t halvings) const {
    std::mt19937_64 random(seed);
    std::vector<uint64_t> bits(live_.size(), ~uint64_t{0});
    for (uint64_t& word : bits) {
      for (size_t i = 0; i < halvings; ++i) word &= random();
    }
    return bits;
  }
  [[nodiscard]] std::vector<uint64_t> farthest(const Vector& query, size_t count) const {
    std::vector<std::pair<double, Row>> ranked;
    for (const auto& [row, vector] : vectors_) ranked.emplace_back(cosine(vector, query), row);
    std::ranges::sort(ranked);
    std::vector<uint64_t> bits(live_.size());
    for (size_t i = 0; i < std::min(count, ranked.size()); ++i) {
      bits[ranked[i].second / 64] |= uint64_t{1} << (ranked[i].second % 64);
    }
    return bits;
  }
  [[nodiscard]] size_t matches(size_t k, const std::vector<uint64_t>* allowed) const {
    size_t count = 0;
    for (const auto& [row, vector] : vectors_) {
      count += allowed == nullptr || (((*allowed)[row / 64] >> (row % 64)) & 1) != 0 ? 1 : 0;
    }
    return std::min(k, count);
  }

  std::vector<RowHit> search(const VectorQuery& query, const std::vector<uint64_t>* allowed = nullptr,
                             VectorWork* work = nullptr) const {
    std::vector<uint64_t> bits = live_;
    RowSelection selection;
    for (size_t word = 0; word < bits.size(); ++word) {
      if (allowed != nullptr) bits[word] &= (*allowed)[word];
      selection.count += static_cast<uint64_t>(std::popcount(bits[word]));
    }
    selection.bits = bits;
    selection.filtered = allowed != nullptr;
    auto hits = index_->search(query, selection, work);
    EXPECT_TRUE(hits);
    return hits ? *hits : std::vector<RowHit>();
  }

  /// Every rule an answer keeps however the graph looks; returns how many of the truth were found.
  size_t check(const VectorQuery& query, const std::vector<uint64_t>* allowed = nullptr,
               VectorWork* work = nullptr) const {
    const Vector vector(query.vector.begin(), query.vector.end());
    std::vector<double> truth;
    for (const auto& [row, stored] : vectors_) {
      if (allowed == nullptr || (((*allowed)[row / 64] >> (row % 64)) & 1) != 0) {
        truth.push_back(cosine(stored, vector));
      }
    }
    std::ranges::sort(truth, std::greater<>());
    if (truth.size() > query.k) truth.resize(query.k);
    const auto hits = search(query, allowed, work);
    EXPECT_EQ(hits.size(), truth.size());
    std::set<Row> rows;
    size_t found = 0;
    for (size_t i = 0; i < hits.size(); ++i) {
      const auto [row, score] = hits[i];
      EXPECT_TRUE(rows.insert(row).second) << "a row twice";
      const auto stored = vectors_.find(row);
      if (stored == vectors_.end()) {
        ADD_FAILURE() << "a removed row";
        continue;
      }
      if (allowed != nullptr) EXPECT_TRUE(((*allowed)[row / 64] >> (row % 64)) & 1) << "a row not allowed";
      if (i > 0) {
        EXPECT_TRUE(hits[i - 1].score > score || (hits[i - 1].score == score && hits[i - 1].row < row)) << "order";
      }
      const double exact = cosine(stored->second, vector);
      EXPECT_NEAR(score, exact, 1e-4);
      found += !truth.empty() && exact >= truth.back() - 1e-4 ? 1 : 0;
    }
    return found;
  }

 private:
  static double cosine(const Vector& a, const Vector& b) {
    double dot = 0;
    double aa = 0;
    double bb = 0;
    for (size_t i = 0; i < a.size(); ++i) {
      dot += double{a[i]} * b[i];
      aa += double{a[i]} * a[i];
      bb += double{b[i]} * b[i];
    }
    return dot / std::sqrt(aa * bb);
  }

  VectorOptions options_;
  size_t dimensions_;
  std::unique_ptr<FileStore> store_;
  std::unique_ptr<VectorIndex> index_;
  std::map<Row, Vector> vectors_;
  std::vector<uint64_t> live_;
  Row rows_ = 0;
  std::string record_;
  std::vector<FileEntry> files_;
};

}  // namespace tessera::index
