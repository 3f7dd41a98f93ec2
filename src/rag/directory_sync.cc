#include "rag/directory_sync.h"

#include <algorithm>
#include <atomic>
#include <set>
#include <utility>

#include "async/task_scope.h"

namespace tessera::rag {

namespace {

using base::Code;

std::string source_of(const std::string& root, const std::string& path) {
  return root.ends_with('/') ? root + path : root + "/" + path;
}

bool cancelled(const core::RequestContext& context) {
  return context.cancel.cancelled();
}

std::unexpected<base::Error> was_cancelled() {
  return base::fail(Code::cancelled, "TASK_CANCELLED", "The task was cancelled.");
}

}  // namespace

std::optional<std::string> FileStamps::find(const std::string& source, uint64_t stamp) const {
  const std::lock_guard lock(mutex_);
  const auto it = stamps_.find(source);
  if (it == stamps_.end() || it->second.stamp != stamp) return std::nullopt;
  return it->second.content_hash;
}

void FileStamps::remember(const std::string& source, const FileEntry& file, std::string content_hash, int64_t now_ns) {
  constexpr int64_t kSettledNs = 2'000'000'000;
  const std::lock_guard lock(mutex_);
  if (now_ns - file.modified_ns < kSettledNs) {
    stamps_.erase(source);
    return;
  }
  if (stamps_.size() >= max_ && !stamps_.contains(source)) stamps_.clear();  // rare; costs one pass of reading
  stamps_[source] = {file.stamp, std::move(content_hash)};
}

/// One run over a directory, shared by its workers; lives in run()'s frame.
struct DirectorySync::Pass {
  const core::RequestContext& context;
  TaskRegistry::Handle& task;
  DirectoryView view;
  std::atomic<size_t> next{0};
};

core::Task<base::Result<DirectoryView>> DirectorySync::look(const core::RequestContext& context, std::string root,
                                                            std::string collection) {
  DirectoryView view;
  view.root = std::move(root);
  view.collection = std::move(collection);
  const auto walk = [this, &view, &context]() -> base::Result<> {
    const auto wanted = [this](std::string_view name) { return parts_.parser.knows(name); };
    TESSERA_TRY(view.walked, parts_.files.walk(view.root, options_.bounds, wanted, context.cancel));
    return {};
  };
  TESSERA_CO_CHECK(co_await parts_.pool.run(walk, context.cancel));
  core::CollectionName name{context.tenant, view.collection};
  const auto found = co_await parts_.store.find_collection(std::move(name));
  if (!found) {
    view.settings = parts_.ingest.collection_defaults();
    if (found.error().code == Code::not_found) co_return view;
    co_return std::unexpected(found.error());
  }
  view.settings = found->settings;
  const std::string inside = source_of(view.root, "");
  core::PageRequest page;
  page.limit = 1000;
  do {
    if (cancelled(context)) co_return was_cancelled();
    TESSERA_CO_TRY(auto heads, co_await parts_.store.list_documents(context.tenant, view.collection, page));
    for (auto& head : heads.items) {
      if (!head.source.starts_with(inside)) continue;
      view.known[head.source] = {std::move(head.document_id), std::move(head.content_hash)};
    }
    page.cursor = std::move(heads.next_cursor);
  } while (!page.cursor.empty());
  co_return view;
}

core::Task<base::Result<>> DirectorySync::run(const core::RequestContext& context, TaskRegistry::Handle& task,
                                              std::string root, std::string collection) {
  TESSERA_CO_TRY(auto view, co_await look(context, std::move(root), std::move(collection)));
  Pass pass{context, task, std::move(view)};
  task.update([&](core::TaskRecord& record) {
    record.total = static_cast<int64_t>(pass.view.walked.files.size());
    record.done = 0;
    record.failed = 0;
    record.failures.clear();
  });
  for (auto& [path, error] : pass.view.walked.failures) task.fail_item(path, std::move(error));
  {
    async::TaskScope workers(co_await boost::asio::this_coro::executor);
    for (size_t i = 0; i < std::max<size_t>(1, options_.parallel); ++i) workers.spawn(work(pass));
    // Without a bound: each worker heeds the context's token between files.
    std::ignore = co_await workers.join();
  }
  if (cancelled(context)) co_return was_cancelled();
  co_return co_await remove_gone(pass);
}

core::Task<> DirectorySync::work(Pass& pass) {
  const auto& files = pass.view.walked.files;
  while (!cancelled(pass.context)) {
    const size_t i = pass.next++;
    if (i >= files.size()) co_return;
    if (unchanged(pass.view, files[i])) {
      pass.task.update([](core::TaskRecord& record) { ++record.done, ++record.unchanged; });
      continue;
    }
    const auto done = co_await take_in(pass, files[i]);
    if (!done && done.error().code == Code::cancelled) co_return;
    if (!done) pass.task.fail_item(files[i].path, done.error());
    pass.task.update([](core::TaskRecord& record) { ++record.done; });
    co_await pass.task.persist_if_due();
  }
}

bool DirectorySync::unchanged(const DirectoryView& view, const FileEntry& file) const {
  const std::string source = source_of(view.root, file.path);
  const auto known = view.known.find(source);
  if (known == view.known.end()) return false;
  const auto remembered = stamps_.find(source, file.stamp);
  return remembered && *remembered == known->second.content_hash;
}

IngestRequest DirectorySync::request_for(const DirectoryView& view, const FileEntry& file, std::string bytes) const {
  IngestRequest request;
  request.bytes = std::move(bytes);
  request.name = file.path;
  request.collection = view.collection;
  request.source = source_of(view.root, file.path);
  request.metadata["path"] = file.path;
  request.priority = IngestPriority::background;
  return request;
}

core::Task<base::Result<std::string>> DirectorySync::read(const core::RequestContext& context, const std::string& root,
                                                          const FileEntry& file) {
  const int64_t max = options_.bounds.file_bytes_max;
  const auto job = [this, &root, &file, max]() -> base::Result<std::string> {
    return parts_.files.read(root, file.path, max);
  };
  co_return co_await parts_.pool.run(job, context.cancel);
}

core::Task<base::Result<>> DirectorySync::take_in(Pass& pass, const FileEntry& file) {
  auto bytes = co_await read(pass.context, pass.view.root, file);
  if (!bytes) {
    // Deleted since the walk: the next pass sees that it is gone.
    if (bytes.error().name == "FILE_NOT_FOUND") co_return base::Result<>{};
    co_return std::unexpected(std::move(bytes).error());
  }
  auto request = request_for(pass.view, file, *std::move(bytes));
  const std::string source = request.source;
  const std::string content_hash = parts_.ingest.hash(request, pass.view.settings);
  const auto receipt = co_await parts_.ingest.ingest(pass.context, std::move(request));
  if (!receipt) {
    if (receipt.error().name != "EMPTY_DOCUMENT") co_return std::unexpected(receipt.error());
    // An empty note is no failure; what it said before must not be found any more.
    const auto known = pass.view.known.find(source);
    if (known == pass.view.known.end()) {
      pass.task.update([](core::TaskRecord& record) { ++record.unchanged; });
      co_return base::Result<>{};
    }
    const auto removed = co_await parts_.library.remove(pass.context, known->second.document_id);
    if (!removed && removed.error().code != Code::not_found) co_return std::unexpected(removed.error());
    pass.task.update([](core::TaskRecord& record) { ++record.deleted; });
    co_return base::Result<>{};
  }
  stamps_.remember(source, file, content_hash, now_ns());
  pass.task.update([&](core::TaskRecord& record) {
    switch (receipt->outcome) {
      case core::PutOutcome::created:
        ++record.added;
        break;
      case core::PutOutcome::updated:
        ++record.updated;
        break;
      case core::PutOutcome::unchanged:
        ++record.unchanged;
        break;
    }
  });
  co_return base::Result<>{};
}

core::Task<base::Result<>> DirectorySync::remove_gone(Pass& pass) {
  if (!pass.view.walked.complete) co_return base::Result<>{};  // what was not seen may still be there
  std::set<std::string> present;
  for (const auto& file : pass.view.walked.files) present.insert(source_of(pass.view.root, file.path));
  for (const auto& [source, document] : pass.view.known) {
    if (present.contains(source)) continue;
    if (cancelled(pass.context)) co_return was_cancelled();
    const auto removed = co_await parts_.library.remove(pass.context, document.document_id);
    if (!removed && removed.error().code != Code::not_found) {
      pass.task.fail_item(source, removed.error());
    } else {
      pass.task.update([](core::TaskRecord& record) { ++record.deleted; });
    }
  }
  co_return base::Result<>{};
}

core::Task<base::Result<ScanReport>> DirectorySync::compare(const core::RequestContext& context, std::string root,
                                                            std::string collection) {
  TESSERA_CO_TRY(const auto view, co_await look(context, std::move(root), std::move(collection)));
  ScanReport report;
  report.path = view.root;
  report.files = static_cast<int64_t>(view.walked.files.size());
  report.truncated = !view.walked.complete;
  for (const auto& [path, error] : view.walked.failures) report.failures.push_back({path, error});
  const auto note = [&](std::vector<std::string>& list, const std::string& path) {
    if (list.size() < options_.paths_max) list.push_back(path);
  };
  std::set<std::string> present;
  for (const auto& file : view.walked.files) {
    if (cancelled(context)) co_return was_cancelled();
    const std::string source = source_of(view.root, file.path);
    present.insert(source);
    const auto known = view.known.find(source);
    if (known == view.known.end()) {
      ++report.added;
      note(report.added_paths, file.path);
      continue;
    }
    bool same = unchanged(view, file);
    if (!same) {
      auto bytes = co_await read(context, view.root, file);
      if (!bytes) {
        if (report.failures.size() < core::kTaskFailuresMax) report.failures.push_back({file.path, bytes.error()});
        continue;
      }
      const auto request = request_for(view, file, *std::move(bytes));
      same = parts_.ingest.hash(request, view.settings) == known->second.content_hash;
      if (same) stamps_.remember(source, file, known->second.content_hash, now_ns());
    }
    if (same) {
      ++report.unchanged;
    } else {
      ++report.modified;
      note(report.modified_paths, file.path);
    }
  }
  if (report.truncated) co_return report;
  const std::string inside = source_of(view.root, "");
  for (const auto& [source, document] : view.known) {
    if (present.contains(source)) continue;
    ++report.deleted;
    note(report.deleted_paths, source.substr(inside.size()));
  }
  co_return report;
}

}  // namespace tessera::rag
