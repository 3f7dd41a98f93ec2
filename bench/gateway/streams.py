#!/usr/bin/env python3
"""Streams through a gateway: time to the first token, the pace of thousands at once, and what a very long prompt does to them.

    tools/build.sh release
    bench/gateway/streams.py [--quick] [--record] [--seconds S] [--streams N...] [--tessera PATH]

The upstream is `tessera mock-llm`, which keeps absolute due times and writes into each token its number and when it was sent. First
token: one connection, streams of one token, in turn; added is the median less that of the direct line. Pace: streams begun within a
second, 20 events/s each; from 1.5 s on, "delay" is from an event's stamp to its arrival, "gap" how much longer the pause between two
events was for the client than at the mock (0 when shorter). An event is lost when its number never comes, merged when two tokens
come in one event. Long prompt: the pace of 100 streams without and with two requests a second of 100,000 tokens (400 KB) beside
them. Who runs where: gateways.py; the mock shares the load's core, so the direct line's own delays are in every row.
"""
import gateways
from gateways import load, median

LARGE_BYTES, LARGE_RATE = 400_000, 2


def stream_bodies(tokens, count=997):
    return gateways.prompts(200, count, stream=True, max_completion_tokens=tokens)


def first_token(options, field, report):
    files = {one.name: one.requests(field.folder, "one-token", stream_bodies(1)) for one in field.rows}
    results = {one.name: [] for one in field.rows}
    for number in range(-1, options.rounds):
        for one in field.rows:
            result = load("closed", one, files[one.name], 1, options.brief if number >= 0 else options.brief / 3)
            if number >= 0:
                results[one.name].append(result)
    report("## Time to the first token, one connection\n")
    report("| Gateway | p50 us | p99 us | Added p50 us (spread) |\n|---|---|---|---|")
    direct = results[field.direct.name]
    for one in field.rows:
        own = results[one.name]
        values = sorted(a["first"]["p50"] - b["first"]["p50"] for a, b in zip(own, direct) if a["first"] and b["first"])
        more = "" if one is field.direct or not values else f"**{values[len(values) // 2]:,.0f}** ({values[0]:,.0f} to {values[-1]:,.0f})"
        report(f"| {one.name} | {median(own, 'first', 'p50'):,.0f} | {median(own, 'first', 'p99'):,.0f} | {more} |")


def ms(result, kind, quantile):
    return f"{result[kind][quantile] / 1000:,.2f}" if result[kind] else "none"


def paced(field, streams, seconds, rounds, report):
    """The slow peers run once; each row tells the run of the median gap."""
    tokens = int(seconds * 20)
    files = {one.name: one.requests(field.folder, f"paced-{tokens}", stream_bodies(tokens)) for one in field.rows}
    fast = [*field.gateways[:2], field.direct]
    results = {one.name: [] for one in field.rows}
    for number in range(rounds):
        for one in field.rows if number == 0 else fast:
            results[one.name].append(load("streams", one, files[one.name], streams, seconds))
    report(f"\n## {streams:,} streams of 20 events/s, {seconds:.0f} s\n")
    report("| Gateway | Runs | Events of those expected | Lost | Merged | Broken streams | Gap p50 ms | Gap p99 ms (spread) | Delay p50 ms | Delay p99 ms | Processor us an event | Resident MB |")
    report("|---|---|---|---|---|---|---|---|---|---|---|---|")
    whole = True
    for one in field.rows:
        runs = sorted(results[one.name], key=lambda run: run["gap"]["p99"] if run["gap"] else float("inf"))
        result, broken = runs[len(runs) // 2], max(run["unfinished"] + run["failed"] for run in runs)
        events, lost, merged = min(run["events"] for run in runs), max(run["lost"] for run in runs), max(run["merged"] for run in runs)
        if one is field.tessera:
            whole = events == streams * tokens and not (lost or merged or broken)
        cpu, memory = ("", "") if one is field.direct or not result["events"] else (f"{result['cpu_seconds'] * 1e6 / max(1, result['events']):.1f}", f"{one.resident_mb():.0f}")
        report(f"| {one.name} | {len(runs)} | {events / (streams * tokens):.1%} | {lost} | {merged} | {broken} | {ms(result, 'gap', 'p50')} | "
               f"{ms(result, 'gap', 'p99')} ({ms(runs[0], 'gap', 'p99')} to {ms(runs[-1], 'gap', 'p99')}) | {ms(result, 'delay', 'p50')} | {ms(result, 'delay', 'p99')} | {cpu} | {memory} |")
    report(f"\n{'Ours: no event lost or merged.' if whole else '**Ours: not every event arrived by itself.**'}")


def long_prompt(options, field, report):
    seconds, streams = options.seconds, 100
    report(f"\n## A prompt of 100,000 tokens beside {streams} streams, {LARGE_RATE} a second\n")
    report("| Gateway | Delay p99 ms alone | Delay p99 ms beside | x alone | Gap p99 ms alone | Gap p99 ms beside | Long prompt answered, p50 ms |\n|---|---|---|---|---|---|---|")
    for one in field.rows:
        tokens = int(seconds * 20)
        small = one.requests(field.folder, f"paced-{tokens}", stream_bodies(tokens))
        large = one.requests(field.folder, "large", gateways.prompts(LARGE_BYTES, 8, max_completion_tokens=1))
        alone, beside = [], []
        for _ in range(options.long_rounds):
            alone.append(load("streams", one, small, streams, seconds))
            beside.append(load("streams", one, small, streams, seconds, large, LARGE_RATE))
        figures = [median(runs, kind, "p99") / 1000 for kind in ("delay", "gap") for runs in (alone, beside)]
        report(f"| {one.name} | {figures[0]:.2f} | {figures[1]:.2f} | {figures[1] / figures[0]:.2f} | {figures[2]:.2f} | {figures[3]:.2f} | "
               f"{median(beside, 'large', 'p50') / 1000:.1f} |")


def main():
    options = gateways.options(__doc__, rounds=(3, 2, "of first tokens"), brief=(1.0, 0.4, "seconds of a run of first tokens"), seconds=(8.0, 4.0, "of a stream"),
                               streams=([100, 2000], [100, 500], "at once"), paced_rounds=(3, 1, "of paced streams"), long_rounds=(1, 1, "with and without long prompts"))
    report = gateways.heading(__file__, "Streams through a gateway", "Its first lines, and those of `gateways.py`, say how it measures.")
    with gateways.Field(lambda: gateways.start_mock(text="stamp", rate=20, tokens=100000), report) as field:
        first_token(options, field, report)
        for streams in options.streams:
            paced(field, streams, options.seconds, options.paced_rounds, report)
        long_prompt(options, field, report)
    report("\nBars: first token 1 ms later; at 2,000 streams gap p99 2 ms, nothing lost or merged; a long prompt raises the p99 of streams by 20 % at most. Goals: 0.3 ms, 1 ms, 10 %.")


if __name__ == "__main__":
    main()
