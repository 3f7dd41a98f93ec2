#include <fmt/core.h>

#include <algorithm>
#include <exception>
#include <span>
#include <utility>

#include "async/run_on.h"
#include "async/task_scope.h"
#include "rag/context_bounds.h"
#include "rag/document_hash.h"
#include "rag/ingest_draft.h"
#include "text/chunker.h"

namespace tessera::rag {

namespace {

using base::Code;

// What is embedded for a chunk: where it stands, then what it says. A chunk alone often does not name its subject.
void place_of(const core::Document& document, const core::Chunk& chunk, std::string& text) {
  text.clear();
  const std::string& title = document.head.title;
  if (!title.empty() && !chunk.heading_path.starts_with(title)) text.append(title).append("\n");
  if (!chunk.heading_path.empty()) text.append(chunk.heading_path).append("\n");
}

void embedding_text(const core::Document& document, const core::Chunk& chunk, std::string& text) {
  place_of(document, chunk, text);
  text.append(document.text, static_cast<size_t>(chunk.start), static_cast<size_t>(chunk.end - chunk.start));
}

text::ChunkOptions chunk_options(const core::CollectionSettings& settings) {
  constexpr int64_t kSizeMin = 16;
  text::ChunkOptions options;
  options.size = static_cast<size_t>(std::max(kSizeMin, settings.chunk_size));
  options.overlap =
      static_cast<size_t>(std::clamp<int64_t>(settings.chunk_overlap, 0, static_cast<int64_t>(options.size) - 1));
  return options;
}

std::unexpected<base::Error> was_cancelled() {
  return base::fail(Code::cancelled, "REQUEST_CANCELLED", "The request was cancelled.");
}

/// Chunks of several documents that go to the embedder in one call.
struct EmbedCall {
  std::vector<std::string> texts;  ///< kept for their memory; the first `size` are in use
  std::vector<std::string_view> views;
  std::vector<size_t> owners;  ///< the draft of each text
  size_t size = 0;
};

/// Makes one reader at a time: most batches are for one model.
class Readers {
 public:
  core::TokenReader* of(const core::Embedder& embedder) {
    if (&embedder != embedder_) reader_ = embedder.token_reader();
    embedder_ = &embedder;
    return reader_.get();
  }

