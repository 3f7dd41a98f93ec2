#pragma once

#include <array>

#include "api/api.h"
#include "api/call.h"

namespace tessera::api {

/// Documents and collections for reading and removing, and search. Thread-safe; lives in the Api.
class KnowledgeRoutes {
 public:
  KnowledgeRoutes(const ApiParts& parts, const ApiOptions& options) : parts_(parts), options_(options) {}
  void bind(std::array<RouteHandler, kRouteCount>& handlers);

 private:
  async::Task<base::Result<Reply>> list_documents(Call& call);
  async::Task<base::Result<Reply>> get_document(Call& call);
  async::Task<base::Result<Reply>> delete_document(Call& call);
  async::Task<base::Result<Reply>> list_collections(Call& call);
  async::Task<base::Result<Reply>> create_collection(Call& call);
  async::Task<base::Result<Reply>> get_collection(Call& call);
  async::Task<base::Result<Reply>> delete_collection(Call& call);
  async::Task<base::Result<Reply>> search(Call& call);
  async::Task<base::Result<Reply>> vector_db_stats(Call& call);

  const ApiParts& parts_;
  const ApiOptions& options_;
};

}  // namespace tessera::api
