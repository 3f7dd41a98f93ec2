#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "chat/citations.h"
#include "chat/events.h"
#include "core/documents.h"
#include "core/retriever.h"

namespace tessera::chat {

/// Whether a turn looks into the knowledge base. `automatic`: when the collection exists and has documents.
enum class UseRag { automatic, on, off };

struct GroundingRequest {
  std::string collection = "default";
  std::string query;
  size_t top_k = 5;
  UseRag use_rag = UseRag::automatic;
  bool required = false;  ///< the model can say nothing without sources
};

/// What was found. `active`: the knowledge base was asked, so the answer's markers are checked.
struct Grounds {
  bool active = false;
  std::vector<core::Passage> passages;
};

/// Finds the sources of an answer and, when it is written, checks what it cites against the store. Thread-safe; the
/// ports outlive it. Shared by chat and completions so that both mean the same by "cited".
class Grounding {
 public:
  Grounding(core::DocumentStore& documents, core::Retriever& retriever)
      : documents_(documents), retriever_(retriever) {}

  /// Errors as ChatService says; a failure that may be survived is reported as degraded "retrieval".
  core::Task<base::Result<Grounds>> find(const core::RequestContext& context, GroundingRequest request);
  /// Citations of a finished answer: reads the cited chunks again; one that is gone or whose text differs is dropped,
  /// its markers removed from `answer` and counted in `removed`.
  core::Task<base::Result<std::vector<Citation>>> verify(const core::RequestContext& context,
                                                         std::vector<core::Passage> passages, std::string& answer,
                                                         int64_t& removed);

 private:
  core::DocumentStore& documents_;
  core::Retriever& retriever_;
};

}  // namespace tessera::chat
