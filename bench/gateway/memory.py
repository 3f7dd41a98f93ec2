#!/usr/bin/env python3
"""Resident memory of a gateway while 64 connections keep it as busy as they can.

    tools/build.sh release
    bench/gateway/memory.py [--quick] [--record] [--minutes 10] [--peer-minutes 0.3] [--tessera PATH]

Closed loop, prompts of 200 bytes, one gateway after the other, each with all its processes; the peers for a shorter time. "Later
half" is the growth from the middle to the end: 0 when flat. Who runs where, and with which features: gateways.py.
"""
import concurrent.futures
import time

import gateways
from gateways import load


def watch(gateway, requests, seconds):
    """Pairs of the share of the time and the resident MB then, and what the load did."""
    samples = []
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        begin = time.monotonic()
        done = pool.submit(load, "closed", gateway, requests, 64, seconds)
        while not done.done():
            samples.append(((time.monotonic() - begin) / seconds, gateway.resident_mb()))
            time.sleep(min(1, seconds / 100))
        return samples, done.result()


def at(samples, share):
    return min(samples, key=lambda one: abs(one[0] - share))[1]


def main():
    options = gateways.options(__doc__, minutes=(10.0, 1.0, "for ours"), peer_minutes=(0.3, 0.2, "for each other"))
    report = gateways.heading(__file__, "Resident memory under load", "Its first lines, and those of `gateways.py`, say how it measures.")
    report("| Gateway | Minutes | Requests | MB before | After 10 % | Half | End | Most | Later half, MB |\n|---|---|---|---|---|---|---|---|---|")
    with gateways.Field(gateways.start_upstream, report) as field:
        for one in field.gateways:
            minutes = options.minutes if one is field.tessera else options.peer_minutes
            before = one.resident_mb()
            samples, result = watch(one, one.requests(field.folder, "small", gateways.prompts(200)), minutes * 60)
            figures = [before, *(at(samples, share) for share in (0.1, 0.5, 1)), max(size for _, size in samples)]
            report(f"| {one.name} | {minutes:g} | {result['count']:,} | " + " | ".join(f"{value:.1f}" for value in figures) + f" | {figures[3] - figures[2]:+.1f} |")
    report("\nBar: 60 MB after 10 minutes, flat; goal 30.")


if __name__ == "__main__":
    main()
