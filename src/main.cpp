#include <csignal>
#include <string>
#include <vector>

#include "app/commands.h"

// The commands of Tessera. What each does is in src/app/command_*.cc; the parts that a server is made of, and the order
// they start in, are in src/app/engine.cc.
int main(int argc, char** argv) {
  using namespace tessera::app;
  // A write beyond a file size limit is an error of that write (STORAGE_FULL), not the end of the process.
  std::signal(SIGXFSZ, SIG_IGN);
  Invocation invocation = parse_command_line(std::vector<std::string>(argv + 1, argv + argc));
  Surroundings here{.environment = tessera::config::process_environment(), .terminal = {}};
  here.terminal = Terminal::of_process(here.environment);
  complete(invocation, here.environment);
  if (invocation.no_color) here.terminal.colour = false;

  switch (invocation.verb) {
    case Verb::serve:
      return serve(invocation, here);
    case Verb::ingest:
      return ingest(invocation, here);
    case Verb::search:
      return search(invocation, here);
    case Verb::ask:
      return ask(invocation, here);
    case Verb::config_check:
      return config_check(invocation, here);
    case Verb::config_show:
      return config_show(invocation, here);
    case Verb::config_reference:
      return config_reference(invocation);
    case Verb::keys:
      return keys(invocation, here);
    case Verb::usage:
      return usage(invocation, here);
    case Verb::models_list:
      return models_list(invocation, here);
    case Verb::models_suggest:
      return models_suggest(invocation, here);
    case Verb::mock_llm:
      return mock_llm(invocation, here);
    case Verb::version:
      return print_version(invocation);
    case Verb::quit:
      return quit(invocation);
  }
}
