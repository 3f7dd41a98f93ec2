#include "rag/library.h"

#include <fmt/format.h>

#include <utility>

#include "rag/context_bounds.h"

namespace tessera::rag {

namespace {

using base::Code;

base::Result<> check_name(const std::string& name) {
  if (core::valid_collection_name(name)) return {};
  return base::fail(Code::invalid, "INVALID_COLLECTION",
                    "A collection's name is 1 to 128 letters, digits, '-', '_' or '.', not starting with '.'.", "",
                    "collection");
}

}  // namespace

core::Task<base::Result<core::Page<core::DocumentHead>>> Library::list(const core::RequestContext& context,
                                                                       std::string collection, core::PageRequest page) {
  if (!collection.empty()) {
    // So that a mistyped name is told from an empty collection.
    core::CollectionName name{context.tenant, collection};
    TESSERA_CO_CHECK(co_await store_.find_collection(std::move(name)));
  }
  co_return co_await store_.list_documents(context.tenant, std::move(collection), std::move(page));
}

core::Task<base::Result<core::DocumentHead>> Library::find(const core::RequestContext& context,
                                                           std::string document_id) {
  co_return co_await store_.find_document(context.tenant, std::move(document_id));
}

core::Task<base::Result<DocumentView>> Library::load(const core::RequestContext& context, std::string document_id) {
  // Two reads: an update in between gives chunks of the newer version, so read again until both agree.
  constexpr int kTries = 3;
  DocumentView view;
  for (int i = 0; i < kTries; ++i) {
    TESSERA_CO_TRY(view.document, co_await store_.load_document(context.tenant, document_id));
    TESSERA_CO_TRY(view.chunks, co_await store_.load_chunks(context.tenant, document_id));
    TESSERA_CO_TRY(const auto head, co_await store_.find_document(context.tenant, document_id));
    if (head.version == view.document.head.version) co_return view;
  }
  co_return base::fail(Code::conflict, "DOCUMENT_CHANGED", "The document is being changed; try again.");
}

core::Task<base::Result<>> Library::remove(const core::RequestContext& context, std::string document_id) {
  TESSERA_CO_CHECK(co_await store_.delete_document(context.tenant, std::move(document_id)));
  co_return co_await feed_.wait_current(bounds_of(context));
}

core::Task<base::Result<std::vector<core::Collection>>> Library::list_collections(const core::RequestContext& context) {
  co_return co_await store_.list_collections(context.tenant);
}

core::Task<base::Result<core::Collection>> Library::create_collection(const core::RequestContext& context,
                                                                      std::string name,
                                                                      core::CollectionSettings settings) {
  TESSERA_CO_CHECK(check_name(name));
  constexpr int64_t kSizeMin = 16;
  constexpr int64_t kSizeMax = 8192;
  if (settings.chunk_size < kSizeMin || settings.chunk_size > kSizeMax) {
    co_return base::fail(Code::invalid, "INVALID_CHUNK_SIZE", "chunk_size is 16 to 8192 tokens.", "", "chunk_size");
  }
  if (settings.chunk_overlap < 0 || settings.chunk_overlap * 2 >= settings.chunk_size) {
    co_return base::fail(
        Code::invalid, "INVALID_CHUNK_SIZE",
        fmt::format("chunk_overlap is at least 0 and less than half of chunk_size ({}).", settings.chunk_size), "",
        "chunk_overlap");
  }
  if (!embedders_.find(settings.embedding_model)) {
    co_return base::fail(Code::invalid, "INVALID_EMBEDDING_MODEL",
                         fmt::format("This server has no such embedding model; it has: {}.", embedders_.names()), "",
                         "embedding_model");
  }
  core::CollectionName full{context.tenant, std::move(name)};
  co_return co_await store_.create_collection(std::move(full), std::move(settings));
}

std::vector<StaleCollection> Library::stale(const std::vector<core::Collection>& collections) const {
  std::vector<StaleCollection> found;
  for (const core::Collection& each : collections) {
    const size_t dimensions = index_.dimensions(each.id);
    if (dimensions == 0) continue;
    const auto embedder = embedders_.find(each.settings.embedding_model);
    const size_t now = embedder ? (*embedder)->dimensions() : 0;
    const bool unknown = embedder && now == 0;  // until its first answer
    if (now != dimensions && !unknown) found.push_back({each.name.name, dimensions, now});
  }
  return found;
}

core::Task<base::Result<>> Library::drop_collection(const core::RequestContext& context, std::string name) {
  core::CollectionName full{context.tenant, std::move(name)};
  TESSERA_CO_CHECK(co_await store_.drop_collection(std::move(full)));
  co_return co_await feed_.wait_current(bounds_of(context));
}

core::Task<base::Result<LibraryStats>> Library::stats(const core::RequestContext& context, std::string collection) {
  std::vector<core::Collection> collections;
  if (collection.empty()) {
    TESSERA_CO_TRY(collections, co_await store_.list_collections(context.tenant));
  } else {
    core::CollectionName name{context.tenant, std::move(collection)};
    TESSERA_CO_TRY(auto one, co_await store_.find_collection(std::move(name)));
    collections.push_back(std::move(one));
  }
  constexpr int64_t kNoCollection = 0;
  LibraryStats stats;
  stats.index = index_.stats(kNoCollection);
  stats.collections = static_cast<int64_t>(collections.size());
  for (const auto& each : collections) {
    stats.documents += each.documents;
    stats.chunks += each.chunks;
    stats.index.add(index_.stats(each.id));
  }
  stats.feed = feed_.health();
  co_return stats;
}

}  // namespace tessera::rag
