#include "api/ingest_routes.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "api/body.h"
#include "api/errors.h"
#include "api/json_writer.h"
#include "async/task_scope.h"
#include "rag/ingest.h"
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

/// The last part of a path or URL, for its ending only.
std::string base_name(std::string_view path) {
  path = path.substr(0, path.find_first_of("?#"));
  const size_t slash = path.find_last_of("/\\");
  return text::repair_utf8(slash == std::string_view::npos ? path : path.substr(slash + 1));
}

/// The fields that describe a document, in a form as in JSON.
base::Result<> describe(const Body& body, rag::IngestRequest& request) {
  request.title = body.text_or("title", "");
  request.document_id = body.text_or("document_id", "");
  request.collection = body.text_or("collection", "default");
  request.content_type = body.text_or("content_type", "");
  request.source = body.text_or("source", "");
  TESSERA_TRY(request.metadata, body.metadata("metadata"));
  return {};
}

}  // namespace

/// A document as JSON describes it; its bytes may still have to be fetched.
struct IngestRoutes::JsonDocument {
  rag::IngestRequest request;
  std::string url;
};

void IngestRoutes::bind(std::array<RouteHandler, kRouteCount>& handlers) {
  handlers[static_cast<size_t>(RouteId::ingest)] = [this](Call& call) { return ingest(call); };
  handlers[static_cast<size_t>(RouteId::ingest_batch)] = [this](Call& call) { return ingest_batch(call); };
}

async::Task<base::Result<>> IngestRoutes::fetch(Call& call, std::string url, rag::IngestRequest& request) {
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
  if (request.source.empty()) request.source = std::move(url);
  request.bytes = std::move(response.body);
  co_return base::Result<>{};
}

base::Result<IngestRoutes::JsonDocument> IngestRoutes::document_from_json(std::string_view json) const {
  TESSERA_TRY(const Body body, Body::parse(json, *find_schema("IngestRequest")));
  JsonDocument document;
  rag::IngestRequest& request = document.request;
  TESSERA_CHECK(describe(body, request));
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

async::Task<base::Result<rag::IngestReceipt>> IngestRoutes::take_in(Call& call, JsonDocument document) {
  if (!document.url.empty()) TESSERA_CO_CHECK(co_await fetch(call, std::move(document.url), document.request));
  co_return co_await parts_.ingest.ingest(call.context, std::move(document.request));
}

base::Result<rag::IngestRequest> IngestRoutes::request_from_form(Call& call) const {
  TESSERA_TRY(const std::string boundary, wire::multipart_boundary(call.request.header("content-type").value_or("")));
  TESSERA_TRY(const auto parts, wire::parse_multipart(call.request.body, boundary));
  const wire::MultipartPart* file = nullptr;
  JsonWriter fields;
  fields.begin_object();
  for (const wire::MultipartPart& part : parts) {
    if (part.is_file || part.name == "file") {
      if (file != nullptr) {
        return base::fail(base::Code::invalid, "INVALID_FIELD",
                          "Send one file a request; /api/ingest/batch takes many documents.", std::string(), part.name);
      }
      file = &part;
      continue;
    }
    if (!text::is_valid_utf8(part.body)) {
      return base::fail(base::Code::invalid, "INVALID_FIELD", "A form field is not valid UTF-8.", std::string(),
                        text::repair_utf8(part.name));
    }
    if (part.name == "text" || part.name == "url") {
      return base::fail(base::Code::invalid, "UNKNOWN_FIELD", "A form brings a file; send text or a url as JSON.",
                        std::string(), part.name);
    }
    if (part.name == "metadata") {
      fields.key(part.name).raw(part.body);
    } else {
      fields.field(part.name, part.body);
    }
  }
  fields.end_object();
  if (file == nullptr)
    return base::fail(base::Code::invalid, "MISSING_FIELD", "The form has no file.", std::string(), "file");
  TESSERA_TRY(const Body body, Body::parse(fields.take(), *find_schema("IngestRequest")));
  rag::IngestRequest request;
  TESSERA_CHECK(describe(body, request));
  request.bytes = file->body;
  request.name = base_name(file->file_name);
  if (request.source.empty()) request.source = request.name;
  if (request.content_type.empty()) request.content_type = file->content_type;
  return request;
}

async::Task<base::Result<Reply>> IngestRoutes::ingest(Call& call) {
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
struct IngestRoutes::BatchLine {
  size_t number = 0;
  base::Result<JsonDocument> document;
  base::Result<rag::IngestReceipt> receipt;
};

async::Task<> IngestRoutes::take_line(Call& call, BatchLine& line) {
  if (line.document) {
    line.receipt = co_await take_in(call, *std::move(line.document));
  } else {
    line.receipt = std::unexpected(std::move(line.document).error());
  }
}

/// Takes the lines in side by side, so that the store commits them as one group, and answers them in order.
async::Task<base::Result<>> IngestRoutes::take_lines(Call& call, std::vector<BatchLine> lines) {
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

async::Task<base::Result<Reply>> IngestRoutes::ingest_batch(Call& call) {
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

}  // namespace tessera::api
