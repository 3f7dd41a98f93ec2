#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "api/api.h"
#include "api/call.h"

namespace tessera::rag {
struct IngestReceipt;
struct IngestRequest;
}  // namespace tessera::rag

namespace tessera::api {

/// Documents in: one as JSON, URL or form, or many as NDJSON. Thread-safe; lives in the Api.
class IngestRoutes {
 public:
  IngestRoutes(const ApiParts& parts, const ApiOptions& options) : parts_(parts), options_(options) {}
  void bind(std::array<RouteHandler, kRouteCount>& handlers);

 private:
  async::Task<base::Result<Reply>> ingest(Call& call);
  async::Task<base::Result<Reply>> ingest_batch(Call& call);

  struct JsonDocument;
  struct BatchLine;
  async::Task<> take_line(Call& call, BatchLine& line);
  async::Task<base::Result<>> take_lines(Call& call, std::vector<BatchLine> lines);

  base::Result<JsonDocument> document_from_json(std::string_view json) const;
  async::Task<base::Result<rag::IngestReceipt>> take_in(Call& call, JsonDocument document);
  base::Result<rag::IngestRequest> request_from_form(Call& call) const;
  async::Task<base::Result<>> fetch(Call& call, std::string url, rag::IngestRequest& request);

  const ApiParts& parts_;
  const ApiOptions& options_;
};

}  // namespace tessera::api
