#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <filesystem>

#include "app/backend.h"
#include "app/commands.h"
#include "async/run_blocking.h"
#include "async/task_scope.h"
#include "base/hash.h"
#include "parse/parser.h"
#include "rag/file_tree.h"

namespace tessera::app {
namespace {

namespace fs = std::filesystem;
using base::Result;

/// Something to take in: a file below a root, a URL, or standard input.
struct Item {
  enum class Kind { file, url, standard_input };
  Kind kind = Kind::file;
  std::string root;
  std::string path;   ///< relative to root
  std::string shown;  ///< as the person named it
  uint64_t stamp = 0;
};

struct Tally {
  int64_t indexed = 0;
  int64_t unchanged = 0;
  int64_t failed = 0;
  int64_t chunks = 0;
};

Result<std::string> read_standard_input(size_t bytes_max) {
  std::string bytes;
  std::array<char, 65536> buffer{};
  while (true) {
    const ssize_t got = ::read(STDIN_FILENO, buffer.data(), buffer.size());
    if (got < 0) return base::fail(base::Code::unreadable, "STDIN_UNREADABLE", "standard input cannot be read");
    if (got == 0) return bytes;
    bytes.append(buffer.data(), static_cast<size_t>(got));
    if (bytes.size() > bytes_max) {
      return base::fail(base::Code::too_large, "DOCUMENT_TOO_LARGE", "standard input is larger than a document may be");
    }
  }
}

// The same id whichever way the file comes in, from any working directory.
std::string id_of(const std::string& collection, const std::string& absolute_path) {
  return "doc-" + base::content_hash(collection + '\n' + absolute_path);
}

/// Runs one `tessera ingest`: finds the items, keeps several on their way, tells what became of them. All on one event
/// loop.
class IngestRun {
 public:
  IngestRun(const Invocation& invocation, const config::Settings& settings, const Terminal& terminal, Backend& backend)
      : invocation_(invocation),
        settings_(settings),
        terminal_(terminal),
        backend_(backend),
        files_(rag::posix_file_tree()),
        parser_(parse::create_parser({})) {}

  Tally run() {
    const base::SteadyTime start = clock_.now();
    for (const std::string& path : invocation_.paths) add_items(path);
    bar_.emplace(terminal_, clock_, "Taking in", static_cast<int64_t>(items_.size()));
    async::sync_wait(work());
    bar_->clear();
    const double ms = std::chrono::duration<double, std::milli>(clock_.now() - start).count();
    summarise(ms);
    return tally_;
  }

 private:
  void add_items(const std::string& path);
  void add_directory(const std::string& path);
  async::Task<> work();
  async::Task<> worker();
  Result<IncomingDocument> read(const Item& item);
  void tell(const Item& item, const Result<IngestedDocument>& result);
  void summarise(double ms);

