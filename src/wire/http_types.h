#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tessera::wire {

enum class Method : uint8_t { get, head, post, put, del, patch, options, other };

/// "GET", "POST", ...; "?" for other.
std::string_view to_string(Method method);
Method parse_method(std::string_view text);

/// ASCII, without regard to case.
bool equal_nocase(std::string_view a, std::string_view b);

/// %XX decoded; with `plus_is_space` as in forms. Nothing when an escape is broken.
std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space = false);
/// Everything but unreserved characters escaped.
std::string percent_encode(std::string_view text);

/// Views into memory that the request holds.
struct HeaderView {
  std::string_view name;
  std::string_view value;  ///< without surrounding blanks
};

/// One request as it came, body and all. Belongs to its connection and is valid while the handler runs; the views point
/// into it or, in tests, at literals. Untrusted throughout; `path` is decoded once and may hold "..", "//" and any byte
/// but NUL.
struct Request {
  Method method = Method::get;
  std::string_view method_text = "GET";
  std::string_view target = "/";    ///< as sent: path and query
  std::string_view raw_path = "/";  ///< as sent, without the query
  std::string path = "/";           ///< decoded
  std::string_view query;           ///< as sent, after "?"
  std::vector<HeaderView> headers;
  std::string body;
  std::string_view remote_address = "127.0.0.1";  ///< the peer of the socket, numeric
  uint16_t remote_port = 0;
  int version_minor = 1;  ///< HTTP/1.x
  bool keep_alive = true;

  Request() = default;
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;

  /// The first header of that name, without regard to case.
  [[nodiscard]] std::optional<std::string_view> header(std::string_view name) const;
  /// The decoded value of the first query field of that name; nothing when absent or broken.
  [[nodiscard]] std::optional<std::string> query_value(std::string_view name) const;
  /// All query fields, decoded, in order; broken ones are left out.
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> query_fields() const;

  std::string head_bytes;  ///< what the views point into
};

struct Header {
  std::string name;
  std::string value;
};

/// A whole response. The server adds Content-Length and Connection; everything else is here. Header names and values
/// with CR, LF or NUL are dropped, not sent.
struct Response {
  int status = 200;
  std::string content_type = {};  ///< empty: no Content-Type
  std::vector<Header> headers = {};
  std::string body = {};
};

/// The head of a response whose body follows in pieces.
struct StreamHead {
  int status = 200;
  std::string content_type = {};
  std::vector<Header> headers = {};
};

/// "OK", "Not Found", ...; "Status" for unknown codes.
std::string_view reason_phrase(int status);

}  // namespace tessera::wire
