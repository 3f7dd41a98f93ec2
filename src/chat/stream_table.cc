#include "chat/stream_table.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

namespace tessera::chat {

namespace {

using base::Code;

std::unexpected<base::Error> stream_not_found() {
  return base::fail(Code::not_found, "STREAM_NOT_FOUND",
                    "There is no such stream; it may have been over for too long.");
}

}  // namespace

struct StreamTable::Stream {
  struct Kept {
    uint64_t id;
    size_t bytes;
    std::shared_ptr<const ChatEvent> event;
  };

  const core::Tenant tenant;
  const std::string id;
  async::CancelSource cancel;

  std::mutex mutex;
  std::deque<Kept> events;  // guarded by mutex, as all below
  uint64_t next_id = 1;
  size_t bytes = 0;
  bool finished = false;
  std::vector<async::Waiter> waiters;  // readers at the end of the stream

  Stream(core::Tenant owner, std::string name) : tenant(std::move(owner)), id(std::move(name)) {}

  // Forgets the oldest event; its bytes.
  size_t drop_oldest() {
    const size_t freed = events.front().bytes;
    events.pop_front();
    bytes -= freed;
    return freed;
  }
};

/// Lock order: the table's mutex, then a stream's.
struct StreamTable::State {
  using Key = std::pair<core::Tenant, std::string>;
  struct Finished {
    Key key;
    base::SteadyTime at;
    std::shared_ptr<Stream> stream;
  };

  State(const base::Clock& c, StreamTableOptions o) : clock(c), options(o) {}

  const base::Clock& clock;
  const StreamTableOptions options;
  std::atomic<size_t> bytes{0};

  std::mutex mutex;
  std::map<Key, std::shared_ptr<Stream>> streams;  // guarded by mutex
  std::deque<Finished> finished;                   // guarded by mutex; oldest first

  std::shared_ptr<Stream> find(const core::Tenant& tenant, std::string_view id) {
    const std::lock_guard lock(mutex);
    const auto it = streams.find(Key{tenant, std::string(id)});
    return it == streams.end() ? nullptr : it->second;
  }

  // False when no stream is finished.
  bool forget_oldest_locked() {
    if (finished.empty()) return false;
    const auto oldest = std::move(finished.front());
    finished.pop_front();
    streams.erase(oldest.key);
    const std::lock_guard lock(oldest.stream->mutex);
    bytes -= oldest.stream->bytes;
    oldest.stream->bytes = 0;
    oldest.stream->events.clear();
    return true;
  }

  void expire_locked() {
    const auto now = clock.now();
    while (!finished.empty() && finished.front().at + options.keep_finished <= now) forget_oldest_locked();
  }

