#include "rag/directory_sync.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "async/task_scope.h"
#include "rag/context_bounds.h"
#include "rag/document_hash.h"

namespace tessera::rag {

namespace {

using base::Code;

// Enough that changing threads and syncing do not matter, little enough that memory does not and progress moves.
constexpr size_t kBatchFilesMax = 32;
constexpr int64_t kBatchBytesMax = 1 << 20;
// Deletions that wait for one commit together.
constexpr size_t kRemovalsAtOnce = 256;

std::string source_of(const std::string& root, const std::string& path) {
  return root.ends_with('/') ? root + path : root + "/" + path;
}

bool cancelled(const core::RequestContext& context) {
  return context.cancel.cancelled();
}

std::unexpected<base::Error> was_cancelled() {
  return base::fail(Code::cancelled, "TASK_CANCELLED", "The task was cancelled.");
}

// Both lists are in order of path, so one walk over both finds what belongs together. Of several documents with one
// source (clients may name any) the last is taken for the file's.
void match(DirectoryView& view) {
  const size_t inside = source_of(view.root, "").size();
  const auto path_of = [&](const core::SourceRecord& record) { return std::string_view(record.source).substr(inside); };
  view.files.reserve(view.walked.files.size());
  auto known = view.known.begin();
  for (const FileEntry& file : view.walked.files) {
    while (known != view.known.end() && path_of(*known) < file.path) view.gone.push_back(&*known++);
    FileMatch found{.file = &file};
    for (; known != view.known.end() && path_of(*known) == file.path; ++known) found.known = &*known;
    found.unchanged = found.known != nullptr && file.stamp != 0 && found.known->stamp == file.stamp &&
                      found.known->content_hash.ends_with(view.fingerprint);
    view.files.push_back(found);
  }
  for (; known != view.known.end(); ++known) view.gone.push_back(&*known);
}

// The files to read, in batches. Few files make few batches: each waits for a sync of its own.
std::vector<std::span<const FileMatch* const>> cut(const std::vector<const FileMatch*>& files) {
  constexpr size_t kBatchesMin = 4;
  const size_t files_max = std::clamp<size_t>(files.size() / kBatchesMin, 1, kBatchFilesMax);
  std::vector<std::span<const FileMatch* const>> batches;
  for (size_t begin = 0; begin < files.size();) {
    size_t end = begin;
    int64_t bytes = 0;
    do {
      bytes += files[end++]->file->bytes;
    } while (end < files.size() && end - begin < files_max && bytes + files[end]->file->bytes <= kBatchBytesMax);
    batches.emplace_back(files.data() + begin, end - begin);
    begin = end;
  }
  return batches;
}

}  // namespace

/// One run over a directory, shared by its workers; lives in run()'s frame.
struct DirectorySync::Pass {
  const core::RequestContext& context;
  TaskRegistry::Handle& task;
  DirectoryView view;
  std::vector<const FileMatch*> changed;
  std::vector<std::span<const FileMatch* const>> batches;  ///< parts of `changed`
  std::atomic<size_t> next{0};
};

/// Files that were read.
struct DirectorySync::Batch {
  std::vector<const FileMatch*> files;
  std::vector<IngestRequest> requests;  ///< of each of `files`
  std::vector<std::pair<const FileMatch*, base::Error>> unread;
};

core::Task<base::Result<>> DirectorySync::walk(const core::RequestContext& context, DirectoryView& view) {
  const auto job = [this, &view, &context]() -> base::Result<> {
    const auto wanted = [this](std::string_view name) { return parts_.parser.knows(name); };
    TESSERA_TRY(view.walked, parts_.files.walk(view.root, options_.bounds, wanted, context.cancel));
    return {};
  };
  co_return co_await parts_.pool.run(job, context.cancel);
}

core::Task<base::Result<>> DirectorySync::list_known(const core::RequestContext& context, DirectoryView& view) {
  core::CollectionName name{context.tenant, view.collection};
  const auto found = co_await parts_.store.find_collection(name);
  if (!found && found.error().code != Code::not_found) co_return std::unexpected(found.error());
  core::CollectionSettings settings = found ? found->settings : parts_.ingest.collection_defaults();
  TESSERA_CO_TRY(view.fingerprint, co_await parts_.ingest.fingerprint(context, std::move(settings)));
  view.fingerprint.insert(0, 1, '-');
  if (!found) co_return base::Result<>{};
  auto known = co_await parts_.store.list_sources(std::move(name), source_of(view.root, ""));
  if (!known && known.error().code != Code::not_found) co_return std::unexpected(std::move(known).error());
  if (known) view.known = *std::move(known);
  co_return base::Result<>{};
}

core::Task<base::Result<>> DirectorySync::look(const core::RequestContext& context, DirectoryView& view) {
  view.looked_ns = parts_.clock.unix_ms() * 1'000'000;
  base::Result<> walking = was_cancelled();
  base::Result<> listing = was_cancelled();
  {
    async::TaskScope both(co_await boost::asio::this_coro::executor);
    both.spawn([&]() -> core::Task<> { walking = co_await walk(context, view); });
    both.spawn([&]() -> core::Task<> { listing = co_await list_known(context, view); });
    co_await both.join();
  }
  TESSERA_CO_CHECK(walking);
  TESSERA_CO_CHECK(listing);
  co_return co_await parts_.pool.run([&view] { match(view); }, context.cancel);
}

core::Task<base::Result<>> DirectorySync::run(const core::RequestContext& context, TaskRegistry::Handle& task,
                                              std::string root, std::string collection) {
  Pass pass{.context = context, .task = task, .view = {}, .changed = {}, .batches = {}};
  pass.view.root = std::move(root);
  pass.view.collection = std::move(collection);
  TESSERA_CO_CHECK(co_await look(context, pass.view));
  for (const FileMatch& each : pass.view.files) {
    if (!each.unchanged) pass.changed.push_back(&each);
  }
  const size_t workers = std::max<size_t>(1, options_.parallel / 2);
  pass.batches = cut(pass.changed);
  task.update([&](core::TaskRecord& record) {
    const auto unchanged = static_cast<int64_t>(pass.view.files.size() - pass.changed.size());
    record.total = static_cast<int64_t>(pass.view.files.size());
    record.done = unchanged;
    record.unchanged += unchanged;
    record.failed = 0;
    record.failures.clear();
  });
  for (auto& [path, error] : pass.view.walked.failures) task.fail_item(path, std::move(error));
  {
    async::TaskScope scope(co_await boost::asio::this_coro::executor);
    for (size_t i = 0; i < std::min(workers, pass.batches.size()); ++i) scope.spawn(work(pass));
    // Without a bound: each worker heeds the context's token between batches.
    std::ignore = co_await scope.join();
  }
  if (cancelled(context)) co_return was_cancelled();
  co_return co_await remove_gone(pass);
}

core::Task<> DirectorySync::work(Pass& pass) {
  while (!cancelled(pass.context)) {
    const size_t i = pass.next++;
    if (i >= pass.batches.size()) co_return;
    const auto batch = pass.batches[i];
    if (const auto done = co_await take_in(pass, batch); !done) {
      if (done.error().code == Code::cancelled) co_return;
      for (const FileMatch* each : batch) pass.task.fail_item(each->file->path, done.error());
    }
    pass.task.update([&](core::TaskRecord& record) { record.done += static_cast<int64_t>(batch.size()); });
    co_await pass.task.persist_if_due();
  }
}

IngestRequest DirectorySync::request_for(const DirectoryView& view, const FileEntry& file, std::string bytes) const {
  IngestRequest request;
  request.bytes = std::move(bytes);
  request.name = file.path.substr(file.path.rfind('/') + 1);  // as an upload of it is named: the same document
  request.collection = view.collection;
  request.source = source_of(view.root, file.path);
  request.source_stamp = lasting_stamp(file, view.looked_ns);
  request.metadata["path"] = file.path;
  request.priority = IngestPriority::background;
  return request;
}

core::Task<base::Result<>> DirectorySync::read(Pass& pass, std::span<const FileMatch* const> matches, Batch& batch) {
  const auto job = [this, &pass, matches, &batch] {
    for (const FileMatch* each : matches) {
      if (cancelled(pass.context)) return;
      auto bytes = parts_.files.read(pass.view.root, each->file->path, options_.bounds.file_bytes_max);
      if (bytes) {
        batch.files.push_back(each);
        batch.requests.push_back(request_for(pass.view, *each->file, *std::move(bytes)));
      } else {
        batch.unread.emplace_back(each, std::move(bytes).error());
      }
    }
  };
  co_return co_await parts_.pool.run(job, pass.context.cancel);
}

core::Task<base::Result<>> DirectorySync::take_in(Pass& pass, std::span<const FileMatch* const> matches) {
  Batch batch;
  TESSERA_CO_CHECK(co_await read(pass, matches, batch));
  if (cancelled(pass.context)) co_return was_cancelled();
  for (auto& [each, error] : batch.unread) {
    // Deleted since the walk: the next pass sees that it is gone.
    if (error.name != "FILE_NOT_FOUND") pass.task.fail_item(each->file->path, std::move(error));
  }
  const auto receipts = co_await parts_.ingest.ingest_batch(pass.context, std::move(batch.requests));
  core::TaskRecord counted;
  for (size_t i = 0; i < receipts.size(); ++i) {
    const FileMatch& each = *batch.files[i];
    if (receipts[i]) {
      const auto outcome = receipts[i]->outcome;
      counted.added += outcome == core::PutOutcome::created ? 1 : 0;
      counted.updated += outcome == core::PutOutcome::updated ? 1 : 0;
      counted.unchanged += outcome == core::PutOutcome::unchanged ? 1 : 0;
    } else if (receipts[i].error().code == Code::cancelled) {
      co_return std::unexpected(receipts[i].error());
    } else if (receipts[i].error().name != "EMPTY_DOCUMENT") {
      pass.task.fail_item(each.file->path, receipts[i].error());
    } else if (each.known == nullptr) {
      ++counted.unchanged;  // an empty note is no failure ...
    } else if (const auto done = co_await remove(pass.context, pass.task, *each.known); !done) {
      // ... and what it said before must not be found any more.
      pass.task.fail_item(each.file->path, done.error());
    }
  }
  pass.task.update([&](core::TaskRecord& record) {
    record.added += counted.added;
    record.updated += counted.updated;
    record.unchanged += counted.unchanged;
  });
  co_return base::Result<>{};
}

// Searches may still see it: the pass waits for them once, at its end.
core::Task<base::Result<>> DirectorySync::remove(const core::RequestContext& context, TaskRegistry::Handle& task,
                                                 const core::SourceRecord& document) {
  const auto removed = co_await parts_.store.delete_document(context.tenant, document.document_id);
  if (!removed && removed.error().code != Code::not_found) co_return removed;
  task.update([](core::TaskRecord& record) { ++record.deleted; });
  co_return base::Result<>{};
}

core::Task<base::Result<>> DirectorySync::remove_gone(Pass& pass) {
  const auto& gone = pass.view.gone;
  // After a walk that was cut short, what was not seen may still be there.
  for (size_t begin = 0; pass.view.walked.complete && begin < gone.size(); begin += kRemovalsAtOnce) {
    if (cancelled(pass.context)) co_return was_cancelled();
    async::TaskScope scope(co_await boost::asio::this_coro::executor);
    for (size_t i = begin; i < std::min(begin + kRemovalsAtOnce, gone.size()); ++i) {
      scope.spawn([this, &pass, document = gone[i]]() -> core::Task<> {
        const auto done = co_await remove(pass.context, pass.task, *document);
        if (!done) pass.task.fail_item(document->source, done.error());
      });
    }
    co_await scope.join();
  }
  co_return co_await parts_.feed.wait_current(bounds_of(pass.context));
}

core::Task<base::Result<ScanReport>> DirectorySync::compare(const core::RequestContext& context, std::string root,
                                                            std::string collection) {
  DirectoryView view;
  view.root = std::move(root);
  view.collection = std::move(collection);
  TESSERA_CO_CHECK(co_await look(context, view));
  ScanReport report;
  report.path = view.root;
  report.files = static_cast<int64_t>(view.files.size());
  report.truncated = !view.walked.complete;
  for (const auto& [path, error] : view.walked.failures) report.failures.push_back({path, error});
  const auto note = [&](std::vector<std::string>& list, std::string path) {
    if (list.size() < options_.paths_max) list.push_back(std::move(path));
  };
  const auto work = [&]() -> base::Result<> {
    for (const FileMatch& each : view.files) {
      if (cancelled(context)) return was_cancelled();
      const FileEntry& file = *each.file;
      if (each.known == nullptr) {
        ++report.added;
        note(report.added_paths, file.path);
        continue;
      }
      bool same = each.unchanged;
      if (!same) {
        auto bytes = parts_.files.read(view.root, file.path, options_.bounds.file_bytes_max);
        if (!bytes) {
          if (report.failures.size() < core::kTaskFailuresMax) report.failures.push_back({file.path, bytes.error()});
          continue;
        }
        const auto request = request_for(view, file, *std::move(bytes));
        same = document_hash(request) + view.fingerprint == each.known->content_hash;
      }
      ++(same ? report.unchanged : report.modified);
      if (!same) note(report.modified_paths, file.path);
    }
    return {};
  };
  TESSERA_CO_CHECK(co_await parts_.pool.run(work, context.cancel));
  if (report.truncated) co_return report;
  const size_t inside = source_of(view.root, "").size();
  report.deleted = static_cast<int64_t>(view.gone.size());
  for (const core::SourceRecord* each : view.gone) note(report.deleted_paths, each->source.substr(inside));
  co_return report;
}

}  // namespace tessera::rag
