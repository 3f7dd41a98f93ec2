#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <variant>

#include "base/error.h"

namespace tessera::base {

enum class LogLevel { debug, info, warn, error, off };
enum class LogFormat { text, json };

/// One named value of a log line. User text and secrets never go in.
struct LogField {
  std::string_view key;
  std::variant<std::string_view, int64_t, double, bool> value;
};

/// Writes one structured line per event to standard error. A resource; thread-safe; lines are whole.
class Logger {
 public:
  Logger(LogLevel level, LogFormat format);
  ~Logger();
  Logger(const Logger&) = delete;
  Logger& operator=(const Logger&) = delete;

  [[nodiscard]] bool enabled(LogLevel level) const { return level >= level_; }
  /// `event` is a short constant such as "request" or "index_rebuilt".
  void log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields = {});
  /// An error at level warn, with its code, name and operator detail.
  void failure(std::string_view event, const Error& error);
  void flush();

 private:
  struct Sink;
  LogLevel level_;
  LogFormat format_;
  std::unique_ptr<Sink> sink_;
};

/// A logger that writes nothing, for tests.
std::unique_ptr<Logger> silent_logger();

/// Appends `text` as a quoted JSON string.
void append_json_string(std::string& out, std::string_view text);

}  // namespace tessera::base
