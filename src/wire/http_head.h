#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "wire/http_types.h"

namespace tessera::wire {

/// A refusal of the server itself. The views are literals.
struct Refusal {
  int status = 400;
  std::string_view code;
  std::string_view message;
};

/// How the body of a request is delimited, and what the head asks of the connection.
struct BodyFraming {
  uint64_t length = 0;
  bool chunked = false;
  bool expects_continue = false;
};

/// Finds the end of a request head in a growing buffer, looking at each byte once. Lines end with CRLF only; a bare LF
/// or CR is an error, since programs that disagree about line ends can be made to disagree about where a request ends.
class HeadScanner {
 public:
  enum class State { more, done, bad };
  /// `buffer` holds the unread bytes, always from the same start. When done, `size()` bytes are the head, blank line
  /// included.
  State scan(std::string_view buffer);
  [[nodiscard]] size_t size() const { return position_; }
  void reset() { position_ = 0; }

 private:
  size_t position_ = 0;  ///< start of the line being looked at; at the end, the size of the head
};

/// Parses `request.head_bytes` (RFC 9112, strict) into `request` and `framing`; the views point into head_bytes.
std::optional<Refusal> parse_head(Request& request, BodyFraming& framing, size_t headers_max);

/// The line at `rest`, without its CRLF; `rest` moves past it. A HeadScanner has seen that every line has one.
std::string_view take_line(std::string_view& rest);
/// "Name: value", strictly; the views point into `line`.
std::optional<Refusal> parse_header_line(std::string_view line, HeaderView& header);
/// A Content-Length: digits only, at most 18.
std::optional<uint64_t> parse_length(std::string_view value);

/// What Connection headers ask for.
struct ConnectionOptions {
  bool close = false;
  bool keep_alive = false;
  void note(std::string_view value);
};

/// Takes a chunked body apart, cut anywhere. Extensions and trailers are skipped, within bounds.
class ChunkDecoder {
 public:
  enum class State { more, done, bad, too_large };
  explicit ChunkDecoder(uint64_t bytes_max) : bytes_max_(bytes_max) {}
  /// Appends body bytes to `out`; `in` is advanced past what was consumed.
  State feed(std::string_view& in, std::string& out);

 private:
  enum class Step { size, extension, size_lf, data, data_cr, data_lf, trailer, trailer_line, trailer_lf, end_lf };
  bool size_byte(char c);
  bool line_byte(char c);

  uint64_t bytes_max_;
  uint64_t total_ = 0;
  uint64_t left_ = 0;   ///< of the current chunk
  size_t skipped_ = 0;  ///< bytes of extensions and trailers
  int digits_ = 0;
  Step step_ = Step::size;
};

}  // namespace tessera::wire
