#!/usr/bin/env python3
"""Chat completions through a gateway on one core: requests a second, their latency and the processor time of each.

    tools/build.sh release
    bench/gateway/requests.py [--quick] [--record] [--rounds N] [--seconds S] [--connections N...] [--tessera PATH]

Closed loop: 1, 10 and 64 kept-alive connections, each sending its next request when it is answered; prompts of 200 bytes and of
10 KB, 997 different ones in turn, so nothing is shared or cached; every request is seen to reach the upstream (it counts). The
answer is a recorded chat completion of 754 bytes. Rounds in turn after one that does not count. Who runs where, and with which
features: gateways.py. The upstream and the load share a core: near "direct" they are what limits, so read the processor time
beside it: user and system time of the gateway's processes for one request, which a noisy machine disturbs least.
"""
import gateways
from gateways import call, load, median, ratio

CELLS = "| {name} | {rate:,.0f} | {cpu} | {p50:,.0f} | {p99:,.0f} | {faster} | {dearer} |"


def measure(options, field, size, connections, report):
    results = {one.name: [] for one in field.rows}
    files = {one.name: one.requests(field.folder, f"prompt-{size}", gateways.prompts(size)) for one in field.rows}
    for number in range(-1, options.rounds):
        for one in field.rows:
            seen = int(call(field.direct.url + "/seen", {}, method="GET"))
            result = load("closed", one, files[one.name], connections, options.seconds if number >= 0 else options.seconds / 3)
            reached = int(call(field.direct.url + "/seen", {}, method="GET")) - seen
            if reached != result["count"] or result["failed"]:
                report(f"**{one.name}: of {result['count'] + result['failed']} requests {result['failed']} failed and {reached} reached the upstream. {result['failure']}**\n")
            if number >= 0:
                results[one.name].append(result)
    report(f"\n## {connections} connection{'s' if connections > 1 else ''}, prompts of {size:,} bytes\n")
    report("| Gateway | Requests/s | Processor us a request | p50 us | p99 us | Requests/s of ours x (spread) | Processor time x ours (spread) |")
    report("|---|---|---|---|---|---|---|")
    ours = results[field.tessera.name]
    for one in field.rows:
        own = results[one.name]
        bare = one is field.direct
        report(CELLS.format(name=one.name, rate=median(own, "rate"), cpu="" if bare else f"{median(own, 'cpu_us'):,.1f}",
                            p50=median(own, "times", "p50"), p99=median(own, "times", "p99"),
                            faster=ratio([(b["rate"], a["rate"]) for a, b in zip(ours, own)]),
                            dearer="" if bare else ratio([(a["cpu_us"], b["cpu_us"]) for a, b in zip(ours, own)])))


def main():
    options = gateways.options(__doc__, rounds=(3, 2, "that count"), seconds=(1.2, 0.5, "of a round"),
                               connections=([1, 10, 64], [1, 64], ""), sizes=([200, 10000], [200, 10000], "bytes of a prompt"))
    report = gateways.heading(__file__, "Requests through a gateway", "Its first lines, and those of `gateways.py`, say how it measures.")
    with gateways.Field(gateways.start_upstream, report) as field:
        for size in options.sizes:
            for connections in options.connections:
                measure(options, field, size, connections, report)
    report("\nBars: requests/s 15 x Portkey, 2.5 x Bifrost, 50 x LiteLLM, 0.4 x nginx; goals 25, 4, 100, 0.6.")


if __name__ == "__main__":
    main()
