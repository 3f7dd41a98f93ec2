#include "api/knowledge_routes.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/body.h"
#include "api/errors.h"
#include "api/render.h"
#include "async/task_scope.h"
#include "base/assert.h"
#include "rag/ingest.h"
#include "rag/library.h"
#include "text/utf8.h"
#include "wire/http_client.h"
#include "wire/multipart.h"

namespace tessera::api {
namespace {

/// Lines of a batch that are in work at once, and answered together.
constexpr size_t kBatchWindow = 32;

std::string ingest_json(const rag::IngestReceipt& receipt) {
  JsonWriter out;
  out.begin_object()
      .field("document_id", receipt.document_id)
      .field("status", receipt.status())
      .field("chunks", receipt.chunks)
      .field("version", receipt.version)
      .end_object();
  return out.take();
}

const Schema& schema_of(std::string_view name) {
  const Schema* schema = find_schema(name);
  TESSERA_ASSERT(schema != nullptr);
  return *schema;
}

/// The last part of a path or URL, for its ending only.
std::string base_name(std::string_view path) {
  path = path.substr(0, path.find_first_of("?#"));
  const size_t slash = path.find_last_of("/\\");
  return text::repair_utf8(slash == std::string_view::npos ? path : path.substr(slash + 1));
}

base::Result<Reply> deleted_reply() {
  Reply reply;
  reply.body = R"({"deleted":true})";
  return reply;
}

}  // namespace

/// A document as JSON describes it; its bytes may still have to be fetched.
struct KnowledgeRoutes::JsonDocument {
  rag::IngestRequest request;
  std::string url;
};

void KnowledgeRoutes::bind(std::array<RouteHandler, kRouteCount>& handlers) {
  const auto at = [&](RouteId id) -> RouteHandler& { return handlers[static_cast<size_t>(id)]; };
  at(RouteId::ingest) = [this](Call& call) { return ingest(call); };
  at(RouteId::ingest_batch) = [this](Call& call) { return ingest_batch(call); };
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

async::Task<base::Result<>> KnowledgeRoutes::fetch(Call& call, std::string url, rag::IngestRequest& request) {
  wire::ClientRequest fetch;
  fetch.url = url;
  fetch.headers.push_back({"Accept", "text/html, text/markdown, text/plain, application/pdf, */*;q=0.5"});
  fetch.total_timeout = options_.fetch_timeout;
  fetch.first_byte_timeout = options_.fetch_timeout;
  fetch.body_bytes_max = options_.document_bytes_max;
  fetch.addresses = options_.allow_private_addresses ? wire::AddressPolicy::any : wire::AddressPolicy::public_only;
  fetch.cancel = call.context.cancel;
  const core::StageTimer timer(call.context, "fetch");
  TESSERA_CO_TRY(wire::ClientResponse response, co_await parts_.http.fetch(std::move(fetch)));
  if (response.status != 200) {
    co_return base::fail(base::Code::upstream, "FETCH_FAILED",
                         fmt::format("The URL answered with status {}.", response.status), std::string(), "url");
  }
  if (request.content_type.empty()) request.content_type = std::string(response.header("content-type").value_or(""));
  request.name = base_name(url);
  request.source = std::move(url);
  request.bytes = std::move(response.body);
  co_return base::Result<>{};
}

base::Result<KnowledgeRoutes::JsonDocument> KnowledgeRoutes::document_from_json(std::string_view json) const {
  TESSERA_TRY(const Body body, Body::parse(json, schema_of("IngestRequest")));
  JsonDocument document;
  rag::IngestRequest& request = document.request;
  request.title = body.text_or("title", "");
  request.document_id = body.text_or("document_id", "");
  request.collection = body.text_or("collection", "default");
  request.content_type = body.text_or("content_type", "");
  TESSERA_TRY(request.metadata, body.metadata("metadata"));
  auto given_text = body.text("text");
  document.url = body.text_or("url", "");
  if (given_text.has_value() == body.has("url")) {
    return base::fail(base::Code::invalid, "MISSING_FIELD", "Give either 'text' or 'url'.", std::string(), "text");
  }
  if (given_text) {
    request.bytes = *std::move(given_text);
    if (request.content_type.empty()) request.content_type = "text/markdown";
  }
  return document;
}

async::Task<base::Result<rag::IngestReceipt>> KnowledgeRoutes::take_in(Call& call, JsonDocument document) {
  if (!document.url.empty()) TESSERA_CO_CHECK(co_await fetch(call, std::move(document.url), document.request));
  co_return co_await parts_.ingest.ingest(call.context, std::move(document.request));
}

base::Result<rag::IngestRequest> KnowledgeRoutes::request_from_form(Call& call) const {
  TESSERA_TRY(const std::string boundary, wire::multipart_boundary(call.request.header("content-type").value_or("")));
  TESSERA_TRY(const auto parts, wire::parse_multipart(call.request.body, boundary));
  rag::IngestRequest request;
  bool has_file = false;
  for (const wire::MultipartPart& part : parts) {
    const std::string value(part.body);
    if (part.is_file || part.name == "file") {
      if (has_file) {
        return base::fail(base::Code::invalid, "INVALID_FIELD",
                          "Send one file a request; /api/ingest/batch takes many documents.", std::string(), part.name);
      }
      has_file = true;
      request.bytes = value;
      request.name = base_name(part.file_name);
      request.source = request.name;
      request.content_type = part.content_type;
      continue;
    }
    if (!text::is_valid_utf8(value)) {
      return base::fail(base::Code::invalid, "INVALID_FIELD", "A form field is not valid UTF-8.", std::string(),
                        part.name);
    }
    if (part.name == "title") {
      request.title = value;
    } else if (part.name == "document_id") {
      request.document_id = value;
    } else if (part.name == "collection") {
      request.collection = value;
    } else if (part.name == "content_type") {
      request.content_type = value;
    } else if (part.name == "metadata") {
      TESSERA_TRY(const Body wrapped,
                  Body::parse(fmt::format(R"({{"metadata":{}}})", value), schema_of("IngestRequest")));
      TESSERA_TRY(request.metadata, wrapped.metadata("metadata"));
    } else {
      const std::string shown = text::repair_utf8(std::string_view(part.name).substr(0, 64));
      return base::fail(base::Code::invalid, "UNKNOWN_FIELD", fmt::format("'{}' is not a field of this form.", shown),
                        std::string(), shown);
    }
  }
  if (!has_file)
    return base::fail(base::Code::invalid, "MISSING_FIELD", "The form has no file.", std::string(), "file");
  return request;
}

async::Task<base::Result<Reply>> KnowledgeRoutes::ingest(Call& call) {
  TESSERA_CO_CHECK(call.allow_query({}));
  const bool form = call.request.header("content-type").value_or("").starts_with("multipart/form-data");
  JsonDocument document;
  if (form) {
    TESSERA_CO_TRY(document.request, request_from_form(call));
  } else {
    TESSERA_CO_TRY(document, document_from_json(call.request.body));
  }
  TESSERA_CO_TRY(const rag::IngestReceipt receipt, co_await take_in(call, std::move(document)));
  Reply reply;
  reply.status = receipt.outcome == core::PutOutcome::unchanged ? 200 : 201;
  reply.body = ingest_json(receipt);
  co_return reply;
}

/// A line of a batch and what became of it.
struct KnowledgeRoutes::BatchLine {
  size_t number = 0;
  base::Result<JsonDocument> document;
  base::Result<rag::IngestReceipt> receipt;
};

async::Task<> KnowledgeRoutes::take_line(Call& call, BatchLine& line) {
  if (line.document) {
    line.receipt = co_await take_in(call, *std::move(line.document));
  } else {
    line.receipt = std::unexpected(std::move(line.document).error());
  }
}

/// Takes the lines in side by side, so that the store commits them as one group, and answers them in order.
async::Task<base::Result<>> KnowledgeRoutes::take_lines(Call& call, std::vector<BatchLine> lines) {
  async::TaskScope scope(co_await boost::asio::this_coro::executor);
  for (BatchLine& line : lines) scope.spawn(take_line(call, line));
  co_await scope.join();
  std::string out;
  for (const BatchLine& line : lines) {
    if (line.receipt) {
      out += ingest_json(*line.receipt);
    } else if (line.receipt.error().code == base::Code::cancelled) {
      co_return std::unexpected(line.receipt.error());
    } else {
      out += fmt::format(R"({{"line":{},"error":{}}})", line.number,
                         error_json(line.receipt.error(), call.context.request_id));
    }
    out += '\n';
  }
  co_return co_await call.writer.write(std::move(out));
}

async::Task<base::Result<Reply>> KnowledgeRoutes::ingest_batch(Call& call) {
  TESSERA_CO_CHECK(call.allow_query({}));
  std::string_view rest = call.request.body;
  const auto count = static_cast<size_t>(std::ranges::count(rest, '\n')) + 1;
  if (count > options_.batch_lines_max) {
    co_return base::fail(base::Code::too_large, "BATCH_TOO_LARGE",
                         fmt::format("A batch takes up to {} lines; send several.", options_.batch_lines_max));
  }
  wire::StreamHead head;
  head.content_type = "application/x-ndjson";
  head.headers = call.common_headers(parts_.clock);
  TESSERA_CO_CHECK(co_await call.writer.begin_stream(std::move(head)));
  call.status = 200;
  std::vector<BatchLine> lines;
  std::set<std::string> ids;  // of the lines in the window
  size_t number = 0;
  while (!rest.empty()) {
    const size_t end = rest.find('\n');
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    auto document = document_from_json(line);
    // Two versions of one document keep their order: the second waits for the first.
    const bool again =
        document && !document->request.document_id.empty() && !ids.insert(document->request.document_id).second;
    if (again || lines.size() == kBatchWindow) {
      TESSERA_CO_CHECK(co_await take_lines(call, std::exchange(lines, {})));
      ids.clear();
      if (document) ids.insert(document->request.document_id);
    }
    lines.push_back({number, std::move(document), {}});
  }
  TESSERA_CO_CHECK(co_await take_lines(call, std::move(lines)));
  TESSERA_CO_CHECK(co_await call.writer.finish());
  Reply reply;
  reply.streamed = true;
  co_return reply;
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
  TESSERA_CO_TRY(const Body body, Body::parse(call.request.body, schema_of("CollectionRequest")));
  core::CollectionSettings settings = options_.collection_defaults;
  settings.chunk_size = body.integer("chunk_size").value_or(settings.chunk_size);
  settings.chunk_overlap =
      body.integer("chunk_overlap").value_or(std::min(settings.chunk_overlap, settings.chunk_size / 4));
  settings.embedding_model = body.text_or("embedding_model", settings.embedding_model);
  settings.stemming = body.boolean("stemming").value_or(settings.stemming);
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
  TESSERA_CO_TRY(const Body body, Body::parse(call.request.body, schema_of("SearchRequest")));
  core::RetrievalRequest request;
  request.collection = {call.context.tenant, body.text_or("collection", "default")};
  request.query = body.text_or("query", "");
  const int64_t top_k = body.integer("top_k").value_or(options_.search_top_k);
  if (top_k > options_.search_top_k_max) {
    co_return base::fail(base::Code::invalid, "INVALID_FIELD",
                         fmt::format("'top_k' must be at most {}.", options_.search_top_k_max), std::string(), "top_k");
  }
  request.top_k = static_cast<size_t>(top_k);
  const std::string mode = body.text_or("mode", "");
  request.mode = mode == "dense"     ? core::SearchMode::dense
                 : mode == "lexical" ? core::SearchMode::lexical
                 : mode == "hybrid"  ? core::SearchMode::hybrid
                                     : options_.search_mode;
  TESSERA_CO_TRY(request.filter, body.filter("filter"));
  request.min_score = body.number("min_score");
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
  JsonWriter out;
  out.begin_object()
      .field("collections", stats.collections)
      .field("documents", stats.documents)
      .field("chunks", stats.chunks)
      .field("indexed_documents", stats.index.documents)
      .field("indexed_chunks", stats.index.chunks)
      .field("terms", stats.index.terms)
      .field("dimensions", stats.index.dimensions)
      .field("memory_bytes", stats.index.memory_bytes)
      .field("state", kStates[static_cast<size_t>(stats.feed.state)])
      .field("lag", stats.feed.lag())
      .end_object();
  Reply reply;
  reply.body = out.take();
  co_return reply;
}

}  // namespace tessera::api
