#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "async/cancel.h"
#include "async/waiter.h"
#include "base/clock.h"
#include "chat/events.h"
#include "core/tenant.h"

namespace tessera::chat {

/// An event with its number in its stream, from 1 without gaps.
struct NumberedEvent {
  uint64_t id = 0;
  ChatEvent event;
};

struct StreamTableOptions {
  size_t streams_max = 4096;
  size_t stream_bytes_max = 8ULL << 20U;  ///< beyond that a stream forgets its oldest events
  size_t total_bytes_max = 256ULL << 20U;
  base::Millis keep_finished{300'000};  ///< how long a finished stream can be resumed
};

class StreamWriter;

/// Streams of chat events in memory: one writer each, any number of readers, numbered so that a reader that lost its
/// connection goes on where it stopped. Thread-safe; every access names the tenant, a foreign stream is not_found. At
/// the limits the oldest finished streams are forgotten first; when all are live, `open` answers exhausted
/// TOO_MANY_STREAMS. Must outlive its users; has nothing running.
class StreamTable {
 public:
  explicit StreamTable(const base::Clock& clock, StreamTableOptions options = {});
  ~StreamTable();
  StreamTable(const StreamTable&) = delete;
  StreamTable& operator=(const StreamTable&) = delete;

  /// Errors: exhausted TOO_MANY_STREAMS, conflict STREAM_EXISTS.
  base::Result<std::shared_ptr<StreamWriter>> open(core::Tenant tenant, std::string stream_id);
  /// The first event numbered above `after`, waiting for it; nullopt when the stream ended there. Errors: not_found
  /// STREAM_NOT_FOUND, conflict STREAM_EVENTS_LOST (older than what is kept), deadline, cancelled.
  core::Task<base::Result<std::optional<NumberedEvent>>> next(core::Tenant tenant, std::string stream_id,
                                                              uint64_t after, async::WaitBounds bounds = {});
  /// Fires the writer's token. A finished stream is left as it is.
  base::Result<> cancel(const core::Tenant& tenant, std::string_view stream_id);
  /// Forgets what is over its time; also done by open().
  void expire();
  [[nodiscard]] size_t streams() const;
  [[nodiscard]] size_t bytes() const;

 private:
  friend class StreamWriter;
  struct State;
  struct Stream;
  std::shared_ptr<State> state_;
};

/// The producer's end. Never blocks: a reader that does not read costs the stream's buffer only. Destroying it ends the
/// stream. One thread at a time.
class StreamWriter final : public ChatEventSink {
 public:
  StreamWriter(std::shared_ptr<StreamTable::State> table, std::shared_ptr<StreamTable::Stream> stream);
  ~StreamWriter() override;
  StreamWriter(const StreamWriter&) = delete;
  StreamWriter& operator=(const StreamWriter&) = delete;

  /// Errors: cancelled STREAM_CANCELLED once somebody cancelled it.
  core::Task<base::Result<>> on_event(ChatEvent event) override;
  /// The same without a coroutine; false when cancelled (Done and Failed are always taken).
  bool write(ChatEvent event);
  void finish();
  [[nodiscard]] async::CancelToken token() const;

 private:
  std::shared_ptr<StreamTable::State> table_;
  std::shared_ptr<StreamTable::Stream> stream_;
};

}  // namespace tessera::chat
