#include "chat/grounding.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace tessera::chat {

namespace {

using base::Code;

// Errors that are about the whole request, not about retrieval.
bool ends_request(Code code) {
  return code == Code::cancelled || code == Code::invalid || code == Code::too_large;
}

// Whether the passage, which may have taken in its neighbours, still has the chunk that was found where it stood. A
// chunk's key lives as long as that version of its document, so the neighbours are the same, too.
bool holds(const core::Passage& passage, const core::Passage& chunk) {
  if (passage.end - passage.start != static_cast<int64_t>(passage.text.size())) return false;
  if (chunk.start < passage.start || chunk.end > passage.end) return false;
  const auto at = static_cast<size_t>(chunk.start - passage.start);
  return std::string_view(passage.text).substr(at).starts_with(chunk.text);
}

}  // namespace

core::Task<base::Result<Grounds>> Grounding::find(const core::RequestContext& context, GroundingRequest request) {
  Grounds grounds;
  if (request.use_rag == UseRag::off) {
    grounds.active = request.required;
    co_return grounds;
  }
  const bool must = request.required || request.use_rag == UseRag::on;
  core::CollectionName name{context.tenant, request.collection};
  if (request.use_rag == UseRag::automatic) {
    const auto collection = co_await documents_.find_collection(name);
    if (!collection && collection.error().code == Code::not_found && request.collection == "default") {
      grounds.active = request.required;
      co_return grounds;  // nothing was ever stored: no knowledge base to ask
    }
    if (!collection && (must || collection.error().code == Code::not_found)) {
      co_return std::unexpected(collection.error());
    }
    if (collection && collection->documents == 0) {
      grounds.active = request.required;
      co_return grounds;
    }
  }
  core::StageTimer timer(context, "retrieve");
  core::RetrievalRequest retrieval;
  retrieval.collection = std::move(name);
  retrieval.query = std::move(request.query);
  retrieval.top_k = request.top_k;
  retrieval.reader = core::Reader::model;
  auto found = co_await retriever_.retrieve(context, std::move(retrieval));
  if (found) {
    grounds.active = true;
    grounds.passages = std::move(found->passages);
    co_return grounds;
  }
  if (must || ends_request(found.error().code)) co_return std::unexpected(std::move(found).error());
  if (context.trace != nullptr) context.trace->add_degraded("retrieval");
  co_return grounds;
}

core::Task<base::Result<std::vector<Citation>>> Grounding::verify(const core::RequestContext& context,
                                                                  std::vector<core::Passage> passages,
                                                                  std::string& answer, int64_t& removed) {
  std::set<int64_t> named;
  for (const auto& marker : find_markers(answer)) named.insert(marker.numbers.begin(), marker.numbers.end());
  std::vector<int64_t> keys;
  for (size_t i = 0; i < passages.size(); ++i) {
    if (named.contains(static_cast<int64_t>(i) + 1)) keys.push_back(passages[i].chunk_key);
  }
  std::unordered_map<int64_t, core::Passage> stored;
  if (!keys.empty()) {
    TESSERA_CO_TRY(auto loaded, co_await documents_.load_passages(context.tenant, std::move(keys)));
    for (auto& passage : loaded) stored.emplace(passage.chunk_key, std::move(passage));
  }
  std::set<int64_t> gone;
  for (size_t i = 0; i < passages.size(); ++i) {
    const auto n = static_cast<int64_t>(i) + 1;
    if (!named.contains(n)) continue;
    const auto& passage = passages[i];
    const auto it = stored.find(passage.chunk_key);
    if (it == stored.end() || !holds(passage, it->second)) gone.insert(n);
  }
  if (!gone.empty()) removed += remove_markers(answer, gone);
  auto citations = make_citations(passages, answer);
  std::erase_if(citations, [&](const Citation& citation) { return gone.contains(citation.n); });
  co_return citations;
}

}  // namespace tessera::chat
