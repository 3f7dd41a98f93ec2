#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "mock/pieces.h"

namespace tessera::mock {

/// How a request ended.
enum class Outcome : uint8_t {
  complete,     ///< a whole answer, or a stream to its end
  error,        ///< an error status
  invalid,      ///< the request was wrong
  broken,       ///< cut, reset, garbage: what the plan asked for
  client_gone,  ///< the client left first, or the mock was stopped
};
inline constexpr size_t kOutcomes = 5;
std::string_view to_string(Outcome outcome);

/// What is kept of one request. `text` is empty unless the transcript holds texts.
struct Entry {
  uint64_t seq = 0;      ///< from 1, in the order of arrival
  int64_t at_ms = 0;     ///< Unix time of the request
  double first_ms = -1;  ///< until the first byte of the answer; negative: none
  double took_ms = 0;
  std::string method;
  std::string path;
  std::string dialect;
  std::string model;
  std::string user;
  std::string key;  ///< of the API key, a fingerprint
  std::string request_id;
  uint16_t client_port = 0;  ///< tells connections apart
  bool stream = false;
  int64_t choices = 1;
  int64_t messages = 0;
  int64_t max_tokens = 0;
  int64_t tools = 0;
  uint64_t body_bytes = 0;
  std::vector<std::string> field_names;
  std::string rule;   ///< of the script
  std::string fault;  ///< "reset after 5"
  int status = 0;
  Outcome outcome = Outcome::complete;
  int64_t events = 0;
  Usage usage;
  int64_t cost = 0;  ///< millionths of a micro-dollar
  std::string text;  ///< the request's body

  [[nodiscard]] std::string json() const;
};

/// Millionths of a micro-dollar to whole micro-dollars, half up.
int64_t to_microdollars(int64_t cost);

struct RecordOptions {
  std::string path;          ///< a file that each entry is appended to as a line; empty: none
  size_t keep_max = 10'000;  ///< entries in memory, the latest
};

/// What a mock saw, and the sum of it. Thread-safe.
class Record {
 public:
  /// Error: unavailable TRANSCRIPT_FAILED.
  static base::Result<std::unique_ptr<Record>> create(RecordOptions options);
  ~Record();
  Record(const Record&) = delete;
  Record& operator=(const Record&) = delete;

  /// The number of the next request, which is from now in flight.
  uint64_t begin();
  /// The request is over.
  void end(Entry entry);

  /// Entries after `since`, at most `limit`, oldest first, as JSON lines.
  [[nodiscard]] std::string lines(uint64_t since, size_t limit) const;
  /// Sums as a JSON object.
  [[nodiscard]] std::string totals() const;
  /// Forgets everything but the requests in flight; numbers begin again at 1. The file is left as it is.
  void reset();

 private:
  struct Sum {
    int64_t requests = 0;
    Usage usage;
    int64_t cost = 0;
    int64_t microdollars = 0;
    void add(const Entry& entry);
  };
  struct ModelSums {
    Sum billed;
    Sum cut;
  };
  Record(RecordOptions options, int file) : options_(std::move(options)), file_(file) {}

  RecordOptions options_;
  int file_;
  mutable std::mutex mutex_;
  // Guarded by mutex_:
  uint64_t seq_ = 0;
  int64_t in_flight_ = 0;
  std::vector<Entry> ring_;
  size_t ring_at_ = 0;  ///< where the next entry goes, once the ring is full
  std::map<std::string, ModelSums, std::less<>> models_;
  std::map<int, int64_t> statuses_;
  std::array<int64_t, kOutcomes> outcomes_{};
  int64_t events_ = 0;
  int64_t lost_lines_ = 0;  ///< that the file did not take
};

}  // namespace tessera::mock
