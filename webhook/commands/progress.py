"""A progress bar on a terminal, and nothing where there is none."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TextIO

from webhook.demo.progress import clock

BAR = 30
CLEAR = "\x1b[2K\r"
QUIET_S = 0.1
"""Seconds between two drawings: drawing is not what the time is for."""


class Bar:
    """
    Shows how much of the work is done, and how long the rest will take.

    Parameters
    ----------
    stream : text stream
        Written to only if it is a terminal.
    total : int
        Pieces of work, > 0.
    watch : callable
        Monotonic seconds.
    """

    def __init__(self, stream: TextIO, total: int, watch: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._total = max(1, total)
        self._watch = watch
        self._live = stream.isatty()
        self._begun = watch()
        self._drawn = float("-inf")
        self._done = 0

    def advance(self, pieces: int = 1, word: str = "") -> None:
        """Count finished pieces; ``word`` says what is worked on now."""
        self._done = min(self._total, self._done + pieces)
        now = self._watch()
        if not self._live or (now - self._drawn < QUIET_S and self._done < self._total):
            return
        self._drawn = now
        filled = BAR * self._done // self._total
        left = (now - self._begun) / max(1, self._done) * (self._total - self._done)
        line = f"[{'#' * filled}{'.' * (BAR - filled)}] {self._done} of {self._total}, {clock(left)} left  {word}"
        self._stream.write(f"{CLEAR}{line[:100]}")
        self._stream.flush()

    def close(self) -> None:
        """Take the bar away."""
        if self._live:
            self._stream.write(CLEAR)
            self._stream.flush()