  const Invocation& invocation_;
  const config::Settings& settings_;
  const Terminal& terminal_;
  Backend& backend_;
  base::SystemClock clock_;
  std::unique_ptr<rag::FileTree> files_;
  std::unique_ptr<core::DocumentParser> parser_;
  std::vector<Item> items_;
  size_t next_ = 0;
  std::optional<ProgressBar> bar_;
  Tally tally_;
};

void IngestRun::add_items(const std::string& path) {
  if (path == "-") {
    items_.push_back(
        {.kind = Item::Kind::standard_input, .root = {}, .path = {}, .shown = "standard input", .stamp = 0});
    return;
  }
  if (path.starts_with("http://") || path.starts_with("https://")) {
    items_.push_back({.kind = Item::Kind::url, .root = {}, .path = path, .shown = path, .stamp = 0});
    return;
  }
  std::error_code failed;
  if (fs::is_directory(path, failed)) {
    add_directory(path);
    return;
  }
  const fs::path file = fs::canonical(path, failed);
  if (failed) {
    tell({.kind = Item::Kind::file, .root = {}, .path = {}, .shown = path, .stamp = 0},
         base::fail(base::Code::not_found, "FILE_NOT_FOUND", "there is no such file or folder"));
    return;
  }
  items_.push_back({.kind = Item::Kind::file,
                    .root = file.parent_path().string(),
                    .path = file.filename().string(),
                    .shown = path,
                    .stamp = 0});
}

void IngestRun::add_directory(const std::string& path) {
  rag::WalkBounds bounds;
  bounds.files_max = static_cast<size_t>(settings_.ingest.directory_files_max);
  bounds.file_bytes_max = settings_.ingest.document_bytes_max;
  const int64_t looked_ns = clock_.unix_ms() * 1'000'000;
  const auto root = files_->canonical_directory(path);
  const auto walked =
      root ? files_->walk(*root, bounds, [this](std::string_view name) { return parser_->knows(name); }, {})
           : Result<rag::WalkResult>(std::unexpected(root.error()));
  if (!walked) {
    tell({.kind = Item::Kind::file, .root = {}, .path = {}, .shown = path, .stamp = 0},
         std::unexpected(walked.error()));
    return;
  }
  for (const auto& [file, error] : walked->failures) {
    tell({.kind = Item::Kind::file, .root = {}, .path = {}, .shown = (fs::path(path) / file).string(), .stamp = 0},
         std::unexpected(error));
  }
  for (const rag::FileEntry& entry : walked->files) {
    items_.push_back({.kind = Item::Kind::file,
                      .root = *root,
                      .path = entry.path,
                      .shown = (fs::path(path) / entry.path).string(),
                      .stamp = rag::lasting_stamp(entry, looked_ns)});
  }
}

async::Task<> IngestRun::work() {
  async::TaskScope scope(co_await boost::asio::this_coro::executor);
  const size_t workers = std::min(backend_.parallel(), items_.size());
  for (size_t i = 0; i < workers; ++i) scope.spawn(worker());
  co_await scope.join();
}

async::Task<> IngestRun::worker() {
  constexpr size_t kBatchBytesMax = 1U << 20U;
  const size_t batch_max = std::clamp<size_t>(items_.size() / (backend_.parallel() * 2), 1, backend_.batch_max());
  while (next_ < items_.size()) {
    std::vector<Item> batch;
    std::vector<IncomingDocument> documents;
    for (size_t bytes = 0; next_ < items_.size() && batch.size() < batch_max && bytes < kBatchBytesMax;) {
      // A URL is fetched by the backend, which takes its time: alone.
      if (!batch.empty() && items_[next_].kind == Item::Kind::url) break;
      Item item = items_[next_++];
      auto document = read(item);
      if (!document) {
        tell(item, std::unexpected(document.error()));
        bar_->advance();
        continue;
      }
      bytes += document->bytes.size();
      const bool alone = item.kind == Item::Kind::url;
      batch.push_back(std::move(item));
      documents.push_back(*std::move(document));
      if (alone) break;
    }
    if (batch.empty()) continue;
    std::vector<Result<IngestedDocument>> answers;
    if (documents.size() == 1) {
      answers.push_back(co_await backend_.ingest(std::move(documents.front())));
    } else {
      answers = co_await backend_.ingest_batch(std::move(documents));
    }
    for (size_t i = 0; i < batch.size(); ++i) {
      tell(batch[i], answers[i]);
      bar_->advance();
    }
  }
}

Result<IncomingDocument> IngestRun::read(const Item& item) {
  IncomingDocument document;
  document.collection = invocation_.collection;
  switch (item.kind) {
    case Item::Kind::url:
      document.url = item.path;
      break;
    case Item::Kind::standard_input: {
      TESSERA_TRY(document.bytes, read_standard_input(static_cast<size_t>(settings_.ingest.document_bytes_max)));
      document.name = "standard-input.md";
      break;
    }
    case Item::Kind::file: {
      TESSERA_TRY(document.bytes, files_->read(item.root, item.path, settings_.ingest.document_bytes_max));
      document.source = (fs::path(item.root) / item.path).string();
      document.name = fs::path(item.path).filename().string();
      document.path = item.path;
      document.source_stamp = item.stamp;
      document.document_id = id_of(document.collection, document.source);
      break;
    }
  }
  return document;
}

void IngestRun::tell(const Item& item, const Result<IngestedDocument>& result) {
  if (result) {
    (result->status == "unchanged" ? tally_.unchanged : tally_.indexed) += 1;
    tally_.chunks += result->chunks;
  } else {
    ++tally_.failed;
  }
  if (invocation_.json) {
    boost::json::object line{{"path", item.shown}};
    if (result) {
      line["document_id"] = result->document_id;
      line["status"] = result->status;
      line["chunks"] = result->chunks;
    } else {
      line["error"] = boost::json::object{{"code", result.error().name}, {"message", result.error().message}};
    }
    write_out(boost::json::serialize(line) + "\n");
  } else if (!result) {
    if (bar_) bar_->clear();
    write_err(fmt::format("{} {} ({})\n", styled(terminal_, Style::red, harmless(item.shown, false) + ":"),
                          harmless(result.error().message, false), result.error().name));
  }
}

void IngestRun::summarise(double ms) {
  if (invocation_.json) return;
  std::string text = fmt::format("{} documents in {}: {} indexed, {} unchanged, {} failed; {} chunks.\n",
                                 tally_.indexed + tally_.unchanged + tally_.failed, human_duration(ms), tally_.indexed,
                                 tally_.unchanged, tally_.failed, tally_.chunks);
  if (tally_.indexed + tally_.unchanged + tally_.failed == 0) text = "No documents there.\n";
  write_out(text);
}

}  // namespace

int ingest(const Invocation& invocation, const Surroundings& here) {
  const auto loaded = load_settings(invocation, here);
  if (!loaded) return report(here.terminal, loaded.error());
  const auto log = make_logger(*loaded->settings, here.terminal, false);
  const auto backend = open_backend(invocation, loaded->settings, *log);
  if (!backend) return report(here.terminal, backend.error());
  const Tally tally = IngestRun(invocation, *loaded->settings, here.terminal, **backend).run();
  if (tally.failed == 0) return kExitOk;
  return tally.indexed + tally.unchanged > 0 ? kExitPartly : kExitFailure;
}

}  // namespace tessera::app
