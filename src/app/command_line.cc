#include <CLI/CLI.hpp>
#include <algorithm>

#include "app/command_models.h"
#include "app/invocation.h"
#include "config/table.h"
#include "mock/plan.h"

namespace tessera::app {
namespace {

constexpr const char* kFooter =
    "Examples:\n"
    "  tessera serve                                  start on http://127.0.0.1:8080, data in ./data\n"
    "  tessera ingest notes/ paper.pdf                take in a folder and a file\n"
    "  tessera search \"retry policy\"                  print the best passages\n"
    "  tessera ask \"How are payments retried?\"        answer with citations\n"
    "  OPENAI_API_KEY=... tessera serve               answer with a provider's model\n"
    "  tessera config show                            what is in force, and where it came from\n"
    "\n"
    "Every setting is a flag, too: --chunk.size 512 (see `tessera config reference`).\n"
    "Exit codes: 0 done, 1 failed, 2 wrong command line or configuration, 3 some documents failed.\n";

// Takes settings (--section.name VALUE, --section.name=VALUE) out of the arguments, so that a mistyped one is answered
// by the configuration with the nearest name.
std::vector<std::string> take_settings(const std::vector<std::string>& arguments, Invocation& into) {
  const auto is_boolean = [](std::string_view name) {
    const auto table = config::settings_table();
    return std::ranges::any_of(table, [name](const config::SettingInfo& info) {
      return info.kind == config::Kind::boolean && info.name() == name;
    });
  };
  std::vector<std::string> rest;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (argument == "--") {
      rest.insert(rest.end(), arguments.begin() + static_cast<ptrdiff_t>(i), arguments.end());
      break;
    }
    const size_t equals = argument.find('=');
    const std::string name = argument.substr(0, equals);
    if (!name.starts_with("--") || name.find('.') == std::string::npos) {
      rest.push_back(argument);
      continue;
    }
    std::string value = "true";
    const bool next_is_value = i + 1 < arguments.size() && !arguments[i + 1].starts_with("--");
    if (equals != std::string::npos) {
      value = argument.substr(equals + 1);
    } else if (next_is_value && !is_boolean(name.substr(2))) {
      value = arguments[++i];
    } else if (next_is_value && (arguments[i + 1] == "true" || arguments[i + 1] == "false")) {
      value = arguments[++i];
    } else if (!is_boolean(name.substr(2))) {
      value.clear();
    }
    into.flags.emplace_back(name.substr(2), std::move(value));
  }
  return rest;
}

void add_settings(CLI::App& command, Invocation& into, std::initializer_list<std::string_view> names) {
  command.add_option("-c,--config", into.config_path, "Configuration file (default: $TESSERA_CONFIG, ./tessera.yaml)")
      ->type_name("FILE");
  for (const config::SettingInfo& info : config::settings_table()) {
    if (info.flag.empty() || std::ranges::find(names, info.flag) == names.end()) continue;
    command
        .add_option_function<std::string>(
            "--" + std::string(info.flag),
            [&into, name = info.name()](const std::string& value) { into.flags.emplace_back(name, value); },
            std::string(info.help))
        ->type_name("VALUE");
  }
}

void add_query_options(CLI::App& command, Invocation& into) {
  add_settings(command, into, {"data", "log-level"});
  command.add_option("--server", into.server, "URL of a running server to ask, instead of opening the data directory")
      ->type_name("URL");
  command.add_option("--key", into.api_key, "The API key for that server (also: TESSERA_KEY)")->type_name("KEY");
  command.add_option("--collection", into.collection, "Collection (default: default)")->type_name("NAME");
  command.add_flag("--json", into.json, "Print JSON");
}

void add_query_commands(CLI::App& app, Invocation& into) {
  CLI::App* const ingest =
      app.add_subcommand("ingest", "Take in documents: files, folders, URLs, or - for standard input");
  ingest->add_option("path", into.paths, "What to take in")->required()->type_name("PATH...");
  add_query_options(*ingest, into);
  ingest->footer(
      "Files keep their identity by their path: the same file again is an update, an unchanged one is skipped.\n"
      "Folders are read with everything below them; hidden files and unknown kinds are passed over.\n"
      "Markdown, HTML, PDF, DOCX, text, CSV and JSON are understood.\n");
  ingest->callback([&into] { into.verb = Verb::ingest; });

  CLI::App* const search = app.add_subcommand("search", "Print the passages that answer a query best");
  search->add_option("query", into.text, "What to look for")->required()->type_name("QUERY");
  add_query_options(*search, into);
  search->add_option("-k,--top-k", into.top_k, "How many passages")->check(CLI::Range(1, 1000))->type_name("N");
  search->add_option("--mode", into.mode, "hybrid, dense or lexical")
      ->check(CLI::IsMember({"hybrid", "dense", "lexical"}))
      ->type_name("MODE");
  search->callback([&into] { into.verb = Verb::search; });

  CLI::App* const ask = app.add_subcommand("ask", "Answer a question from the documents, with citations");
  ask->add_option("question", into.text, "The question")->required()->type_name("QUESTION");
  add_query_options(*ask, into);
  ask->add_option("-k,--top-k", into.top_k, "How many passages the answer may rest on")
      ->check(CLI::Range(1, 100))
      ->type_name("N");
  ask->add_option("--model", into.model, "Model (default: chat.default_model)")->type_name("NAME");
  ask->add_option("--session", into.session_id, "Go on with this session")->type_name("ID");
  ask->callback([&into] { into.verb = Verb::ask; });
}

void add_key_door_options(CLI::App& command, Invocation& into) {
  add_settings(command, into, {"data", "log-level"});
  command
      .add_option("--server", into.server, "URL of a running server; default: the one on the data directory, if any")
      ->type_name("URL");
  command.add_option("--key", into.api_key, "A key with the scope admin, for a running server (also: TESSERA_KEY)")
      ->type_name("KEY");
  command.add_flag("--json", into.json, "Print JSON");
}

void add_key_commands(CLI::App& app, Invocation& into) {
  CLI::App* const keys = app.add_subcommand("keys", "Make, list and revoke API keys");
  keys->require_subcommand(1);
  keys->footer(
      "Without a running server the keys of every app are at hand: so the first one is made. A running server lets a\n"
      "key with the scope admin manage the keys of its own app.\n");
  KeyArguments& what = into.keys;
  const auto says = [&into](KeyVerb verb) {
    return [&into, verb] {
      into.verb = Verb::keys;
      into.keys.verb = verb;
    };
  };
  CLI::App* const create = keys->add_subcommand("create", "Make a key and print it, this once");
  add_key_door_options(*create, into);
  create->add_option("--app", what.app, "The app that it opens (default); apps never see each other's data")
      ->type_name("NAME");
  create->add_option("--name", what.name, "What people call it")->type_name("TEXT");
  create->add_option("--scopes", what.scopes, "Of chat, ingest, memory, agents, admin, metrics, or all (chat)")
      ->delimiter(',')
      ->type_name("LIST");
  create->add_option("--models", what.models, "The only chat models it may use (all)")
      ->delimiter(',')
      ->type_name("LIST");
  create->add_option("--rpm", what.requests_per_minute, "Requests a minute (no limit)")
      ->check(CLI::Range(int64_t{0}, int64_t{1'000'000'000}))
      ->type_name("N");
  create->add_option("--tpm", what.tokens_per_minute, "Tokens of chat models a minute (no limit)")
      ->check(CLI::Range(int64_t{0}, int64_t{1'000'000'000'000}))
      ->type_name("N");
  create->add_option("--expires", what.expires, "How long it lives: 90s, 15m, 12h, 30d (for ever)")->type_name("TIME");
  create->footer(
      "The key goes to standard output, everything else to standard error:\n"
      "  export OPENAI_API_KEY=$(tessera keys create --app phone --scopes chat,ingest --rpm 600)\n"
      "  tessera keys create --scopes all --name operator\n");
  create->callback(says(KeyVerb::create));

  CLI::App* const list = keys->add_subcommand("list", "Print the keys, without their secrets");
  add_key_door_options(*list, into);
  list->add_option("--app", what.app, "Of this app only")->type_name("NAME");
  list->callback(says(KeyVerb::list));

  CLI::App* const revoke = keys->add_subcommand("revoke", "Revoke a key, in force at once");
  revoke->add_option("key_id", what.key_id, "The key's id, as `tessera keys list` prints it")
      ->required()
      ->type_name("ID");
  add_key_door_options(*revoke, into);
  revoke->callback(says(KeyVerb::revoke));
}

void add_usage_command(CLI::App& app, Invocation& into) {
  CLI::App* const usage = app.add_subcommand("usage", "Print what calls of models cost, of every app");
  UsageArguments& what = into.usage;
  add_settings(*usage, into, {"data", "log-level"});
  usage->add_option("--by", what.by, "Of app, key, user, workflow, provider, model and day, with commas (app,model)")
      ->type_name("LIST");
  usage->add_option("--app", what.app, "Of this app only")->type_name("NAME");
  usage->add_option("--user", what.user, "Of this user only")->type_name("NAME");
  usage->add_option("--from", what.from, "From this day or moment, in UTC")->type_name("DAY");
  usage->add_option("--to", what.to, "Before this day or moment")->type_name("DAY");
  CLI::Option* const json = usage->add_flag("--json", into.json, "Print JSON, as GET /api/usage answers");
  usage->add_flag("--csv", what.csv, "Print CSV")->excludes(json);
  usage->footer(
      "Reads the database in the data directory, also beside a running server, whose last moments may be missing.\n"
      "  tessera usage --by app,day --from 2026-11-01\n"
      "  tessera usage --by user,model --app phone --csv\n");
  usage->callback([&into] { into.verb = Verb::usage; });
}

void add_reference_options(CLI::App& command, Invocation& into) {
  static constexpr std::tuple<const char*, ReferenceForm, const char*> kForms[] = {
      {"--markdown", ReferenceForm::markdown, "As the page docs/config.md"},
      {"--yaml", ReferenceForm::yaml, "As a commented tessera.yaml"},
      {"--metrics", ReferenceForm::metrics, "The metrics instead, as the page docs/metrics.md"},
      {"--openapi", ReferenceForm::openapi, "The HTTP contract instead, as OpenAPI"}};
  for (const auto& [flag, form, help] : kForms) {
    command.add_flag_callback(flag, [&into, chosen = form] { into.form = chosen; }, help);
  }
}

void add_config_commands(CLI::App& app, Invocation& into) {
  CLI::App* const config = app.add_subcommand("config", "Check and show the configuration");
  config->require_subcommand(1);
  CLI::App* const check = config->add_subcommand("check", "Say whether the configuration is right, and what is not");
  add_settings(*check, into, {"host", "port", "data", "log-level"});
  check->callback([&into] { into.verb = Verb::config_check; });
  CLI::App* const show = config->add_subcommand("show", "Print the settings in force and where each came from");
  add_settings(*show, into, {"host", "port", "data", "log-level"});
  show->add_flag("--json", into.json, "Print JSON");
  show->callback([&into] { into.verb = Verb::config_show; });
  CLI::App* const reference = config->add_subcommand("reference", "Print every setting with its default and meaning");
  add_reference_options(*reference, into);
  reference->callback([&into] { into.verb = Verb::config_reference; });
}

std::string mock_footer() {
  std::string text =
      "Point an OpenAI, Anthropic or Gemini client at the address that it prints. Every model exists.\n"
      "\n"
      "Directives: one may be given to every request with --do, to some by rules of a --script, and to one by the\n"
      "header `X-Mock: tokens=50; rate=20`, the query `?mock=tokens=50;rate=20`, the body's field \"mock\":\n"
      "{\"tokens\": 50} or the model's name mock/tokens-50+rate-20. What comes later in this list overrules.\n";
  for (const mock::DirectiveInfo& info : mock::directives()) {
    std::string left = "  " + std::string(info.name) + (info.value.empty() ? "" : " " + std::string(info.value));
    left.resize(std::max<size_t>(left.size() + 1, 24), ' ');
    text += left + std::string(info.help) + "\n";
  }
  text +=
      "DIST is a number or its spread: 200, 100..300, uniform(100,300), lognormal(200,0.5) by median and sigma, or\n"
      "lognormal(p50=200,p99=900).\n"
      "\n"
      "GET /mock/transcript and /mock/totals tell what it saw, /mock/rules how often each rule applied;\n"
      "POST /mock/reset starts over.\n"
      "\n"
      "Examples:\n"
      "  tessera mock-llm --do \"first=lognormal(300,0.5)\" --do rate=50 --do tokens=100..400\n"
      "  tessera mock-llm --port 0 --script faults.yaml --transcript seen.jsonl\n"
      "  curl -d '{\"model\": \"mock/429+retry-after-2\", \"messages\": [{\"role\": \"user\", \"content\": \"x\"}]}' "
      "\\\n"
      "    http://127.0.0.1:8089/v1/chat/completions\n";
  return text;
}

void add_mock_command(CLI::App& app, Invocation& into) {
  CLI::App* const mock =
      app.add_subcommand("mock-llm", "Play a model provider that answers, paces, counts and fails as told, for tests");
  MockArguments& what = into.mock;
  mock->add_option("--host", what.host, "Address to listen on (127.0.0.1)")->type_name("ADDRESS");
  mock->add_option("--port", what.port, "Port (8089); 0 takes a free one")->type_name("PORT");
  mock->add_option("--do", "A directive for every request; again for more")
      ->type_name("NAME=VALUE")
      ->take_all()
      ->each([&what](const std::string& text) {
        for (auto& directive : mock::parse_directives(text)) what.directives.push_back(std::move(directive));
      });
  mock->add_option("--script", what.script, "Rules, prices and defaults in a YAML or JSON file")->type_name("FILE");
  mock->add_option("--price", what.price,
                   "Dollars for a million tokens, INPUT/OUTPUT, of models the script has none for")
      ->type_name("IN/OUT");
  mock->add_option("--seed", what.seed, "Of everything random (1): the same requests, the same answers")
      ->type_name("N");
  mock->add_option("--transcript", what.transcript, "Append a JSON line for each request to this file")
      ->type_name("FILE");
  mock->add_flag("--text", what.text, "Keep the bodies of requests in the transcript, too");
  mock->add_option("--keep", what.keep, "Requests that /mock/transcript holds (10000)")->type_name("N");
  mock->add_option("--threads", what.threads, "Threads (1)")->check(CLI::Range(1, 64))->type_name("N");
  mock->footer(mock_footer());
  mock->callback([&into] { into.verb = Verb::mock_llm; });
}

}  // namespace

Invocation parse_command_line(const std::vector<std::string>& arguments) {
  Invocation result;
  std::vector<std::string> rest = take_settings(arguments, result);
  CLI::App app("Tessera: the backend of an LLM application in one program. Documents in, cited answers out.",
               "tessera");
  app.require_subcommand(0, 1);
  app.footer(kFooter);
  app.add_flag("--no-color", result.no_color, "No colours (also: the variable NO_COLOR)");
  bool version = false;
  app.add_flag("--version", version, "Print the version");
  app.fallthrough();

  CLI::App* const serve = app.add_subcommand("serve", "Run the server until it is told to stop (Ctrl-C, SIGTERM)");
  add_settings(*serve, result, {"host", "port", "data", "log-level"});
  serve->callback([&result] { result.verb = Verb::serve; });
  add_query_commands(app, result);
  add_config_commands(app, result);
  add_key_commands(app, result);
  add_usage_command(app, result);
  add_mock_command(app, result);
  add_model_commands(app, result);
  CLI::App* const about = app.add_subcommand("version", "Print the version");
  about->add_flag("--json", result.json, "Print JSON");
  about->callback([&result] { result.verb = Verb::version; });

  std::ranges::reverse(rest);  // CLI11 takes them from the back
  try {
    app.parse(rest);
  } catch (const CLI::CallForHelp&) {
    const CLI::App* deepest = &app;
    while (!deepest->get_subcommands().empty()) deepest = deepest->get_subcommands().front();
    result.verb = Verb::quit;
    result.message = deepest->help();
    return result;
  } catch (const CLI::ParseError& error) {
    result.verb = Verb::quit;
    result.exit_code = kExitUsage;
    result.message = std::string("tessera: ") + error.what() + "\nTry `tessera --help`.\n";
    return result;
  }
  if (version) result.verb = Verb::version;
  if (result.verb == Verb::quit) result.message = app.help();
  return result;
}

}  // namespace tessera::app
