#pragma once

#include <array>

#include "api/api.h"
#include "api/call.h"

namespace tessera::rag {
struct IngestReceipt;
struct IngestRequest;
}  // namespace tessera::rag

namespace tessera::api {

class Body;

/// Documents in, passages out: ingest, documents, collections, search. Thread-safe; lives in the Api.
class KnowledgeRoutes {
 public:
  KnowledgeRoutes(const ApiParts& parts, const ApiOptions& options) : parts_(parts), options_(options) {}
  void bind(std::array<RouteHandler, kRouteCount>& handlers);

 private:
  async::Task<base::Result<Reply>> ingest(Call& call);
  async::Task<base::Result<Reply>> ingest_batch(Call& call);
  async::Task<base::Result<Reply>> list_documents(Call& call);
  async::Task<base::Result<Reply>> get_document(Call& call);
  async::Task<base::Result<Reply>> delete_document(Call& call);
  async::Task<base::Result<Reply>> list_collections(Call& call);
  async::Task<base::Result<Reply>> create_collection(Call& call);
  async::Task<base::Result<Reply>> get_collection(Call& call);
  async::Task<base::Result<Reply>> delete_collection(Call& call);
  async::Task<base::Result<Reply>> search(Call& call);
  async::Task<base::Result<Reply>> vector_db_stats(Call& call);

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