 private:
  const core::Embedder* embedder_ = nullptr;
  std::unique_ptr<core::TokenReader> reader_;
};

}  // namespace

core::Task<base::Result<>> IngestService::run(const core::RequestContext& context, Drafts& drafts) {
  if (std::ranges::none_of(drafts, &Draft::goes_on)) co_return base::Result<>{};
  const bool interactive = std::ranges::any_of(
      drafts, [](const Draft& draft) { return draft.request.priority == IngestPriority::interactive; });
  TESSERA_CO_TRY(const auto permit, co_await (interactive ? interactive_ : background_).acquire(bounds_of(context)));
  TESSERA_CO_CHECK(co_await identify(context, drafts));
  TESSERA_CO_CHECK(co_await check_dimensions(context, drafts));
  TESSERA_CO_CHECK(co_await prepare(context, drafts));
  TESSERA_CO_CHECK(co_await embed(context, drafts));
  TESSERA_CO_CHECK(co_await store(context, drafts));

  core::StageTimer timer(context, "index");
  int64_t sequence = 0;
  bool unchanged = false;
  for (const Draft& draft : drafts) {
    if (draft.failure) continue;
    sequence = std::max(sequence, draft.sequence);
    unchanged = unchanged || draft.sequence == 0;
  }
  // Whoever stored an unchanged one may not have waited for the index.
  if (unchanged) co_return co_await parts_.feed.wait_current(bounds_of(context));
  if (sequence > 0) co_return co_await parts_.feed.wait_applied(sequence, bounds_of(context));
  co_return base::Result<>{};
}

core::Task<base::Result<>> IngestService::identify(const core::RequestContext& context, Drafts& drafts) {
  TESSERA_CO_CHECK(co_await find_settings(context, drafts));
  for (Draft& draft : drafts) {
    if (!draft.goes_on()) continue;
    const auto embedder = parts_.embedders.find(draft.settings.embedding_model);
    if (!embedder) {
      draft.fail(embedder.error());
      continue;
    }
    draft.embedder = *embedder;
    const auto dimensions = co_await learn_dimensions(context, *draft.embedder);
    if (!dimensions) {
      draft.fail(dimensions.error());
      continue;
    }
    draft.write.dimensions = *dimensions;
    const IngestRequest& request = draft.request;
    auto& head = draft.write.document.head;
    head.document_id = request.document_id.empty() ? default_id(request) : request.document_id;
    head.collection = request.collection;
    head.source = request.source;
    head.source_stamp = request.source_stamp;
    head.content_hash = document_hash(request) + '-' + settings_fingerprint(draft.settings, *dimensions);
  }
  co_return co_await skip_unchanged(context, drafts);
}

core::Task<base::Result<>> IngestService::find_settings(const core::RequestContext& context, Drafts& drafts) {
  const Draft* known = nullptr;  // most batches are for one collection
  for (Draft& draft : drafts) {
    if (!draft.goes_on()) continue;
    draft.write.collection = {context.tenant, draft.request.collection};
    if (known != nullptr && known->request.collection == draft.request.collection) {
      draft.settings = known->settings;
      draft.collection_id = known->collection_id;
      continue;
    }
    core::CollectionName name = draft.write.collection;
    auto collection = co_await parts_.store.find_collection(std::move(name));
    if (collection) {
      draft.settings = std::move(collection->settings);
      draft.collection_id = collection->id;
    } else if (collection.error().code == Code::not_found) {
      draft.settings = options_.collection_defaults;
    } else {
      co_return std::unexpected(std::move(collection).error());
    }
    known = &draft;
  }
  co_return base::Result<>{};
}

core::Task<base::Result<>> IngestService::skip_unchanged(const core::RequestContext& context, Drafts& drafts) {
  std::vector<std::string> ids;
  for (const Draft& draft : drafts) {
    if (draft.goes_on()) ids.push_back(draft.write.document.head.document_id);
  }
  if (ids.empty()) co_return base::Result<>{};
  TESSERA_CO_TRY(const auto stored, co_await parts_.store.find_documents(context.tenant, std::move(ids)));
  std::vector<core::SourceRecord> stamps;
  size_t next = 0;
  for (Draft& draft : drafts) {
    if (!draft.goes_on()) continue;
    const auto& there = stored[next++];
    if (!there) continue;
    const auto& head = draft.write.document.head;
    if (there->collection != head.collection) {
      draft.fail(base::make_error(Code::conflict, "DOCUMENT_IN_OTHER_COLLECTION",
                                  "A document with this id is in another collection; delete it there or use another "
                                  "id.",
                                  "", "document_id"));
      continue;
    }
    if (there->content_hash != head.content_hash) continue;
    draft.unchanged = true;
    draft.receipt = {there->document_id, core::PutOutcome::unchanged, there->chunks, there->version};
    if (parts_.unchanged != nullptr) parts_.unchanged->increment();
    if (head.source_stamp != 0 && head.source_stamp != there->source_stamp) {
      stamps.push_back({there->source, there->document_id, there->content_hash, head.source_stamp});
    }
  }
  if (!stamps.empty()) TESSERA_CO_CHECK(co_await parts_.store.note_stamps(context.tenant, std::move(stamps)));
  co_return base::Result<>{};
}

core::Task<base::Result<>> IngestService::prepare(const core::RequestContext& context, Drafts& drafts) {
  if (std::ranges::none_of(drafts, &Draft::goes_on)) co_return base::Result<>{};
  core::StageTimer timer(context, "parse");
  const auto work = [this, &context, &timer, &drafts] { return parse_and_embed(context, timer, drafts); };
  // `work` refers to this frame, which stays until the pool is done with it.
  co_return co_await parts_.pool.run(work, context.cancel);
}

// Where the model reads tokens in this process, its vectors are made here: reading was most of the work.
base::Result<> IngestService::parse_and_embed(const core::RequestContext& context, core::StageTimer& parsing,
                                              Drafts& drafts) const {
  Readers readers;
  const auto each = [&](auto&& step) -> base::Result<> {
    for (Draft& draft : drafts) {
      if (!draft.goes_on()) continue;
      if (context.cancel.cancelled()) return was_cancelled();
      try {
        if (auto done = step(draft); !done) draft.fail(std::move(done).error());
      } catch (const std::exception& thrown) {
        // Not the neighbours' fault.
        draft.fail(base::make_error(Code::internal, "INTERNAL", "The document could not be read; this is a bug.",
                                    thrown.what()));
      }
    }
    return {};
  };
  TESSERA_CHECK(each([&](Draft& draft) {
    auto done = parse_and_chunk(draft, readers.of(*draft.embedder));
    draft.request.bytes = {};
    return done;
  }));
  parsing.stop();
  if (std::ranges::none_of(drafts, [](const Draft& draft) { return !draft.first_tokens.empty(); })) return {};
  const core::StageTimer embedding(context, "embed");
  return each([&](Draft& draft) -> base::Result<> {
    if (!draft.first_tokens.empty()) draft.embed_tokens(*readers.of(*draft.embedder));
    return {};
  });
}

void IngestService::Draft::embed_tokens(core::TokenReader& reader) {
  std::vector<uint16_t> all;
  all.reserve(tokens.size() * 3 / 2);
  std::vector<size_t> ends;
  std::string place;
  for (size_t i = 0; i < write.chunks.size(); ++i) {
    place_of(write.document, write.chunks[i], place);
    reader.read(place, all);
    const auto first = tokens.begin() + static_cast<ptrdiff_t>(first_tokens[i]);
    all.insert(all.end(), first, first + write.chunks[i].tokens);
    ends.push_back(all.size());
  }
  write.dimensions = embedder->dimensions();
  write.vectors.resize(write.chunks.size() * write.dimensions);
  reader.embed(all, ends, write.vectors);
  tokens = {};
  first_tokens = {};
  embedded = true;
}

base::Result<> IngestService::parse_and_chunk(Draft& draft, core::TokenReader* reader) const {
  IngestRequest& request = draft.request;
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
  text::TokenKeeper keeper;
  keeper.read = [&](std::string_view piece, std::vector<uint16_t>& tokens) {
    return reader == nullptr ? draft.embedder->count_tokens(piece) : reader->read(piece, tokens);
  };
  auto spans = text::chunk_text(document.text, parsed.structure, chunk_options(draft.settings), keeper);
  if (spans.empty()) return base::fail(Code::unreadable, "EMPTY_DOCUMENT", "The document has no text.");
  if (spans.size() > options_.chunks_max) {
    return base::fail(Code::too_large, "TOO_MANY_CHUNKS",
                      fmt::format("The document makes {} chunks; the limit is {}. Split it, use larger chunks, or "
                                  "raise the setting ingest.chunks_max.",
                                  spans.size(), options_.chunks_max));
  }
  auto& chunks = draft.write.chunks;
  chunks.resize(spans.size());
  for (size_t i = 0; i < spans.size(); ++i) {
    chunks[i].ordinal = static_cast<int64_t>(i);
    chunks[i].start = static_cast<int64_t>(spans[i].start);
    chunks[i].end = static_cast<int64_t>(spans[i].end);
    chunks[i].tokens = static_cast<int64_t>(spans[i].tokens);
    chunks[i].heading_path = std::move(spans[i].heading_path);
  }
  if (reader == nullptr) return {};
  draft.tokens = std::move(keeper.tokens);
  for (const auto& span : spans) draft.first_tokens.push_back(span.first_token);
  return {};
}

core::Task<base::Result<>> IngestService::embed(const core::RequestContext& context, Drafts& drafts) {
  if (std::ranges::none_of(drafts, &Draft::lacks_vectors)) co_return base::Result<>{};
  core::StageTimer timer(context, "embed");
  auto task = embed_chunks(context, drafts);
  if (!options_.embed_executor) co_return co_await std::move(task);
  co_return co_await async::run_on(options_.embed_executor, std::move(task));
}

// Calls of the embedder are filled across documents: a remote one is paid for each.
core::Task<base::Result<>> IngestService::embed_chunks(const core::RequestContext& context, Drafts& drafts) {
  EmbedCall call;
  call.texts.resize(std::max<size_t>(1, options_.embed_batch));
  for (size_t d = 0; d < drafts.size(); ++d) {
    if (!drafts[d].lacks_vectors()) continue;
    core::DocumentWrite& write = drafts[d].write;
    write.dimensions = drafts[d].embedder->dimensions();
    write.vectors.clear();
    write.vectors.reserve(write.chunks.size() * write.dimensions);
    for (size_t c = 0; c < write.chunks.size(); ++c) {
      embedding_text(write.document, write.chunks[c], call.texts[call.size++]);
      call.owners.push_back(d);
      const bool last_chunk = c + 1 == write.chunks.size();
      const bool more = !last_chunk || (d + 1 < drafts.size() && drafts[d + 1].lacks_vectors() &&
                                        drafts[d + 1].embedder == drafts[d].embedder);
      if (call.size < call.texts.size() && more) continue;
      if (context.cancel.cancelled()) co_return was_cancelled();
      call.views.assign(call.texts.begin(), call.texts.begin() + static_cast<ptrdiff_t>(call.size));
      auto rows = co_await drafts[d].embedder->embed(context, std::span<const std::string_view>(call.views));
      if (rows && (rows->rows != call.size || rows->dimensions != write.dimensions ||
                   rows->values.size() != rows->rows * rows->dimensions)) {
        rows = base::fail(Code::upstream, "EMBEDDING_SHAPE",
                          "The embedding model answered with another number or size of vectors than asked for.");
      }
      for (size_t i = 0; i < call.size; ++i) {
        Draft& owner = drafts[call.owners[i]];
        if (!rows) {
          owner.fail(rows.error());
          continue;
        }
        const float* row = rows->values.data() + i * rows->dimensions;
        owner.write.vectors.insert(owner.write.vectors.end(), row, row + rows->dimensions);
      }
      call.size = 0;
      call.owners.clear();
      if (!drafts[d].goes_on()) break;
    }
  }
  co_return base::Result<>{};
}

core::Task<base::Result<>> IngestService::store(const core::RequestContext& context, Drafts& drafts) {
  const Draft* made = nullptr;
  for (Draft& draft : drafts) {
    // Only now: a document that fails leaves no empty collection behind.
    if (!draft.goes_on() || draft.collection_id != 0) continue;
    if (made != nullptr && made->request.collection == draft.request.collection) continue;
    core::CollectionName missing = draft.write.collection;
    TESSERA_CO_CHECK(co_await parts_.store.create_collection(std::move(missing), draft.settings));
    made = &draft;
  }
  if (std::ranges::count_if(drafts, &Draft::goes_on) == 1) {
    co_await store_one(*std::ranges::find_if(drafts, &Draft::goes_on));
    co_return base::Result<>{};
  }
  // Together, so that they share a commit. What a task throws leaves its draft with the failure it began with.
  async::TaskScope writes(co_await boost::asio::this_coro::executor, {}, [](const std::exception_ptr&) {});
  Draft* last = nullptr;
  for (Draft& draft : drafts) {
    if (!draft.goes_on()) continue;
    draft.write.more = true;
    last = &draft;
  }
  if (last != nullptr) last->write.more = false;
  for (Draft& draft : drafts) {
    if (draft.goes_on()) writes.spawn(store_one(draft));
  }
  co_await writes.join();
  co_return base::Result<>{};
}

core::Task<> IngestService::store_one(Draft& draft) {
  draft.receipt.document_id = draft.write.document.head.document_id;
  draft.fail(base::make_error(Code::internal, "INTERNAL", "The document could not be stored; this is a bug."));
  auto stored = co_await parts_.store.put_document(std::move(draft.write));
  if (!stored) {
    draft.fail(std::move(stored).error());
    co_return;
  }
  draft.failure.reset();
  draft.receipt.outcome = stored->outcome;
  draft.receipt.chunks = stored->chunks;
  draft.receipt.version = stored->version;
  draft.sequence = stored->sequence;
}

}  // namespace tessera::rag
