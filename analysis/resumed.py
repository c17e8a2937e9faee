"""
Processes that go on where an earlier call ended, so that one look more costs one look.

A verdict replays its whole record. Most of it was replayed by the call before, with the same numbers: those are
recognised by a digest over everything that went in, look by look, and only what is new is computed. What is kept is a
memo and nothing else: forgotten, or never there, the same values come out (`forget`, tests/analysis/test_resumed.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import sha256
from typing import Any, Final, Generic, TypeVar

import numpy as np

from analysis.grid import Floats

MOST: Final = 256
"""Processes that are remembered: those of some four releases of ten questions."""
LARGEST_BATCH: Final = 32
"""Releases at once from which nothing is remembered: a simulation plays each only once."""
FEWEST_LOOKS: Final = 16
BACK: Final = 8
"""Looks back from the newest at which an earlier end is looked for."""

State = TypeVar("State")
Advance = Callable[[int, State | None], tuple[Floats, State]]


_ALL: Final[list[Resumed[Any]]] = []


def forget() -> None:
    """Forget everything that is remembered anywhere: costs time and changes no value."""
    for each in _ALL:
        each.forget()


class Resumed(Generic[State]):
    """
    Remembers the ends of processes of one kind.

    Parameters
    ----------
    most : int
        How many are remembered; the oldest is forgotten first.
    shared : bool, default False
        Whether what is returned is what is remembered: arrays that nobody can write into, instead of copies.
    """

    def __init__(self, most: int = MOST, *, shared: bool = False) -> None:
        self._most, self._shared = most, shared
        self._ends: dict[bytes, tuple[Floats, State]] = {}
        _ALL.append(self)

    def forget(self) -> None:
        """Forget everything: costs time and changes no value."""
        self._ends.clear()

    def run(self, opening: bytes, columns: Sequence[Floats], advance: Advance[State]) -> tuple[Floats, State]:
        """
        Return the log evidence at every look, and where the process stands.

        Parameters
        ----------
        opening : bytes
            What the process depends on besides its looks.
        columns : sequence of (N, K, ...) arrays
            What it reads of each look.
        advance : callable (first, state)
            Computes looks ``first …`` from a state; ``(0, None)`` begins.

        Returns
        -------
        log_e : (N, K, ...) float64
        state
        """
        releases, count = columns[0].shape[:2]
        if releases > LARGEST_BATCH or count < FEWEST_LOOKS:
            return advance(0, None)
        marks = _marks(opening, columns, count)
        for seen, mark in marks:
            kept = self._ends.get(mark)
            if kept is None:
                continue
            log_e, state = kept
            if seen < count:
                more, state = advance(seen, state)
                log_e = np.concatenate([log_e, more], axis=1)
            break
        else:
            log_e, state = advance(0, None)
        if self._shared:
            log_e.setflags(write=False)
        self._keep(marks[0][1], log_e, state)
        return log_e if self._shared else log_e.copy(), state

    def _keep(self, mark: bytes, log_e: Floats, state: State) -> None:
        self._ends.pop(mark, None)  # the newest stands last
        self._ends[mark] = (log_e, state)
        while len(self._ends) > self._most:
            with suppress(RuntimeError, StopIteration):  # another thread forgets at the same time
                self._ends.pop(next(iter(self._ends)), None)


def _marks(opening: bytes, columns: Sequence[Floats], count: int) -> list[tuple[int, bytes]]:
    """Return digests of everything up to the newest look, and up to some looks before it: the newest first."""
    width = np.concatenate([np.moveaxis(np.asarray(c, dtype=np.float64), 1, 0).reshape(count, -1) for c in columns], 1)
    rows = np.ascontiguousarray(width)
    running = sha256(opening)
    running.update(repr([column.shape[:1] + column.shape[2:] for column in columns]).encode())
    begin = max(count - BACK, 0)
    running.update(rows[:begin].data)
    marks = []
    for seen in range(begin, count):
        running.update(rows[seen].data)
        marks.append((seen + 1, running.digest()))
    return marks[::-1]
