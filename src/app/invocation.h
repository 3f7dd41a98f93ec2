#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "app/terminal.h"
#include "base/log.h"
#include "config/load.h"

namespace tessera::app {

/// How a command ends; part of the contract with scripts.
enum ExitCode : int {
  kExitOk = 0,
  kExitFailure = 1,
  kExitUsage = 2,   ///< the command line or the configuration is wrong
  kExitPartly = 3,  ///< some of several documents failed
};

enum class Verb {
  serve,
  ingest,
  search,
  ask,
  config_check,
  config_show,
  config_reference,
  keys,
  usage,
  mock_llm,
  models_list,
  models_suggest,
  version,
  quit
};

/// Which reference is printed, and how.
enum class ReferenceForm { text, markdown, yaml, metrics, openapi };

/// What `mock-llm` was asked for, as written.
struct MockArguments {
  std::string host = "127.0.0.1";
  uint16_t port = 8089;
  int64_t threads = 1;
  std::optional<uint64_t> seed;
  std::string script;
  std::string transcript;
  bool text = false;
  size_t keep = 10'000;
  std::string price;
  std::vector<std::pair<std::string, std::string>> directives;
};

/// What `keys` was asked for, as written.
enum class KeyVerb { create, list, revoke };
struct KeyArguments {
  KeyVerb verb = KeyVerb::list;
  std::string key_id;
  std::string app;
  std::string name;
  std::vector<std::string> scopes = {"chat"};
  std::vector<std::string> models;
  int64_t requests_per_minute = 0;
  int64_t tokens_per_minute = 0;
  std::string expires;
};

/// What `usage` was asked for, as written.
struct UsageArguments {
  std::string by = "app,model";
  std::string app;
  std::string user;
  std::string from;
  std::string to;
  bool csv = false;
};

/// What `models suggest` was told.
struct SuggestArguments {
  int64_t users = 1;
  int64_t cores = 0;      ///< 0: this machine's
  int64_t memory_gb = 0;  ///< 0: this machine's
  bool gpu = false;
  bool fast = false;
  bool accurate = false;
  bool yaml = false;
};

/// A parsed command line. `flags` are settings, by dotted name.
struct Invocation {
  Verb verb = Verb::quit;
  int exit_code = kExitOk;  ///< of quit: help was asked for, or the command line is wrong
  std::string message;      ///< of quit
  std::string config_path;
  std::vector<std::pair<std::string, std::string>> flags;
  bool json = false;
  bool no_color = false;
  std::string server;   ///< URL of a running server; empty: the one that owns the data directory, else none
  std::string api_key;  ///< shown to a server; TESSERA_KEY when not given
  std::vector<std::string> paths;
  std::string text;  ///< the query or question
  std::string collection = "default";
  std::optional<int64_t> top_k;
  std::string mode;
  std::string model;
  std::string session_id;
  ReferenceForm form = ReferenceForm::text;
  MockArguments mock;
  SuggestArguments suggest;
  KeyArguments keys;
  UsageArguments usage;
};

/// Parses the arguments after the program's name. Every setting is accepted as --section.name, some also by a short
/// flag. Never fails: a wrong command line is `quit` with kExitUsage and a message.
Invocation parse_command_line(const std::vector<std::string>& arguments);

/// What a command is given besides its invocation.
struct Surroundings {
  config::Environment environment;
  Terminal terminal;
};

/// Takes from the environment what the command line leaves out and no setting names: TESSERA_KEY.
void complete(Invocation& invocation, const config::Environment& environment);

/// The settings in force for an invocation: file, environment, flags.
base::Result<config::Loaded> load_settings(const Invocation& invocation, const Surroundings& here);

/// The logger that the settings ask for, with another level for commands that are not a server.
std::unique_ptr<base::Logger> make_logger(const config::Settings& settings, const Terminal& terminal, bool server);

/// Says on standard error what went wrong, and what to do; returns the exit code for it.
int report(const Terminal& terminal, const base::Error& error);

}  // namespace tessera::app
