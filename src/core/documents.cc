#include "core/documents.h"

#include <fmt/core.h>

#include <algorithm>
#include <tuple>
#include <utility>

namespace tessera::core {

std::string chunk_id(std::string_view document_id, int64_t ordinal) {
  return fmt::format("{}#{}", document_id, ordinal);
}

Task<base::Result<std::vector<std::optional<DocumentHead>>>> DocumentStore::find_documents(
    Tenant tenant, std::vector<std::string> document_ids) {
  std::vector<std::optional<DocumentHead>> heads;
  heads.reserve(document_ids.size());
  for (std::string& id : document_ids) {
    auto head = co_await find_document(tenant, std::move(id));
    if (!head && head.error().code != base::Code::not_found) co_return std::unexpected(std::move(head).error());
    heads.push_back(head ? std::optional(*std::move(head)) : std::nullopt);
  }
  co_return heads;
}

Task<base::Result<std::vector<SourceRecord>>> DocumentStore::list_sources(CollectionName collection,
                                                                          std::string prefix) {
  std::vector<SourceRecord> found;
  PageRequest page;
  page.limit = 1000;
  do {
    TESSERA_CO_TRY(auto heads, co_await list_documents(collection.tenant, collection.name, page));
    for (DocumentHead& head : heads.items) {
      if (!head.source.starts_with(prefix)) continue;
      found.push_back(
          {std::move(head.source), std::move(head.document_id), std::move(head.content_hash), head.source_stamp});
    }
    page.cursor = std::move(heads.next_cursor);
  } while (!page.cursor.empty());
  std::ranges::sort(found, [](const SourceRecord& a, const SourceRecord& b) {
    return std::tie(a.source, a.document_id) < std::tie(b.source, b.document_id);
  });
  co_return found;
}

Task<base::Result<>> DocumentStore::note_stamps(Tenant, std::vector<SourceRecord>) {
  co_return base::Result<>{};
}

}  // namespace tessera::core
