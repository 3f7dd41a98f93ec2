#include "rag/ingest.h"

#include <fmt/core.h>

#include <algorithm>
#include <span>
#include <utility>
#include <vector>

#include "async/run_blocking.h"
#include "base/hash.h"
#include "rag/context_bounds.h"
#include "rag/document_hash.h"
#include "text/chunker.h"

namespace tessera::rag {

namespace {

using base::Code;

// What is embedded for a chunk: where it stands, then what it says. A chunk alone often does not name its subject.
std::string embedding_text(const core::Document& document, const core::Chunk& chunk) {
  std::string text;
  const std::string& title = document.head.title;
  if (!title.empty() && !chunk.heading_path.starts_with(title)) text.append(title).append("\n");
  if (!chunk.heading_path.empty()) text.append(chunk.heading_path).append("\n");
  text.append(document.text, static_cast<size_t>(chunk.start), static_cast<size_t>(chunk.end - chunk.start));
  return text;
}

text::ChunkOptions chunk_options(const core::CollectionSettings& settings) {
  constexpr int64_t kSizeMin = 16;
  text::ChunkOptions options;
  options.size = static_cast<size_t>(std::max(kSizeMin, settings.chunk_size));
  options.overlap =
      static_cast<size_t>(std::clamp<int64_t>(settings.chunk_overlap, 0, static_cast<int64_t>(options.size) - 1));
  return options;
}

}  // namespace

/// A document on its way: where it goes and what it has become so far.
struct IngestService::Draft {
  core::CollectionSettings settings;
  bool new_collection = false;
  core::Embedder* embedder = nullptr;
  core::DocumentWrite write;
};

IngestService::IngestService(IngestParts parts, IngestOptions options)
    : parts_(parts),
      options_(std::move(options)),
      interactive_({.concurrent_max = options_.interactive_max, .waiting_max = options_.interactive_waiting_max}),
      background_({.concurrent_max = options_.background_max, .waiting_max = size_t{1} << 20U}) {
  constexpr size_t kStripes = 64;
  for (size_t i = 0; i < kStripes; ++i) writing_.emplace_back(async::LimiterOptions{.waiting_max = 4096});
}

IngestService::~IngestService() = default;

std::string IngestService::default_id(const IngestRequest& request) const {
  const std::string& stable = request.source.empty() ? request.name : request.source;
  if (stable.empty()) return parts_.ids.next();
  // The collection takes part: the same file may be in two collections, and a document_id is unique in its app.
  return "doc-" + base::content_hash(request.collection + '\n' + stable);
}

std::string IngestService::fingerprint(const core::CollectionSettings& settings) const {
  return settings_fingerprint(settings);
}

std::string IngestService::hash(const IngestRequest& request, const core::CollectionSettings& settings) const {
  return document_hash(request) + '-' + settings_fingerprint(settings);
}

base::Result<> IngestService::check_request(const IngestRequest& request) const {
  if (request.bytes.size() > options_.document_bytes_max) {
    return base::fail(Code::too_large, "DOCUMENT_TOO_LARGE",
                      fmt::format("The document has {} bytes; the limit is {}. Split it.", request.bytes.size(),
                                  options_.document_bytes_max));
  }
  if (!core::valid_collection_name(request.collection)) {
    return base::fail(Code::invalid, "INVALID_COLLECTION",
                      "A collection's name is 1 to 128 letters, digits, '-', '_' or '.', not starting with '.'.", "",
                      "collection");
  }
  if (!request.document_id.empty() && !base::valid_client_id(request.document_id)) {
    return base::fail(Code::invalid, "INVALID_DOCUMENT_ID",
                      "A document_id is 1 to 256 printable ASCII characters without space, quotes, '/', '\\' or '#'.",
                      "", "document_id");
  }
  if (request.metadata.size() > core::kMetadataFieldsMax) {
    return base::fail(Code::invalid, "TOO_MANY_METADATA_FIELDS",
                      fmt::format("Metadata has at most {} fields.", core::kMetadataFieldsMax), "", "metadata");
  }
  return {};
}

core::Task<base::Result<IngestReceipt>> IngestService::ingest(const core::RequestContext& context,
                                                              IngestRequest request) {
  TESSERA_CO_CHECK(check_request(request));
  auto& limiter = request.priority == IngestPriority::interactive ? interactive_ : background_;
  TESSERA_CO_TRY(const auto permit, co_await limiter.acquire(bounds_of(context)));
  co_return co_await run(context, std::move(request));
}

core::Task<base::Result<IngestReceipt>> IngestService::run(const core::RequestContext& context, IngestRequest request) {
  Draft draft;
  draft.write.collection = {context.tenant, request.collection};
  core::CollectionName name = draft.write.collection;
  auto collection = co_await parts_.store.find_collection(std::move(name));
  if (collection) {
    draft.settings = collection->settings;
  } else if (collection.error().code != Code::not_found) {
    co_return std::unexpected(std::move(collection).error());
  } else {
    draft.settings = options_.collection_defaults;
    draft.new_collection = true;
  }
  TESSERA_CO_TRY(draft.embedder, parts_.embedders.find(draft.settings.embedding_model));
  auto& head = draft.write.document.head;
  head.document_id = request.document_id.empty() ? default_id(request) : request.document_id;
  head.collection = request.collection;
  head.source = request.source;
  head.content_hash = hash(request, draft.settings);

  TESSERA_CO_TRY(auto unchanged, co_await if_unchanged(context, draft));
  if (unchanged) co_return *std::move(unchanged);
  TESSERA_CO_CHECK(co_await parse_and_chunk(context, request, draft));
  TESSERA_CO_CHECK(co_await embed(context, *draft.embedder, draft.write));

  // Only now: a document that fails leaves no empty collection behind.
  if (draft.new_collection) {
    core::CollectionName missing = draft.write.collection;
    TESSERA_CO_CHECK(co_await parts_.store.create_collection(std::move(missing), draft.settings));
  }
  IngestReceipt receipt;
  receipt.document_id = head.document_id;
  TESSERA_CO_TRY(const auto stored, co_await put(context, std::move(draft.write), std::nullopt));
  receipt.outcome = stored.outcome;
  receipt.chunks = stored.chunks;
  receipt.version = stored.version;
  core::StageTimer timer(context, "index");
  if (stored.outcome == core::PutOutcome::unchanged) {
    TESSERA_CO_CHECK(co_await parts_.feed.wait_current(bounds_of(context)));
  } else {
    TESSERA_CO_CHECK(co_await parts_.feed.wait_applied(stored.sequence, bounds_of(context)));
  }
  co_return receipt;
}

core::Task<base::Result<std::optional<IngestReceipt>>> IngestService::if_unchanged(const core::RequestContext& context,
                                                                                   const Draft& draft) {
  using Answer = base::Result<std::optional<IngestReceipt>>;
  const auto& head = draft.write.document.head;
  const auto stored = co_await parts_.store.find_document(context.tenant, head.document_id);
  if (!stored) {
    if (stored.error().code == Code::not_found) co_return Answer(std::nullopt);
    co_return std::unexpected(stored.error());
  }
  if (stored->collection != head.collection) {
    co_return base::fail(Code::conflict, "DOCUMENT_IN_OTHER_COLLECTION",
                         "A document with this id is in another collection; delete it there or use another id.", "",
                         "document_id");
  }
  if (stored->content_hash != head.content_hash) co_return Answer(std::nullopt);
  // Whoever stored it may not have waited for the index.
  TESSERA_CO_CHECK(co_await parts_.feed.wait_current(bounds_of(context)));
  IngestReceipt receipt;
  receipt.document_id = stored->document_id;
  receipt.outcome = core::PutOutcome::unchanged;
  if (parts_.unchanged != nullptr) parts_.unchanged->increment();
  receipt.chunks = stored->chunks;
  receipt.version = stored->version;
  co_return Answer(std::move(receipt));
}

core::Task<base::Result<>> IngestService::parse_and_chunk(const core::RequestContext& context, IngestRequest& request,
                                                          Draft& draft) {
  core::StageTimer timer(context, "parse");
  const auto work = [this, &request, &draft]() -> base::Result<> {
    core::RawDocument raw;
    raw.bytes = request.bytes;
    raw.content_type = std::move(request.content_type);
    raw.name = request.name.empty() ? request.source : request.name;
    TESSERA_TRY(auto parsed, parts_.parser.parse(raw));
    auto& document = draft.write.document;
    document.text = std::move(parsed.text);
    document.head.title = request.title.empty() ? std::move(parsed.title) : std::move(request.title);
    if (document.head.title.empty()) document.head.title = file_stem(raw.name);
    document.head.content_type = std::move(parsed.content_type);
    document.head.metadata = std::move(request.metadata);
    for (auto& [field, value] : parsed.metadata) {
      if (document.head.metadata.size() >= core::kMetadataFieldsMax) break;
      document.head.metadata.try_emplace(field, std::move(value));
    }
    const auto spans = text::chunk_text(document.text, parsed.structure, chunk_options(draft.settings),
                                        [&](std::string_view piece) { return draft.embedder->count_tokens(piece); });
    if (spans.empty()) {
      return base::fail(Code::unreadable, "EMPTY_DOCUMENT", "The document has no text.");
    }
    if (spans.size() > options_.chunks_max) {
      return base::fail(Code::too_large, "TOO_MANY_CHUNKS",
                        fmt::format("The document makes {} chunks; the limit is {}. Split it or use larger chunks.",
                                    spans.size(), options_.chunks_max));
    }
    auto& chunks = draft.write.chunks;
    chunks.resize(spans.size());
    for (size_t i = 0; i < spans.size(); ++i) {
      chunks[i].ordinal = static_cast<int64_t>(i);
      chunks[i].start = static_cast<int64_t>(spans[i].start);
      chunks[i].end = static_cast<int64_t>(spans[i].end);
      chunks[i].tokens = static_cast<int64_t>(spans[i].tokens);
      chunks[i].heading_path = spans[i].heading_path;
    }
    request.bytes = {};
    return {};
  };
  // `work` refers to this frame, which stays until the pool is done with it.
  co_return co_await parts_.pool.run(work, context.cancel);
}

core::Task<base::Result<>> IngestService::embed(const core::RequestContext& context, core::Embedder& embedder,
                                                core::DocumentWrite& write) {
  core::StageTimer timer(context, "embed");
  write.dimensions = embedder.dimensions();
  write.vectors.clear();
  write.vectors.reserve(write.chunks.size() * write.dimensions);
  std::vector<std::string> texts;
  std::vector<std::string_view> views;
  for (size_t begin = 0; begin < write.chunks.size(); begin += options_.embed_batch) {
    if (context.cancel.cancelled()) {
      co_return base::fail(Code::cancelled, "REQUEST_CANCELLED", "The request was cancelled.");
    }
    const size_t end = std::min(begin + options_.embed_batch, write.chunks.size());
    texts.clear();
    for (size_t i = begin; i < end; ++i) texts.push_back(embedding_text(write.document, write.chunks[i]));
    views.assign(texts.begin(), texts.end());
    base::Result<core::Embeddings> rows;
    auto task = embedder.embed(context, std::span<const std::string_view>(views));
    if (options_.embed_executor) {
      rows = co_await boost::asio::co_spawn(options_.embed_executor, std::move(task), boost::asio::use_awaitable);
    } else {
      rows = co_await std::move(task);
    }
    TESSERA_CO_CHECK(rows);
    if (rows->rows != views.size() || rows->dimensions != write.dimensions ||
        rows->values.size() != rows->rows * rows->dimensions) {
      co_return base::fail(Code::upstream, "EMBEDDING_SHAPE",
                           "The embedding model answered with another number or size of vectors than asked for.");
    }
    write.vectors.insert(write.vectors.end(), rows->values.begin(), rows->values.end());
  }
  co_return base::Result<>{};
}

core::Task<base::Result<bool>> IngestService::refresh(const core::RequestContext& context, core::DocumentHead head) {
  core::CollectionName name{context.tenant, head.collection};
  TESSERA_CO_TRY(const auto collection, co_await parts_.store.find_collection(std::move(name)));
  const std::string wanted = '-' + settings_fingerprint(collection.settings);
  if (head.content_hash.ends_with(wanted)) co_return false;
  TESSERA_CO_TRY(const auto permit, co_await background_.acquire(bounds_of(context)));
  TESSERA_CO_TRY(auto* embedder, parts_.embedders.find(collection.settings.embedding_model));
  core::DocumentWrite write;
  write.collection = {context.tenant, head.collection};
  TESSERA_CO_TRY(write.document, co_await parts_.store.load_document(context.tenant, head.document_id));
  TESSERA_CO_TRY(write.chunks, co_await parts_.store.load_chunks(context.tenant, head.document_id));
  for (const auto& chunk : write.chunks) {
    if (chunk.start < 0 || chunk.end < chunk.start || chunk.end > static_cast<int64_t>(write.document.text.size())) {
      co_return base::fail(Code::conflict, "DOCUMENT_CHANGED", "The document was changed meanwhile.");
    }
  }
  // Of the text that was loaded; `head` may be older.
  std::string& content_hash = write.document.head.content_hash;
  content_hash = content_hash.substr(0, content_hash.rfind('-')) + wanted;
  TESSERA_CO_CHECK(co_await embed(context, *embedder, write));
  const int64_t version = write.document.head.version;
  TESSERA_CO_TRY(const auto stored, co_await put(context, std::move(write), version));
  TESSERA_CO_CHECK(co_await parts_.feed.wait_applied(stored.sequence, bounds_of(context)));
  co_return true;
}

// With a version: only while the store still has that one.
core::Task<base::Result<core::PutReceipt>> IngestService::put(const core::RequestContext& context,
                                                              core::DocumentWrite write,
                                                              std::optional<int64_t> version) {
  const std::string key = context.tenant.app_id + '\n' + write.document.head.document_id;
  auto& stripe = writing_[base::hash64(key) % writing_.size()];
  TESSERA_CO_TRY(const auto permit, co_await stripe.acquire(bounds_of(context)));
  if (version) {
    TESSERA_CO_TRY(const auto now,
                   co_await parts_.store.find_document(context.tenant, write.document.head.document_id));
    if (now.version != *version) {
      co_return base::fail(Code::conflict, "DOCUMENT_CHANGED", "The document was changed meanwhile.");
    }
  }
  co_return co_await parts_.store.put_document(std::move(write));
}

}  // namespace tessera::rag
