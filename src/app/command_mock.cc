#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>

#include <fstream>
#include <iterator>

#include "app/commands.h"
#include "app/stop_signals.h"
#include "async/shards.h"
#include "mock/mock_server.h"

namespace tessera::app {
namespace {

using base::Result;

Result<std::string> read_script(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), {}};
  if (!file) {
    return base::fail(base::Code::invalid, "CONFIG_INVALID", "the script " + path + " cannot be read");
  }
  return text;
}

Result<mock::Price> read_price(const std::string& text) {
  mock::Price price;
  if (text.empty()) return price;
  const size_t slash = text.find('/');
  TESSERA_TRY(price.input, mock::parse_price(text.substr(0, slash)));
  TESSERA_TRY(price.output, mock::parse_price(slash == std::string::npos ? text : text.substr(slash + 1)));
  price.cached_input = price.input;
  return price;
}

Result<mock::MockOptions> mock_options(const MockArguments& arguments) {
  mock::MockOptions options;
  options.address = arguments.host == "localhost" ? "127.0.0.1" : arguments.host;
  options.port = arguments.port;
  options.keep_text = arguments.text;
  options.record = {.path = arguments.transcript, .keep_max = arguments.keep};
  options.directives = arguments.directives;
  TESSERA_TRY(options.price, read_price(arguments.price));
  if (!arguments.script.empty()) {
    TESSERA_TRY(const std::string text, read_script(arguments.script));
    TESSERA_TRY(options.script, mock::Script::parse(arguments.script, text));
  }
  // The command line overrules the script, as everywhere.
  if (arguments.seed) options.script.seed = arguments.seed;
  return options;
}

/// Every connection is a descriptor, and the usual limit of 1024 is soon reached.
void allow_many_connections() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

int mock_llm(const Invocation& invocation, const Surroundings& here) {
  auto options = mock_options(invocation.mock);
  if (!options) return report(here.terminal, options.error());
  StopSignals signals;
  allow_many_connections();
  const base::SystemClock clock;
  const std::string host = options->address;
  async::Shards shards(static_cast<size_t>(invocation.mock.threads));
  auto server = mock::MockServer::start(*std::move(options), shards, clock);
  if (!server) return report(here.terminal, server.error());
  const bool v6 = host.find(':') != std::string::npos;
  write_out(fmt::format("Tessera mock-llm listening on http://{}{}{}:{}\n", v6 ? "[" : "", host, v6 ? "]" : "",
                        (*server)->port()));
  (void)signals.wait();
  server->reset();
  shards.stop();
  return kExitOk;
}

}  // namespace tessera::app
