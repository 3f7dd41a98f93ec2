#include "api/knowledge_routes.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "api/body.h"
#include "api/render.h"
#include "rag/library.h"

namespace tessera::api {
namespace {

base::Result<Reply> deleted_reply() {
  Reply reply;
  reply.body = R"({"deleted":true})";
  return reply;
}

std::optional<size_t> read_count(const Body& body, std::string_view field) {
  const auto value = body.integer(field);
  return value ? std::optional(static_cast<size_t>(*value)) : std::nullopt;
}

core::RankingChoice read_ranking(const Body& body) {
  core::RankingChoice choice;
  if (const auto word = body.text("fusion")) {
    choice.fusion = *word == "scores" ? core::Fusion::scores : core::Fusion::reciprocal_rank;
  }
  if (const auto word = body.text("duplicates")) {
    choice.duplicates = *word == "keep"   ? core::Duplicates::keep
                        : *word == "same" ? core::Duplicates::same
                                          : core::Duplicates::near;
  }
  choice.dense_weight = body.number("dense_weight");
  choice.rank_constant = body.number("rank_constant");
  choice.rerank = body.boolean("rerank");
  choice.per_document = read_count(body, "per_document");
  choice.neighbours = read_count(body, "neighbours");
  return choice;
}

}  // namespace

void KnowledgeRoutes::bind(std::array<RouteHandler, kRouteCount>& handlers) {
  const auto at = [&](RouteId id) -> RouteHandler& { return handlers[static_cast<size_t>(id)]; };
  at(RouteId::list_documents) = [this](Call& call) { return list_documents(call); };
  at(RouteId::get_document) = [this](Call& call) { return get_document(call); };
  at(RouteId::delete_document) = [this](Call& call) { return delete_document(call); };
  at(RouteId::list_collections) = [this](Call& call) { return list_collections(call); };
  at(RouteId::create_collection) = [this](Call& call) { return create_collection(call); };
  at(RouteId::get_collection) = [this](Call& call) { return get_collection(call); };
  at(RouteId::delete_collection) = [this](Call& call) { return delete_collection(call); };
  at(RouteId::search) = [this](Call& call) { return search(call); };
  at(RouteId::vector_db_stats) = [this](Call& call) { return vector_db_stats(call); };
}

async::Task<base::Result<Reply>> KnowledgeRoutes::list_documents(Call& call) {
  TESSERA_CO_CHECK(call.allow_query({"collection", "limit", "cursor"}));
  TESSERA_CO_TRY(std::string collection, call.query("collection"));
  TESSERA_CO_TRY(core::PageRequest page, call.page());
  TESSERA_CO_TRY(const auto documents,
                 co_await parts_.library.list(call.context, std::move(collection), std::move(page)));
  JsonWriter out;
  out.begin_object().key("items").begin_array();
  for (const core::DocumentHead& head : documents.items) write_document_head(out, head);
  out.end_array();
  write_cursor(out, documents.next_cursor);
  out.end_object();
  Reply reply;
  reply.body = out.take();
  co_return reply;
}

async::Task<base::Result<Reply>> KnowledgeRoutes::get_document(Call& call) {
  TESSERA_CO_TRY(const rag::DocumentView view, co_await parts_.library.load(call.context, call.param("document_id")));
  JsonWriter out;
  out.begin_object().key("document");
  write_document_head(out, view.document.head);
  out.field("text", view.document.text).key("chunks").begin_array();
  for (const core::Chunk& chunk : view.chunks) {
    out.begin_object()
        .field("chunk_id", core::chunk_id(view.document.head.document_id, chunk.ordinal))
        .field("start", chunk.start)
        .field("end", chunk.end)
        .field("tokens", chunk.tokens)
        .field("heading", chunk.heading_path)
        .end_object();
  }
  out.end_array().end_object();
  Reply reply;
  reply.body = out.take();
  co_return reply;
}

async::Task<base::Result<Reply>> KnowledgeRoutes::delete_document(Call& call) {
  TESSERA_CO_CHECK(co_await parts_.library.remove(call.context, call.param("document_id")));
  co_return deleted_reply();
}

async::Task<base::Result<Reply>> KnowledgeRoutes::list_collections(Call& call) {
  TESSERA_CO_TRY(const auto collections, co_await parts_.library.list_collections(call.context));
  JsonWriter out;
  out.begin_object().key("items").begin_array();
  for (const core::Collection& collection : collections) write_collection(out, collection);
  out.end_array();
  write_cursor(out, {});
  out.end_object();
  Reply reply;
  reply.body = out.take();
  co_return reply;
}

async::Task<base::Result<Reply>> KnowledgeRoutes::create_collection(Call& call) {
  TESSERA_CO_TRY(const Body body, Body::parse(call.request.body, *find_schema("CollectionRequest")));
  core::CollectionSettings settings = options_.collection_defaults;
  settings.chunk_size = body.integer("chunk_size").value_or(settings.chunk_size);
  settings.chunk_overlap =
      body.integer("chunk_overlap").value_or(std::min(settings.chunk_overlap, settings.chunk_size / 4));
  settings.embedding_model = body.text_or("embedding_model", settings.embedding_model);
  settings.stemming = body.boolean("stemming").value_or(settings.stemming);
  if (!body.has("stemming")) {
    // Made when the default was another one: the same request still means the same collection.
    TESSERA_CO_TRY(const auto collections, co_await parts_.library.list_collections(call.context));
    const auto made = std::ranges::find(collections, body.text_or("name", ""),
                                        [](const core::Collection& each) { return each.name.name; });
    if (made != collections.end()) settings.stemming = made->settings.stemming;
  }
  settings.metadata_schema_json = body.json("metadata_schema");
  TESSERA_CO_TRY(const core::Collection collection, co_await parts_.library.create_collection(
                                                        call.context, body.text_or("name", ""), std::move(settings)));
  JsonWriter out;
  write_collection(out, collection);
  Reply reply;
  reply.status = 201;
  reply.body = out.take();
  co_return reply;
}

async::Task<base::Result<Reply>> KnowledgeRoutes::get_collection(Call& call) {
  const std::string name = call.param("collection");
  TESSERA_CO_TRY(const auto collections, co_await parts_.library.list_collections(call.context));
  for (const core::Collection& collection : collections) {
    if (collection.name.name != name) continue;
    JsonWriter out;
    write_collection(out, collection);
    Reply reply;
    reply.body = out.take();
    co_return reply;
  }
  co_return base::fail(base::Code::not_found, "COLLECTION_NOT_FOUND", "There is no collection of that name.",
                       std::string(), "collection");
}

async::Task<base::Result<Reply>> KnowledgeRoutes::delete_collection(Call& call) {
  TESSERA_CO_CHECK(co_await parts_.library.drop_collection(call.context, call.param("collection")));
  co_return deleted_reply();
}

async::Task<base::Result<Reply>> KnowledgeRoutes::search(Call& call) {
  TESSERA_CO_TRY(const Body body, Body::parse(call.request.body, *find_schema("SearchRequest")));
  core::RetrievalRequest request;
  request.collection = {call.context.tenant, body.text_or("collection", "default")};
  request.query = body.text_or("query", "");
  const int64_t top_k = body.integer("top_k").value_or(options_.search_top_k);
  if (top_k > options_.search_top_k_max) {
    co_return base::fail(
        base::Code::invalid, "INVALID_FIELD",
        fmt::format("'top_k' must be at most {} (the setting search.top_k_max).", options_.search_top_k_max),
        std::string(), "top_k");
  }
  request.top_k = static_cast<size_t>(top_k);
  const std::string mode = body.text_or("mode", "");
  request.mode = mode == "dense"     ? core::SearchMode::dense
                 : mode == "lexical" ? core::SearchMode::lexical
                 : mode == "hybrid"  ? core::SearchMode::hybrid
                                     : options_.search_mode;
  if (body.text_or("syntax", "plain") == "query") request.syntax = core::QuerySyntax::marks;
  request.recall = body.number("recall");
  request.ef = read_count(body, "ef_search");
  TESSERA_CO_TRY(request.filter, body.filter("filter"));
  request.min_score = body.number("min_score");
  request.ranking = read_ranking(body);
  TESSERA_CO_TRY(const core::RetrievalResult result,
                 co_await parts_.retriever.retrieve(call.context, std::move(request)));
  JsonWriter out;
  out.begin_object().key("results").begin_array();
  for (const core::Passage& passage : result.passages) write_passage(out, passage);
  out.end_array().field("took_ms", result.took_ms).key("degraded").begin_array();
  for (const std::string& part : call.trace.degraded()) out.text(part);
  out.end_array().end_object();
  Reply reply;
  reply.body = out.take();
  co_return reply;
}

async::Task<base::Result<Reply>> KnowledgeRoutes::vector_db_stats(Call& call) {
  TESSERA_CO_CHECK(call.allow_query({"collection"}));
  TESSERA_CO_TRY(std::string collection, call.query("collection"));
  TESSERA_CO_TRY(const rag::LibraryStats stats, co_await parts_.library.stats(call.context, std::move(collection)));
  constexpr std::string_view kStates[] = {"starting", "serving", "rebuilding", "failed", "stopped"};
  const core::VectorIndexStats& vectors = stats.index.vectors;
  JsonWriter out;
  out.begin_object()
      .field("collections", stats.collections)
      .field("documents", stats.documents)
      .field("chunks", stats.chunks)
      .field("indexed_documents", stats.index.documents)
      .field("indexed_chunks", stats.index.chunks)
      .field("terms", stats.index.terms)
      .field("dimensions", stats.index.dimensions)
      .field("segments", stats.index.segments)
      .field("memory_bytes", stats.index.memory_bytes)
      .field("mapped_bytes", stats.index.mapped_bytes)
      .key("vectors")
      .begin_object()
      .field("rows", vectors.rows)
      .field("graph_rows", vectors.graph_rows)
      .field("m", vectors.m)
      .field("ef_construction", vectors.ef_construction)
      .field("ef_search", vectors.ef)
      .field("recall_target", vectors.recall_target)
      .field("recall_measured", vectors.recall_measured)
      .end_object()
      .field("state", kStates[static_cast<size_t>(stats.feed.state)])
      .field("lag", stats.feed.lag())
      .end_object();
  Reply reply;
  reply.body = out.take();
  co_return reply;
}

}  // namespace tessera::api
