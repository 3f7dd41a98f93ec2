#include "llm/providers/provider_client.h"
#include "llm/providers/relay_answer.h"

namespace tessera::llm {
namespace {

constexpr base::Millis kEndMax{20};

}  // namespace

core::Task<base::Result<>> relay_events(const ProviderClient& client, const core::RequestContext& context,
                                        wire::ClientStream& body, RelayWatch watch, RelayOutput output) {
  RelayStream events(watch, output.report);
  while (!events.done()) {
    auto bytes = co_await body.next();
    const bool ended = !bytes || !*bytes;
    // A stream that is cut between its last word and "[DONE]" is whole.
    if (!bytes && !events.complete()) co_return std::unexpected(client.broken(context, std::move(bytes).error()));
    const std::string_view whole = ended ? events.finish() : events.feed(**std::move(bytes));
    if (!whole.empty()) {
      output.report.started = events.answering();
      TESSERA_CO_CHECK(co_await output.sink->on_events(whole));
    }
    if (events.error()) {
      if (events.error()->name != "STREAM_ENDED") co_return std::unexpected(*events.error());
      co_return std::unexpected(client.broken(context, *events.error()));
    }
    if (ended) co_return base::Result<>{};
  }
  // The end of the response, mostly there already, keeps the connection usable for the next request.
  body.set_idle_timeout(kEndMax);
  (void)co_await body.next();
  co_return base::Result<>{};
}

}  // namespace tessera::llm
