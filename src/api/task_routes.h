#pragma once

#include <array>

#include "api/api.h"
#include "api/call.h"

namespace tessera::api {

/// Long work: directories, reindexing, and the tasks they run as. Thread-safe; lives in the Api.
class TaskRoutes {
 public:
  TaskRoutes(const ApiParts& parts, const ApiOptions& options) : parts_(parts), options_(options) {}
  void bind(std::array<RouteHandler, kRouteCount>& handlers);

 private:
  async::Task<base::Result<Reply>> ingest_directory(Call& call);
  async::Task<base::Result<Reply>> scan_vault(Call& call);
  async::Task<base::Result<Reply>> reindex(Call& call);
  async::Task<base::Result<Reply>> list_tasks(Call& call);
  async::Task<base::Result<Reply>> get_task(Call& call);
  async::Task<base::Result<Reply>> cancel_task(Call& call);
  async::Task<base::Result<Reply>> task_events(Call& call);

  const ApiParts& parts_;
  const ApiOptions& options_;
};

}  // namespace tessera::api
