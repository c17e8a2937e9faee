"""The report of the long calibration: one section per table in ``docs/calibration.md``, rewritten when it is run."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Final

from tests.calibration.cells import Row

ROLLOUTS: Final = frozenset({"T14", "T14q"})
TITLES: Final = {
    "T1": "no worse: false alarms from 1 to 20,000 requests a second, ramps, drift, ratios that move below 1",
    "T1b": "no worse: false aborts of 10,000 releases, both ways to an abort",
    "T2": "no worse, errors in clumps",
    "T3": "no worse, pods that differ by 0.2",
    "T3b": "no worse, noise learned while the release runs, or pods hidden",
    "T6": "delay until a freeze, over the test that knows both rates",
    "T6b": "delay until an abort, over the test that knows both rates",
    "T8": "faults that begin half way",
    "T9": "exactly at the limit: false promotions",
    "T9b": "requests until a healthy release is proved",
    "T10": "twenty questions in one release",
    "T12": "what the forecast says, and what came",
    "T14": "whole rollouts",
    "T14q": "whole rollouts of a quiet service (1 request a second, 1 %): what it may choose",
    "T14o": "what no comparison of two sides can exceed: healthy releases promoted within an hour",
    "split": "the sample-ratio check",
    "latency-null": "latencies, no slower: false alarms",
    "latency-power": "latencies: what is found within the hour",
    "latency-native": "native histograms",
    "latency-promote": "latencies: what is promoted",
    "latency-summaries": "published percentiles",
    "G1": "gauges, equal: false alarms by fleet and noise",
    "G2": "gauges, equal: gaps, replaced pods, other levels",
    "G3": "gauges: what is found within the hour",
    "G4": "gauges: what is promoted",
    "V1": "series without counts, asked every two minutes: beside, noise not learned",
    "V2": "series without counts, beside, noise learned",
    "V3": "series without counts, before and after",
    "V4": "series without counts: spikes, and very many metrics",
    "D1": "no baseline, errors before and after: false alarms",
    "D2": "no baseline, errors before and after: what is found",
    "D3": "no baseline, events over the time of pods before and after: false alarms",
    "D4": "no baseline, typical requests of native histograms before and after: false alarms",
    "W1": "young pods",
}
"""Every table, in the order of the report."""
DECISIONS: Final = {"T3": "[three stable pods](decisions/0009-three-stable-pods.md)"}
"""The pages that say why a table misses what it misses."""


def number(value: float) -> str:
    """Return a figure for a table, empty where there is none."""
    return "" if math.isnan(value) else f"{value:.4g}"


def within(rows: Sequence[Row]) -> str:
    """Return how many of the figures that are held to a target reached it."""
    held = [row for row in rows if not math.isnan(row.target)]
    if not held:
        return "held to nothing"
    documented = sum(row.documented and not row.passed for row in held)
    more = f", {documented} missed as documented" if documented else ""
    return f"{sum(row.passed for row in held)} of {len(held)} figures within target{more}"


def section(table: str, rows: Sequence[Row], command: str, seeds: dict[str, int]) -> str:
    """Return the section of one table: what it is, the command that made it, its figures."""
    named = ", ".join(f"{name} {seed}" for name, seed in seeds.items())
    body = rollouts(rows) if table in ROLLOUTS else figures(rows)
    head = f"### {table}: {TITLES[table]}"
    made = f"`{command}` (seeds {named}): {within(rows)}."
    if table in DECISIONS and any(row.documented and not row.passed for row in rows):
        made += f"\n\nThe miss: {DECISIONS[table]}."
    return f"{marker(table)}\n{head}\n\n{made}\n\n{body}\n{marker(table, end=True)}\n"


def figures(rows: Sequence[Row]) -> str:
    """Return rows as a Markdown table."""
    lines = ["| cell | figure | target | reached | |", "|---|---|---|---|---|"]
    for r in rows:
        remark = f"{r.verdict}; {r.remark}" if r.remark else r.verdict
        lines.append(f"| {r.cell} | {r.figure} | {number(r.target)} | {number(r.reached)} | {remark} |")
    return "\n".join(lines)


def rollouts(rows: Sequence[Row]) -> str:
    """Return whole rollouts with a line per service, ours beside the threshold gate, and what is held below."""
    found = {(row.cell, row.figure): row.reached for row in rows}
    cells = list(dict.fromkeys(row.cell for row in rows))

    def share(cell: str, figure: str) -> str:
        value = found.get((cell, figure))
        return "–" if value is None else f"{100 * value:.0f}"

    def plain(cell: str, figure: str) -> str:
        value = found.get((cell, figure), math.nan)
        return "–" if math.isnan(value) else f"{value:.2g}" if value < 10 else f"{value:.0f}"

    lines = [
        "| base, requests a second | healthy: promoted in 1 h / 4 h, median | RR 1.5 promoted "
        "| RR 2 promoted / aborted (median) | RR 3 | RR 10 | extra bad events, ours / threshold gate: RR 2; 3; 10 "
        "| threshold gate: healthy aborted; promoted RR 1.5 / 2 / 3 / 10 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for cell in cells:
        worse = [
            f"{share(cell, f'{w}: promoted')} / {share(cell, f'{w}: aborted')} %"
            f" ({plain(cell, f'{w}: aborted, median min')} min)"
            if (cell, f"{w}: promoted") in found
            else "–"
            for w in ("RR 2", "RR 3", "RR 10")
        ]
        mild = f"{share(cell, 'RR 1.5: promoted')} %" if (cell, "RR 1.5: promoted") in found else "–"
        harm = "; ".join(
            f"{plain(cell, f'{w}: extra bad events')} / {plain(cell, f'threshold gate, {w}: extra bad events')}"
            for w in ("RR 2", "RR 3", "RR 10")
        )
        healthy = found.get((cell, "threshold gate, healthy: promoted"))
        others = [share(cell, f"threshold gate, {w}: promoted") for w in ("RR 1.5", "RR 2", "RR 3", "RR 10")]
        gate = "–" if healthy is None else f"{100 * (1 - healthy):.0f} %; {' / '.join(others)} %"
        lines.append(
            f"| {cell} | {share(cell, 'healthy: promoted in 1 h')} / {share(cell, 'healthy: promoted')} %,"
            f" {plain(cell, 'healthy: promoted, median min')} min | {mild} "
            f"| {' | '.join(worse)} | {harm} | {gate} |"
        )
    held = [row for row in rows if not math.isnan(row.target)]
    return "\n".join([*lines, "", figures(held)] if held else lines)


def marker(table: str, *, end: bool = False) -> str:
    """Return the line that begins or ends the section of a table."""
    return f"<!-- {'end of ' if end else ''}{table} -->"


def replaced(text: str, table: str, written: str) -> str:
    """Return the report with the section of one table replaced, or put before that of the next one that it has."""
    pattern = re.compile(f"{re.escape(marker(table))}.*?{re.escape(marker(table, end=True))}\n", re.DOTALL)
    if pattern.search(text):
        return pattern.sub(lambda _: written, text)
    order = list(TITLES)
    later = [place for name in order[order.index(table) + 1 :] if (place := text.find(marker(name))) >= 0]
    if not later:
        return f"{text.rstrip()}\n\n{written}"
    return f"{text[: later[0]]}{written}\n{text[later[0] :]}"
