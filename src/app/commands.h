#pragma once

#include "app/invocation.h"

namespace tessera::app {

// One function for each command; each returns the exit code.

/// Runs the server until SIGTERM, SIGINT or SIGHUP; a second signal ends it at once.
int serve(const Invocation& invocation, const Surroundings& here);
/// Takes files, directories, URLs and standard input into a collection.
int ingest(const Invocation& invocation, const Surroundings& here);
/// Prints the passages that match a query.
int search(const Invocation& invocation, const Surroundings& here);
/// Answers a question, streaming the answer.
int ask(const Invocation& invocation, const Surroundings& here);
/// Makes, lists and revokes API keys, in a stopped server's database or over a running one.
int keys(const Invocation& invocation, const Surroundings& here);
/// Prints what calls cost, of every app, from the database.
int usage(const Invocation& invocation, const Surroundings& here);
/// Prints the models that the configuration offers.
int models_list(const Invocation& invocation, const Surroundings& here);
/// Prints which local model and which settings suit this machine.
int models_suggest(const Invocation& invocation, const Surroundings& here);
/// Plays a model provider, for tests and load tests, until SIGTERM, SIGINT or SIGHUP.
int mock_llm(const Invocation& invocation, const Surroundings& here);
/// `config check|show|reference` and `version`.
int config_check(const Invocation& invocation, const Surroundings& here);
int config_show(const Invocation& invocation, const Surroundings& here);
int config_reference(const Invocation& invocation);
int print_version(const Invocation& invocation);
/// Prints help, or what is wrong with the command line.
int quit(const Invocation& invocation);

}  // namespace tessera::app
