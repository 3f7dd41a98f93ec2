#include "base/log.h"

#include <fmt/format.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <iterator>

#include "base/clock.h"

namespace tessera::base {
namespace {

constexpr std::string_view kLevelNames[] = {"debug", "info", "warn", "error", "off"};

void append_value(std::string& out, const LogField& field, bool quote_all) {
  std::visit(
      [&](const auto& value) {
        using T = std::decay_t<decltype(value)>;
        if constexpr (std::is_same_v<T, std::string_view>) {
          const bool plain =
              !quote_all && !value.empty() && value.find_first_of(" \"\\=\n\r\t") == std::string_view::npos;
          if (plain) {
            out += value;
          } else {
            append_json_string(out, value);
          }
        } else if constexpr (std::is_same_v<T, bool>) {
          out += value ? "true" : "false";
        } else if constexpr (std::is_same_v<T, double>) {
          fmt::format_to(std::back_inserter(out), "{:.3f}", value);
        } else {
          fmt::format_to(std::back_inserter(out), "{}", value);
        }
      },
      field.value);
}

}  // namespace

struct Logger::Sink {
  std::shared_ptr<spdlog::logger> logger;
};

Logger::Logger(LogLevel level, LogFormat format) : level_(level), format_(format), sink_(std::make_unique<Sink>()) {
  if (level == LogLevel::off) return;
  sink_->logger = std::make_shared<spdlog::logger>("tessera", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  sink_->logger->set_pattern("%v");
  sink_->logger->set_level(spdlog::level::trace);
}

Logger::~Logger() {
  flush();
}

void Logger::log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
  if (!enabled(level) || !sink_->logger) return;
  std::string line;
  line.reserve(192);
  const std::string now = format_rfc3339(SystemClock().unix_ms());
  const std::string_view level_name = kLevelNames[static_cast<int>(level)];
  if (format_ == LogFormat::json) {
    fmt::format_to(std::back_inserter(line), R"({{"time":"{}","level":"{}","event":)", now, level_name);
    append_json_string(line, event);
    for (const auto& field : fields) {
      line += ',';
      append_json_string(line, field.key);
      line += ':';
      append_value(line, field, true);
    }
    line += '}';
  } else {
    fmt::format_to(std::back_inserter(line), "{} {:<5} {}", now, level_name, event);
    for (const auto& field : fields) {
      line += ' ';
      line += field.key;
      line += '=';
      append_value(line, field, false);
    }
  }
  sink_->logger->log(spdlog::level::info, line);
}

void Logger::failure(std::string_view event, const Error& error) {
  log(LogLevel::warn, event,
      {{"code", to_string(error.code)},
       {"name", std::string_view(error.name)},
       {"detail", std::string_view(error.detail)}});
}

void Logger::flush() {
  if (sink_->logger) sink_->logger->flush();
}

std::unique_ptr<Logger> silent_logger() {
  return std::make_unique<Logger>(LogLevel::off, LogFormat::text);
}

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<int>(c));
        } else {
          out += c;
        }
    }
  }
  out += '"';
}

}  // namespace tessera::base
