#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "app/invocation.h"
#include "async/task.h"
#include "base/log.h"
#include "base/result.h"
#include "core/retriever.h"

namespace tessera::app {

/// A document on its way in. With `url` it is fetched by whoever takes it in and `bytes` is empty.
struct IncomingDocument {
  std::string bytes;
  std::string name;           ///< file name, for its ending
  std::string source;         ///< absolute path
  std::string path;           ///< relative to the folder it was found in; kept as metadata
  uint64_t source_stamp = 0;  ///< of the file, see rag::lasting_stamp
  std::string url;
  std::string document_id;  ///< empty: made by the receiver
  std::string collection;
};

struct IngestedDocument {
  std::string document_id;
  std::string status;  ///< "indexed" or "unchanged"
  int64_t chunks = 0;
};

struct Search {
  std::string query;
  std::string collection;
  int64_t top_k = 5;
  core::SearchMode mode = core::SearchMode::hybrid;
};

struct FoundPassage {
  std::string document_id;
  std::string chunk_id;
  std::string title;
  std::string text;
  double score = 0;
  int64_t start = 0;
  int64_t end = 0;
};

struct SearchAnswer {
  std::vector<FoundPassage> results;
  double took_ms = 0;
  std::vector<std::string> degraded;
};

struct Question {
  std::string text;
  std::string collection;
  std::string model;       ///< empty: the server's default
  std::string session_id;  ///< empty: a new one
  int64_t top_k = 5;
};

struct AnswerSource {
  int64_t n = 0;
  std::string document_id;
  std::string title;
  std::string snippet;
};

struct Answer {
  std::string session_id;
  std::string text;
  std::string model;
  std::vector<AnswerSource> sources;
  std::vector<std::pair<std::string, double>> timings;
  std::vector<std::string> degraded;
};

/// Receives an answer piece by piece.
using TokenPrinter = std::function<void(std::string_view)>;

/// What the commands need of a Tessera: one in this process, or a running server. Used by coroutines of one event loop
/// that is not one of its own; outlives them.
class Backend {
 public:
  virtual ~Backend() = default;
  virtual async::Task<base::Result<IngestedDocument>> ingest(IncomingDocument document) = 0;
  /// Several at once, answered in their order; this form takes one after the other.
  virtual async::Task<std::vector<base::Result<IngestedDocument>>> ingest_batch(
      std::vector<IncomingDocument> documents) {
    std::vector<base::Result<IngestedDocument>> answers;
    for (IncomingDocument& document : documents) answers.push_back(co_await ingest(std::move(document)));
    co_return answers;
  }
  /// Documents worth giving to ingest_batch together.
  [[nodiscard]] virtual size_t batch_max() const { return 1; }
  virtual async::Task<base::Result<SearchAnswer>> search(Search search) = 0;
  /// `on_token` outlives the task.
  virtual async::Task<base::Result<Answer>> ask(Question question, const TokenPrinter& on_token) = 0;
  /// Documents worth having on their way at once.
  [[nodiscard]] virtual size_t parallel() const = 0;
};

/// The server named by --server, else the one that owns the data directory, else an engine in this process (then all
/// that was stored is searchable when it returns). Blocking. `log` outlives the backend. Errors: unavailable
/// SERVER_UNREACHABLE, the engine's.
base::Result<std::unique_ptr<Backend>> open_backend(const Invocation& invocation, const config::Snapshot& settings,
                                                    base::Logger& log);

/// The two kinds.
base::Result<std::unique_ptr<Backend>> open_local_backend(const config::Snapshot& settings, base::Logger& log);
std::unique_ptr<Backend> open_remote_backend(std::string url, std::string api_key);
/// Whether a Tessera answers at `url`.
bool server_answers(const std::string& url);

}  // namespace tessera::app
