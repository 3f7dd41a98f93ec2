#include "app/invocation.h"

#include <fmt/format.h>

namespace tessera::app {

void complete(Invocation& invocation, const config::Environment& environment) {
  if (!invocation.api_key.empty()) return;
  if (const auto found = environment.find("TESSERA_KEY"); found != environment.end())
    invocation.api_key = found->second;
}

base::Result<config::Loaded> load_settings(const Invocation& invocation, const Surroundings& here) {
  config::Sources sources;
  TESSERA_TRY(sources.file, config::find_file(invocation.config_path, here.environment));
  sources.environment = here.environment;
  sources.environment.erase("TESSERA_KEY");  // the command line's, no setting (complete())
  sources.flags = invocation.flags;
  return config::load(sources);
}

std::unique_ptr<base::Logger> make_logger(const config::Settings& settings, const Terminal& terminal, bool server) {
  using base::LogFormat;
  using base::LogLevel;
  static constexpr std::pair<std::string_view, LogLevel> kLevels[] = {{"debug", LogLevel::debug},
                                                                      {"info", LogLevel::info},
                                                                      {"warn", LogLevel::warn},
                                                                      {"error", LogLevel::error},
                                                                      {"off", LogLevel::off}};
  LogLevel level = LogLevel::info;
  for (const auto& [word, value] : kLevels) {
    if (settings.log.level == word) level = value;
  }
  // A command that prints an answer does not want the server's ordinary news in between.
  if (!server && level == LogLevel::info) level = LogLevel::warn;
  const bool text = settings.log.format == "text" || (settings.log.format == "auto" && terminal.err_is_terminal);
  return std::make_unique<base::Logger>(level, text ? LogFormat::text : LogFormat::json);
}

int report(const Terminal& terminal, const base::Error& error) {
  Terminal err = terminal;
  err.colour = terminal.colour && terminal.err_is_terminal;
  if (error.name == "CONFIG_INVALID") {
    write_err(fmt::format("{} the configuration is wrong:\n{}\n", styled(err, Style::red, "tessera:"),
                          harmless(error.message)));
    return kExitUsage;
  }
  std::string text = fmt::format("{} {}\n", styled(err, Style::red, "tessera:"), harmless(error.message));
  if (!error.detail.empty()) text += fmt::format("  {}\n", harmless(error.detail));
  text += styled(err, Style::dim, fmt::format("  {}", error.name)) + "\n";
  write_err(text);
  const bool configuration = error.name.starts_with("CONFIG_");
  return configuration ? kExitUsage : kExitFailure;
}

}  // namespace tessera::app
