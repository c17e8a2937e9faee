"""What a policy would do with many invented releases: by effect, as a document and as a table."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from analysis import words
from analysis.honesty import share_bounds
from analysis.policy import Policy
from analysis.types import Json
from webhook.schema.report import finite
from webhook.simulation.played import Ended
from webhook.simulation.world import World

COLUMNS: Final = 100
MOSTLY: Final = 0.8
"""Share of releases that must be caught for an effect to count as detectable."""
HOUR: Final = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """All releases of one effect."""

    effect: float
    ended: tuple[Ended, ...]

    def count(self, outcome: str) -> int:
        """Return how many ended so."""
        return sum(one.outcome == outcome for one in self.ended)

    def share(self, outcome: str) -> float:
        """Return which part of them ended so."""
        return self.count(outcome) / len(self.ended)

    def seconds(self, outcome: str) -> float | None:
        """Return the median time to an outcome over those that had it, None if none had."""
        times = [one.seconds for one in self.ended if one.outcome == outcome]
        return median(times) if times else None

    @property
    def frozen(self) -> float:
        """Return which part was ever worse at freezing odds."""
        return sum(one.frozen for one in self.ended) / len(self.ended)

    @property
    def harmed(self) -> float:
        """Return the mean of extra bad events until the end."""
        return sum(one.harmed for one in self.ended) / len(self.ended)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What was simulated, and what came of it; ``hit`` is the question that the harm was done to."""

    policy: Policy
    world: World
    hit: str
    rows: tuple[Row, ...]
    left_out: tuple[str, ...] = ()

    @property
    def healthy(self) -> Row | None:
        """Return the releases that change nothing, None if they were not asked for."""
        return next((row for row in self.rows if row.effect == 1), None)

    def smallest(self, caught: str) -> float | None:
        """Return the smallest harm that is ``aborted``, or ``stopped`` (not promoted), in at least four of five."""
        for row in sorted(self.rows, key=lambda one: one.effect):
            share = row.share("aborted") if caught == "aborted" else 1 - row.share("promoted")
            if row.effect > 1 and share >= MOSTLY:
                return row.effect
        return None


def document(found: Forecast) -> dict[str, Json]:
    """Return all of it as strict JSON."""
    healthy, world = found.healthy, found.world
    return dict(
        finite(
            {
                "policy": found.policy.label,
                "question": found.hit,
                "world": {
                    "requests_per_second": world.rps, "bad_share": world.share, "weights": list(world.weights),
                    "pods": world.pods, "canary_pods": world.canary_pods, "replica_effect": world.sd,
                    "dispersion": world.dispersion, "median_latency_seconds": world.median,
                    "look_seconds": world.look, "duration_seconds": world.duration,
                    "history_seconds": world.history, "seed": world.seed,
                },
                "effects": [_row(row) for row in found.rows],
                "healthy": None if healthy is None else {
                    "without_a_human": healthy.share("promoted"),
                    "within_an_hour": _within(healthy, HOUR),
                    "false_aborts": healthy.share("aborted"),
                    "false_aborts_bounds": list(share_bounds(healthy.count("aborted"), len(healthy.ended))),
                    "promised_aborts": found.policy.alpha.abort,
                },
                "smallest_effect": {"aborted": found.smallest("aborted"), "stopped": found.smallest("stopped")},
                "left_out": list(found.left_out),
            }
        )
    )  # fmt: skip


def _row(row: Row) -> Mapping[str, Json]:
    return {
        "effect": row.effect,
        "releases": len(row.ended),
        **{outcome: row.share(outcome) for outcome in ("promoted", "aborted", "held")},
        "frozen": row.frozen,
        "seconds_to_promote": row.seconds("promoted"),
        "seconds_to_abort": row.seconds("aborted"),
        "extra_bad_events": row.harmed,
    }


def _within(row: Row, seconds: float) -> float:
    return sum(one.outcome == "promoted" and one.seconds <= seconds for one in row.ended) / len(row.ended)


def render(found: Forecast) -> str:
    """Return all of it as text."""
    world = found.world
    steps = ", ".join(f"{100 * weight:g}" for weight in world.weights)
    traffic = f"{words.number(world.rps)} {'request' if world.rps == 1 else 'requests'} a second"
    told = (
        f"{found.policy.label} at {traffic}, {words.percent(world.share)} of them bad, {world.pods} pods, "
        f"over {steps} % and all; {len(found.rows[0].ended)} releases of each kind, "
        f"at most {words.duration(world.duration)}; harm done to {found.hit}"
    )
    rows = [*_wrapped(told), "", *_table(found), ""]
    for line in (*_healthy(found), *_harmful(found), *(f"left out: {text}" for text in found.left_out)):
        rows += _wrapped(line)
    return "\n".join(rows)


def _wrapped(text: str) -> list[str]:
    """Return a text on lines of at most 100 columns, numbers beside their per cent."""
    rows = textwrap.wrap(text.replace(" %", "\N{NO-BREAK SPACE}%"), COLUMNS, subsequent_indent="  ")
    return [row.replace("\N{NO-BREAK SPACE}", " ") for row in rows]


def _table(found: Forecast) -> Iterator[str]:
    widths = (10, 10, 10, 10, 16, 14, 18)
    head = ("harm", "promoted", "aborted", "held", "promoted after", "aborted after", "extra bad events")
    yield "  " + _line(head, widths)
    for row in found.rows:
        cells = (
            "healthy" if row.effect == 1 else f"{row.effect:g}x",
            *(f"{100 * row.share(outcome):.0f} %" for outcome in ("promoted", "aborted", "held")),
            *(_time(row.seconds(outcome)) for outcome in ("promoted", "aborted")),
            words.about(row.harmed) if row.harmed else "–",
        )
        yield "  " + _line(cells, widths)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _time(seconds: float | None) -> str:
    return "–" if seconds is None else words.duration(seconds)


def _healthy(found: Forecast) -> Iterator[str]:
    row = found.healthy
    if row is None:
        return
    low, high = share_bounds(row.count("aborted"), len(row.ended))
    yield (
        f"healthy releases: {100 * row.share('promoted'):.0f} % need nobody, "
        f"{100 * _within(row, HOUR):.0f} % of them all within an hour; {100 * row.frozen:.1f} % are frozen for a while"
    )
    yield (
        f"false aborts: {row.count('aborted')} of {len(row.ended)}, credible are {100 * low:.1f} % to "
        f"{100 * high:.1f} %; the policy promises {words.percent(found.policy.alpha.abort)} at most"
    )


def _harmful(found: Forecast) -> Iterator[str]:
    if not any(row.effect > 1 for row in found.rows):
        return
    for caught, verb in (("aborted", "is aborted"), ("stopped", "does not reach all traffic")):
        smallest = found.smallest(caught)
        told = "none of these" if smallest is None else f"{smallest:g}x"
        yield f"smallest harm that {verb} in at least {100 * MOSTLY:.0f} % of releases: {told}"
