#include "index/collection_index.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <optional>

namespace tessera::index {
namespace {

constexpr size_t kSliceChunks = 128;
constexpr Row kRowsMax = 0x7FFFFFFF;
/// Of a title or a heading path, this much is indexed with each chunk.
constexpr size_t kHeadingBytesMax = 1024;
/// While maintenance is behind, each slice waits for it, up to so long: where processors are few, changes would else
/// leave it ever further behind, and memory fill.
constexpr std::chrono::milliseconds kWaitMax{20};

std::string_view chunk_text(const core::DocumentWrite& write, const core::Chunk& chunk) {
  const std::string_view text = write.document.text;
  const auto start = static_cast<size_t>(std::clamp<int64_t>(chunk.start, 0, static_cast<int64_t>(text.size())));
  const auto end = static_cast<size_t>(std::clamp<int64_t>(chunk.end, 0, static_cast<int64_t>(text.size())));
  return start < end ? text.substr(start, end - start) : std::string_view();
}

/// A chunk is indexed by its words, those of its headings, and those of its document's title unless the headings begin
/// with it.
RowText row_text(const core::DocumentWrite& write, const core::Chunk& chunk) {
  const std::string_view title = std::string_view(write.document.head.title).substr(0, kHeadingBytesMax);
  const std::string_view headings = std::string_view(chunk.heading_path).substr(0, kHeadingBytesMax);
  return {{chunk_text(write, chunk), headings, headings.starts_with(title) ? std::string_view() : title}};
}

}  // namespace

CollectionIndex::CollectionIndex(FileStore& files, const CollectionOptions& options)
    : files_(files),
      options_(options),
      table_(std::make_unique<DocumentTable>()),
      lexical_(std::make_unique<SegmentedIndex>(files, options.lexical)),
      vectors_(std::make_unique<VectorIndex>(options.vectors)) {}

base::Result<> CollectionIndex::check_vectors(const core::DocumentWrite& write) const {
  if (write.vectors.size() != write.chunks.size() * write.dimensions) {
    return base::fail(base::Code::invalid, "VECTOR_SHAPE",
                      fmt::format("{} numbers do not make {} vectors of {} dimensions.", write.vectors.size(),
                                  write.chunks.size(), write.dimensions));
  }
  TESSERA_CHECK(vectors_->encode({}, 0, write.dimensions));
  return {};
}

base::Result<> CollectionIndex::put(int64_t document_key, const core::DocumentWrite& write) {
  if (write.chunks.size() > kRowsMax - table_->rows()) {
    remove(document_key);
    return base::fail(base::Code::exhausted, "COLLECTION_INDEX_FULL",
                      "This collection holds as many chunks as it can. Delete documents or use another collection.");
  }
  base::Result<> outcome;
  bool with_vectors = write.dimensions > 0 && !write.vectors.empty();
  if (with_vectors) {
    outcome = check_vectors(write);
    with_vectors = outcome.has_value();
  }
  const size_t chunks = write.chunks.size();
  std::optional<uint32_t> document;
  for (size_t first = 0; !document || first < chunks; first += kSliceChunks) {
    const Slice slice = prepare_slice(write, first, std::min(kSliceChunks, chunks - first), with_vectors);
    const auto lock = access_.write();
    if (!document) document = table_->begin(document_key, write.document.head.metadata);
    if (const base::Result<> appended = append_slice(slice); !appended) outcome = appended;
    if (first + kSliceChunks < chunks) continue;
    retire(table_->activate(*document));
    const DocumentRows added = table_->document(*document);
    lexical_->activate(added.first_row, added.rows);
  }
  return outcome;
}

CollectionIndex::Slice CollectionIndex::prepare_slice(const core::DocumentWrite& write, size_t first, size_t count,
                                                      bool with_vectors) {
  std::vector<RowText> texts;
  Slice slice;
  texts.reserve(count);
  slice.keys.reserve(count);
  for (const core::Chunk& chunk : std::span(write.chunks).subspan(first, count)) {
    texts.push_back(row_text(write, chunk));
    slice.keys.push_back(chunk.key);
  }
  prepared_.prepare(texts, options_.stemming);
  wait_for_maintenance();
  {
    // Beside searches, but not beside an install, which moves the segment that the rows go to.
    const auto lock = access_.read();
    lexical_->make_room(prepared_);
  }
  const size_t dimensions = with_vectors ? write.dimensions : 0;
  slice.vectors =
      vectors_->encode(std::span(write.vectors).subspan(first * dimensions, count * dimensions), count, dimensions);
  return slice;
}

void CollectionIndex::wait_for_maintenance() {
  {
    const auto lock = access_.read();
    if (!lexical_->behind()) return;
  }
  std::unique_lock lock(waiting_);
  installed_.wait_for(lock, kWaitMax);
}

base::Result<> CollectionIndex::append_slice(const Slice& slice) {
  if (slice.keys.empty()) return {};
  table_->append(slice.keys, prepared_.lengths());
  lexical_->append(prepared_);
  if (slice.vectors) {
    vectors_->append(*slice.vectors);
    return {};
  }
  vectors_->append_nothing(slice.keys.size());
  return std::unexpected(slice.vectors.error());
}

void CollectionIndex::retire(const std::optional<DocumentRows>& former) {
  if (!former) return;
  lexical_->remove(former->first_row, former->rows);
  vectors_->remove(former->first_row, former->rows);
}

void CollectionIndex::remove(int64_t document_key) {
  const auto lock = access_.write();
  retire(table_->remove(document_key));
}

std::vector<core::IndexHit> CollectionIndex::hits(const std::vector<RowHit>& rows) const {
  std::vector<core::IndexHit> hits;
  hits.reserve(rows.size());
  const std::span chunk_keys = table_->chunk_keys();
  const std::span documents = table_->row_documents();
  for (const RowHit& hit : rows) {
    hits.push_back({chunk_keys[hit.row], table_->document(documents[hit.row]).key, hit.score});
  }
  return hits;
}

std::vector<core::IndexHit> CollectionIndex::search_lexical(const core::IndexQuery& query, Pruning pruning) const {
  const LexicalQuery wanted =
      query.operators ? parse_query(query.text, options_.stemming) : plain_query(query.text, options_.stemming);
  if (query.k == 0 || wanted.empty()) return {};
  const auto lock = access_.read();
  const RowSelection selection = table_->select(query.filter);
  if (selection.count == 0) return {};
  return hits(lexical_->search(wanted, query.k, selection, pruning));
}

base::Result<std::vector<core::IndexHit>> CollectionIndex::search_dense(const core::IndexQuery& query) const {
  const auto lock = access_.read();
  const VectorQuery wanted{.vector = query.vector, .k = query.k, .recall = query.recall, .ef = query.ef};
  TESSERA_TRY(const std::vector<RowHit> rows, vectors_->search(wanted, table_->select(query.filter)));
  return hits(rows);
}

CollectionIndex::RowCounts CollectionIndex::row_counts() const {
  const auto lock = access_.read();
  return {table_->rows(), table_->rows() - table_->live_counts().rows};
}

size_t CollectionIndex::dimensions() const {
  const auto lock = access_.read();
  return vectors_->vectors() == 0 ? 0 : vectors_->dimensions();
}

core::IndexStats CollectionIndex::stats() const {
  const auto lock = access_.read();
  const VectorStats vectors = vectors_->stats();
  core::IndexStats stats;
  stats.documents = static_cast<int64_t>(table_->live_counts().documents);
  stats.chunks = static_cast<int64_t>(table_->live_counts().rows);
  stats.terms = static_cast<int64_t>(lexical_->terms());
  stats.segments = static_cast<int64_t>(lexical_->segments());
  stats.dimensions = static_cast<int64_t>(vectors.dimensions);
  stats.memory_bytes = static_cast<int64_t>(lexical_->memory_bytes() + table_->memory_bytes() + vectors.memory_bytes);
  stats.mapped_bytes = static_cast<int64_t>(lexical_->file_bytes() + vectors.mapped_bytes);
  stats.vectors = {.rows = static_cast<int64_t>(vectors.vectors),
                   .graph_rows = static_cast<int64_t>(vectors.graph_rows),
                   .m = static_cast<int64_t>(vectors.m),
                   .ef_construction = static_cast<int64_t>(vectors.ef_construction),
                   .ef = static_cast<int64_t>(vectors.ef),
                   .recall_target = vectors.recall_target,
                   .recall_measured = vectors.recall};
  return stats;
}

base::Result<bool> CollectionIndex::maintain_segments(const std::atomic<bool>& stop, LexicalWork work) {
  const std::lock_guard working(maintenance_);
  std::unique_ptr<LexicalJob> job;
  {
    const auto lock = access_.read();
    job = lexical_->plan(work);
  }
  if (job == nullptr) return false;
  TESSERA_CHECK(job->run(stop));
  const std::lock_guard installing(installing_);
  {
    const auto lock = access_.write();
    lexical_->install(std::move(job));
  }
  installed_.notify_one();
  return true;
}

base::Result<bool> CollectionIndex::maintain_vectors() {
  const std::lock_guard working(maintenance_);
  std::unique_ptr<VectorIndex::Job> job;
  {
    const auto lock = access_.read();
    job = vectors_->plan();
  }
  if (job == nullptr) return false;
  job->run(yield_);
  const std::lock_guard installing(installing_);
  const auto lock = access_.write();
  vectors_->install(std::move(job));
  return true;
}

CollectionIndex::Compaction CollectionIndex::plan_compaction() {
  Compaction compaction{files_, options_, table_->compacted(), nullptr, nullptr};
  const auto lock = access_.write();
  compaction.lexical = lexical_->snapshot();
  compaction.vectors = vectors_->snapshot();
  return compaction;
}

base::Result<std::shared_ptr<CollectionIndex>> CollectionIndex::compacted(Compaction compaction) {
  auto fresh = std::make_shared<CollectionIndex>(compaction.files, compaction.options);
  TESSERA_TRY(fresh->lexical_, compaction.lexical->compacted(compaction.table.rows));
  fresh->vectors_ = compaction.vectors->compacted(compaction.table.rows);
  fresh->table_ = std::move(compaction.table.table);
  return fresh;
}

base::Result<> CollectionIndex::write_ahead() {
  yield_ = true;
  const std::lock_guard working(maintenance_);
  yield_ = false;
  std::unique_ptr<VectorIndex> vectors;
  {
    const auto lock = access_.read();
    vectors = vectors_->snapshot();
  }
  ByteWriter record;
  std::vector<FileEntry> files;
  TESSERA_CHECK(vectors->save(files_, record, files));
  {
    const std::lock_guard installing(installing_);
    const auto lock = access_.write();
    vectors_->take_files(*vectors);
  }
  return write_segments_ahead();
}

/// Each round finds what came during the one before, which is less and less.
base::Result<> CollectionIndex::write_segments_ahead() {
  constexpr int kRounds = 6;
  constexpr Row kWorthAFile = 128;  // fewer rows are written in a millisecond or two
  const std::atomic<bool> never{false};
  for (int round = 0; round < kRounds; ++round) {
    {
      const auto lock = access_.write();
      lexical_->freeze(kWorthAFile);
    }
    bool wrote = false;
    while (true) {
      std::unique_ptr<LexicalJob> job;
      {
        const auto lock = access_.read();
        job = lexical_->plan_write();
      }
      if (job == nullptr) break;
      TESSERA_CHECK(job->run(never));
      const std::lock_guard installing(installing_);
      const auto lock = access_.write();
      lexical_->install(std::move(job));
      wrote = true;
    }
    if (!wrote) break;
  }
  return {};
}

base::Result<> CollectionIndex::save(ByteWriter& record, std::vector<FileEntry>& files) {
  const std::lock_guard installing(installing_);
  record.put(static_cast<uint8_t>(options_.stemming));
  TESSERA_CHECK(table_->save(files_, record, files));
  TESSERA_CHECK(lexical_->save(record, files));
  TESSERA_CHECK(vectors_->save(files_, record, files, VectorIndex::GraphFile::as_it_is));
  const auto lock = access_.write();
  lexical_->release_saved();
  return {};
}

base::Result<std::shared_ptr<CollectionIndex>> CollectionIndex::load(FileStore& files, ByteReader& record,
                                                                     CollectionOptions options) {
  options.stemming = record.get<uint8_t>() != 0;
  auto index = std::make_shared<CollectionIndex>(files, options);
  TESSERA_TRY(index->table_, DocumentTable::load(files, record));
  TESSERA_TRY(index->lexical_, SegmentedIndex::load(files, record, options.lexical));
  TESSERA_TRY(index->vectors_, VectorIndex::load(files, record, index->table_->live(), options.vectors));
  const Row rows = index->table_->rows();
  if (!record.good() || index->lexical_->rows() != rows || index->vectors_->rows() != rows ||
      index->lexical_->live_rows() != index->table_->live_counts().rows) {
    return files_damaged("MANIFEST", "the parts of a collection do not fit together");
  }
  return index;
}

}  // namespace tessera::index
