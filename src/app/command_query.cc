#include <fmt/format.h>

#include <boost/json.hpp>

#include "app/backend.h"
#include "app/commands.h"
#include "app/query_output.h"
#include "async/run_blocking.h"

namespace tessera::app {
namespace {

core::SearchMode mode_of(std::string_view word) {
  if (word == "dense") return core::SearchMode::dense;
  return word == "lexical" ? core::SearchMode::lexical : core::SearchMode::hybrid;
}

}  // namespace

int search(const Invocation& invocation, const Surroundings& here) {
  const auto loaded = load_settings(invocation, here);
  if (!loaded) return report(here.terminal, loaded.error());
  const config::Settings& settings = *loaded->settings;
  const auto log = make_logger(settings, here.terminal, false);
  const auto backend = open_backend(invocation, loaded->settings, *log);
  if (!backend) return report(here.terminal, backend.error());
  Search request;
  request.query = invocation.text;
  request.collection = invocation.collection;
  request.top_k = invocation.top_k.value_or(settings.search.top_k);
  request.mode = mode_of(invocation.mode.empty() ? settings.search.mode : invocation.mode);
  const auto answer = async::sync_wait((*backend)->search(std::move(request)));
  if (!answer) return report(here.terminal, answer.error());
  write_out(invocation.json ? search_json(*answer) + "\n" : search_text(*answer, here.terminal));
  return kExitOk;
}

int ask(const Invocation& invocation, const Surroundings& here) {
  const auto loaded = load_settings(invocation, here);
  if (!loaded) return report(here.terminal, loaded.error());
  const auto log = make_logger(*loaded->settings, here.terminal, false);
  const auto backend = open_backend(invocation, loaded->settings, *log);
  if (!backend) return report(here.terminal, backend.error());
  Question question;
  question.text = invocation.text;
  question.collection = invocation.collection;
  question.model = invocation.model;
  question.session_id = invocation.session_id;
  question.top_k = invocation.top_k.value_or(loaded->settings->chat.top_k);
  // A person watches the answer come; a program gets the checked one in a piece.
  const bool live = here.terminal.out_is_terminal && !invocation.json;
  const TokenPrinter print = [live](std::string_view token) {
    if (live) write_out(harmless(token));
  };
  const auto answer = async::sync_wait((*backend)->ask(std::move(question), print));
  if (!answer) {
    if (live) write_out("\n");
    return report(here.terminal, answer.error());
  }
  write_out(invocation.json ? answer_json(*answer) + "\n" : answer_text(*answer, here.terminal, live));
  return kExitOk;
}

}  // namespace tessera::app
