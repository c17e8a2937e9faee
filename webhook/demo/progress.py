"""The demonstration on a terminal: two lines that change in place, or one line per answer where there is none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TextIO

from analysis import words
from analysis.types import Json
from webhook.demo.rollout import Event

BAR = 20
COLUMNS = 100
CLEAR = "\x1b[2K"


class Progress:
    """
    Shows events as they come.

    Parameters
    ----------
    stream : text stream
    names : tuple of str
        Of the releases, in the order of their lines.
    """

    def __init__(self, stream: TextIO, names: tuple[str, ...]) -> None:
        self._stream = stream
        self._lines = dict.fromkeys(names, "")
        self._live = stream.isatty()
        self._drawn = False

    def show(self, event: Event) -> None:
        """Show one answer."""
        text = line(event)
        if not self._live:
            self._stream.write(f"{text}\n")
            self._stream.flush()
            return
        self._lines[event.name] = text
        back = f"\x1b[{len(self._lines)}A" if self._drawn else ""
        rows = "".join(f"{CLEAR}{row[:COLUMNS]}\n" for row in self._lines.values())
        self._stream.write(back + rows)
        self._stream.flush()
        self._drawn = True


def line(event: Event) -> str:
    """Return one answer on one line: time, weight, counts of both sides, odds, verdict."""
    filled = round(BAR * event.weight)
    bar = "#" * filled + "." * (BAR - filled)
    return (
        f"{event.name:<9} {clock(event.seconds):>6}  [{bar}] {words.share(event.weight):>5}  "
        f"{_counts(event.evidence):<29} {_odds(event.evidence):<16} {event.verdict.upper()}"
    )


def _counts(evidence: Mapping[str, Json]) -> str:
    counts = evidence.get("counts")
    if not counts:
        return "no look is closed yet"
    canary, baseline = counts["canary"], counts["baseline"]
    if not canary.get("total"):
        return "no canary request yet"
    told = f"{words.count(canary['bad'])}/{words.count(canary['total'])} = {words.percent(canary['rate'])}"
    return f"{told} vs {words.percent(baseline['rate'])}" if baseline.get("rate") is not None else told


def _odds(evidence: Mapping[str, Json]) -> str:
    """Return the odds for harm; while none speaks for it, those for taking the next step."""
    log_e = evidence.get("log_e") or {}
    worse, step = log_e.get("worse"), log_e.get("step")
    if worse is not None and worse > max(0.0, step or 0.0):
        return f"worse {words.odds(worse)}"
    return f"step {words.odds(step)}" if step is not None else ""


def clock(seconds: float) -> str:
    """
    Return minutes and seconds.

    >>> clock(130.0)
    '2:10'
    """
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