  // Makes room after a write: finished streams first, then the writer's own past.
  void keep_total(Stream& writer) {
    if (bytes <= options.total_bytes_max) return;
    const std::lock_guard lock(mutex);
    while (bytes > options.total_bytes_max && forget_oldest_locked()) {
    }
    const std::lock_guard stream_lock(writer.mutex);
    while (bytes > options.total_bytes_max && writer.events.size() > 1) bytes -= writer.drop_oldest();
  }
};

StreamTable::StreamTable(const base::Clock& clock, StreamTableOptions options)
    : state_(std::make_shared<State>(clock, options)) {}

StreamTable::~StreamTable() = default;

base::Result<std::shared_ptr<StreamWriter>> StreamTable::open(core::Tenant tenant, std::string stream_id) {
  const std::lock_guard lock(state_->mutex);
  state_->expire_locked();
  State::Key key{tenant, stream_id};
  if (state_->streams.contains(key)) {
    return base::fail(Code::conflict, "STREAM_EXISTS", "A stream with this id exists.");
  }
  if (state_->streams.size() >= state_->options.streams_max && !state_->forget_oldest_locked()) {
    auto error =
        base::make_error(Code::exhausted, "TOO_MANY_STREAMS", "Too many answers are being written; try again soon.");
    error.retry_after = base::Millis(1000);
    return std::unexpected(std::move(error));
  }
  const auto stream = std::make_shared<Stream>(std::move(tenant), std::move(stream_id));
  state_->streams.emplace(std::move(key), stream);
  return std::make_shared<StreamWriter>(state_, stream);
}

core::Task<base::Result<std::optional<NumberedEvent>>> StreamTable::next(core::Tenant tenant, std::string stream_id,
                                                                         uint64_t after, async::WaitBounds bounds) {
  using Answer = base::Result<std::optional<NumberedEvent>>;
  const auto stream = state_->find(tenant, stream_id);
  if (!stream) co_return stream_not_found();
  while (true) {
    async::Waiter waiter;
    {
      const std::lock_guard lock(stream->mutex);
      const uint64_t first = stream->next_id - stream->events.size();
      if (after + 1 < first) {
        co_return base::fail(Code::conflict, "STREAM_EVENTS_LOST",
                             "The stream went on too far to be resumed there; read the session's messages instead.");
      }
      if (after + 1 < stream->next_id) {
        const auto& kept = stream->events[static_cast<size_t>(after + 1 - first)];
        co_return Answer(NumberedEvent{kept.id, *kept.event});
      }
      if (stream->finished) co_return Answer(std::nullopt);
      stream->waiters.push_back(waiter);
    }
    const auto why = co_await waiter.wait(bounds);
    if (why == async::Wake::ready) continue;
    const std::lock_guard lock(stream->mutex);
    std::erase(stream->waiters, waiter);
    if (why == async::Wake::cancelled) {
      co_return base::fail(Code::cancelled, "REQUEST_CANCELLED", "The request was cancelled.");
    }
    co_return base::fail(Code::deadline, "DEADLINE_EXCEEDED", "Nothing happened on the stream in the time given.");
  }
}

base::Result<> StreamTable::cancel(const core::Tenant& tenant, std::string_view stream_id) {
  const auto stream = state_->find(tenant, stream_id);
  if (!stream) return stream_not_found();
  {
    const std::lock_guard lock(stream->mutex);
    if (stream->finished) return {};
  }
  stream->cancel.cancel();
  return {};
}

void StreamTable::expire() {
  const std::lock_guard lock(state_->mutex);
  state_->expire_locked();
}

size_t StreamTable::streams() const {
  const std::lock_guard lock(state_->mutex);
  return state_->streams.size();
}

size_t StreamTable::bytes() const {
  return state_->bytes;
}

StreamWriter::StreamWriter(std::shared_ptr<StreamTable::State> table, std::shared_ptr<StreamTable::Stream> stream)
    : table_(std::move(table)), stream_(std::move(stream)) {}

StreamWriter::~StreamWriter() {
  finish();
}

core::Task<base::Result<>> StreamWriter::on_event(ChatEvent event) {
  if (write(std::move(event))) co_return base::Result<>{};
  co_return base::fail(Code::cancelled, "STREAM_CANCELLED", "The stream was cancelled.");
}

bool StreamWriter::write(ChatEvent event) {
  const bool last = std::holds_alternative<Done>(event) || std::holds_alternative<Failed>(event);
  if (!last && stream_->cancel.token().cancelled()) return false;
  const size_t bytes = event_bytes(event);
  std::vector<async::Waiter> readers;
  {
    const std::lock_guard lock(stream_->mutex);
    if (stream_->finished) return false;
    stream_->events.push_back({stream_->next_id++, bytes, std::make_shared<const ChatEvent>(std::move(event))});
    stream_->bytes += bytes;
    table_->bytes += bytes;
    while (stream_->bytes > table_->options.stream_bytes_max && stream_->events.size() > 1) {
      table_->bytes -= stream_->drop_oldest();
    }
    readers.swap(stream_->waiters);
  }
  for (const auto& reader : readers) reader.wake();
  table_->keep_total(*stream_);
  return true;
}

void StreamWriter::finish() {
  std::vector<async::Waiter> readers;
  {
    const std::lock_guard table_lock(table_->mutex);
    const std::lock_guard lock(stream_->mutex);
    if (stream_->finished) return;
    stream_->finished = true;
    readers.swap(stream_->waiters);
    table_->finished.push_back({{stream_->tenant, stream_->id}, table_->clock.now(), stream_});
  }
  for (const auto& reader : readers) reader.wake();
}

async::CancelToken StreamWriter::token() const {
  return stream_->cancel.token();
}

}  // namespace tessera::chat
