#include "rag/ingest.h"

#include <fmt/core.h>

#include <algorithm>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "rag/context_bounds.h"
#include "rag/document_hash.h"
#include "rag/ingest_draft.h"

namespace tessera::rag {

namespace {

using base::Code;

}  // namespace

IngestService::IngestService(IngestParts parts, IngestOptions options)
    : parts_(parts),
      options_(std::move(options)),
      interactive_({.concurrent_max = options_.interactive_max, .waiting_max = options_.interactive_waiting_max}),
      background_({.concurrent_max = options_.background_max, .waiting_max = size_t{1} << 20U}) {}

IngestService::~IngestService() = default;

std::string IngestService::default_id(const IngestRequest& request) const {
  const std::string& stable = request.source.empty() ? request.name : request.source;
  if (stable.empty()) return parts_.ids.next();
  // The collection takes part: the same file may be in two collections, and a document_id is unique in its app.
  return "doc-" + base::content_hash(request.collection + '\n' + stable);
}

core::Task<base::Result<std::string>> IngestService::fingerprint(const core::RequestContext& context,
                                                                 core::CollectionSettings settings) {
  TESSERA_CO_TRY(auto* embedder, parts_.embedders.find(settings.embedding_model));
  TESSERA_CO_TRY(const size_t dimensions, co_await learn_dimensions(context, *embedder));
  co_return settings_fingerprint(settings, dimensions);
}

/// An embedder that cannot know yet learns them from an answer.
core::Task<base::Result<size_t>> IngestService::learn_dimensions(const core::RequestContext& context,
                                                                 core::Embedder& embedder) const {
  if (const size_t known = embedder.dimensions(); known > 0) co_return known;
  const std::string_view probe = "dimensions";
  TESSERA_CO_TRY(const auto rows, co_await embedder.embed(context, std::span(&probe, 1)));
  co_return rows.dimensions;
}

// Before anything is paid for or committed: beside vectors of another length, these could not be searched.
core::Task<base::Result<>> IngestService::check_dimensions(const core::RequestContext& context, Drafts& drafts) {
  const auto in_collection = [](const Draft& draft) { return draft.goes_on() && draft.collection_id != 0; };
  if (std::ranges::none_of(drafts, in_collection)) co_return base::Result<>{};
  // What an index that is catching up says is not the whole truth.
  if (!parts_.feed.check_serving()) TESSERA_CO_CHECK(co_await parts_.feed.wait_ready(bounds_of(context)));
  for (Draft& draft : drafts) {
    if (!in_collection(draft)) continue;
    const size_t there = parts_.index.dimensions(draft.collection_id);
    if (there == 0 || there == draft.write.dimensions) continue;
    draft.fail(base::make_error(
        Code::conflict, "DIMENSION_MISMATCH",
        fmt::format(
            "The embedding model '{}' now gives vectors of {} dimensions, but the collection '{}' holds vectors "
            "of {}. Reindex the collection to embed it anew (POST /api/reindex with {{\"collection\": "
            "\"{}\"}}), or configure the former model again.",
            draft.settings.embedding_model, draft.write.dimensions, draft.request.collection, there,
            draft.request.collection),
        "", "collection"));
  }
  co_return base::Result<>{};
}

base::Result<> IngestService::check_request(const IngestRequest& request) const {
  if (request.bytes.size() > options_.document_bytes_max) {
    return base::fail(Code::too_large, "DOCUMENT_TOO_LARGE",
                      fmt::format("The document has {} bytes; the limit is {}. Split it, or raise the setting "
                                  "ingest.document_bytes_max.",
                                  request.bytes.size(), options_.document_bytes_max));
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
  std::vector<IngestRequest> one;
  one.push_back(std::move(request));
  auto answers = co_await ingest_batch(context, std::move(one));
  co_return std::move(answers.front());
}

core::Task<std::vector<base::Result<IngestReceipt>>> IngestService::ingest_batch(const core::RequestContext& context,
                                                                                 std::vector<IngestRequest> requests) {
  Drafts drafts(requests.size());
  for (size_t i = 0; i < requests.size(); ++i) {
    drafts[i].request = std::move(requests[i]);
    if (auto fine = check_request(drafts[i].request); !fine) drafts[i].fail(std::move(fine).error());
  }
  const auto done = co_await run(context, drafts);
  std::vector<base::Result<IngestReceipt>> answers;
  answers.reserve(drafts.size());
  for (Draft& draft : drafts) {
    if (draft.failure) {
      answers.emplace_back(std::unexpected(*std::move(draft.failure)));
    } else if (!done) {
      answers.emplace_back(std::unexpected(done.error()));
    } else {
      answers.emplace_back(std::move(draft.receipt));
    }
  }
  co_return answers;
}

core::Task<base::Result<bool>> IngestService::refresh(const core::RequestContext& context, core::DocumentHead head) {
  core::CollectionName name{context.tenant, head.collection};
  TESSERA_CO_TRY(const auto collection, co_await parts_.store.find_collection(std::move(name)));
  TESSERA_CO_TRY(auto* embedder, parts_.embedders.find(collection.settings.embedding_model));
  TESSERA_CO_TRY(const size_t dimensions, co_await learn_dimensions(context, *embedder));
  const std::string wanted = '-' + settings_fingerprint(collection.settings, dimensions);
  if (head.content_hash.ends_with(wanted)) co_return false;
  TESSERA_CO_TRY(const auto permit, co_await background_.acquire(bounds_of(context)));
  Drafts drafts(1);
  drafts[0].embedder = embedder;
  core::DocumentWrite& write = drafts[0].write;
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
  TESSERA_CO_CHECK(co_await embed(context, drafts));
  if (drafts[0].failure) co_return std::unexpected(*std::move(drafts[0].failure));
  write.only_version = write.document.head.version;
  TESSERA_CO_TRY(const auto stored, co_await parts_.store.put_document(std::move(write)));
  TESSERA_CO_CHECK(co_await parts_.feed.wait_applied(stored.sequence, bounds_of(context)));
  co_return true;
}

}  // namespace tessera::rag
