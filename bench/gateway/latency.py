#!/usr/bin/env python3
"""What a gateway adds to the latency of a chat completion: the median on one connection, and the 99th percentile under load.

    tools/build.sh release
    bench/gateway/latency.py [--quick] [--record] [--rounds N] [--seconds S] [--tessera PATH]

One connection: closed loop, prompts of 200 bytes; added is the gateway's median less that of the direct line in the same round.
Through a gateway the load's core falls asleep twice a request, on the direct line never, and on a virtual machine waking it takes
tens of microseconds; the second table keeps that core awake, so what is added is the gateway's own, its own waking included.
Under load: open loop at a constant rate on 64 connections, half of what the peer reaches in a closed loop on 64; a request's time
counts from the moment it was due, so that a gateway that falls behind cannot hide it. At each such rate the direct line, ours and
the peer run in turn; added is a run's 99th percentile less the direct line's of the same round. Who runs where: gateways.py.
"""
import statistics

import gateways
from gateways import load, median


def added(results, direct, quantile):
    values = [one["times"][quantile] - bare["times"][quantile] for one, bare in zip(results, direct)]
    return f"**{statistics.median(values):,.0f}** ({min(values):,.0f} to {max(values):,.0f})"


def one_connection(options, field, files, report, title):
    results = {one.name: [] for one in field.rows}
    for number in range(-1, options.rounds):
        for one in field.rows:
            result = load("closed", one, files[one.name], 1, options.seconds if number >= 0 else options.seconds / 3)
            if number >= 0:
                results[one.name].append(result)
    report(f"\n## {title}\n")
    report("| Gateway | p50 us | p99 us | Added p50 us (spread) | Added p99 us (spread) |\n|---|---|---|---|---|")
    direct = results[field.direct.name]
    for one in field.rows:
        own = results[one.name]
        more = ["", ""] if one is field.direct else [added(own, direct, "p50"), added(own, direct, "p99")]
        report(f"| {one.name} | {median(own, 'times', 'p50'):,.0f} | {median(own, 'times', 'p99'):,.0f} | {more[0]} | {more[1]} |")


def half_peak(options, field, files, peer, report):
    peak = max(load("closed", peer, files[peer.name], 64, options.seconds)["rate"] for _ in range(2))
    rate = max(1, round(peak / 2))
    rows = [field.direct, field.tessera] + ([peer] if peer is not field.tessera else [])
    results = {one.name: [] for one in rows}
    for number in range(options.rounds):
        for one in rows:
            result = load("open", one, files[one.name], 64, options.seconds, rate)
            if result["unfinished"] or result["failed"]:
                report(f"**{one.name} at {rate:,} requests/s: {result['unfinished']} without an answer, {result['failed']} failed.**\n")
            results[one.name].append(result)
    for one in rows:
        own = results[one.name]
        more = ["", ""] if one is field.direct else [added(own, results[field.direct.name], "p50"), added(own, results[field.direct.name], "p99")]
        report(f"| {peer.name}: {peak:,.0f} | {rate:,} | {one.name} | {median(own, 'times', 'p50'):,.0f} | {median(own, 'times', 'p99'):,.0f} | {more[0]} | {more[1]} |")


def main():
    options = gateways.options(__doc__, rounds=(3, 2, ""), seconds=(1.5, 0.5, "of a run"))
    report = gateways.heading(__file__, "Latency that a gateway adds", "Its first lines, and those of `gateways.py`, say how it measures.")
    with gateways.Field(gateways.start_upstream, report) as field:
        files = {one.name: one.requests(field.folder, "small", gateways.prompts(200)) for one in field.rows}
        one_connection(options, field, files, report, "One connection")
        with gateways.awake(gateways.LOAD_CPU):
            one_connection(options, field, files, report, "One connection, the load's core kept awake")
        report("\n## At half of a peer's peak, open loop, 64 connections\n")
        report("| Peak of, requests/s | Rate | Gateway | p50 us | p99 us | Added p50 us (spread) | Added p99 us (spread) |\n|---|---|---|---|---|---|---|")
        for peer in field.gateways[1:] + field.gateways[:1]:
            half_peak(options, field, files, peer, report)
    report("\nBars: added p50 on one connection 80 us, added p99 at half the peer's peak 1,000 us; goals 40 and 500.")


if __name__ == "__main__":
    main()
