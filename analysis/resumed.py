"""
Processes that go on where an earlier call ended, so that one look more costs one look.

A verdict replays its whole record. Most of it was replayed by the call before, with the same numbers: those are
recognised by a digest over everything that went in, look by look, and only what is new is computed. What is kept is a
memo and nothing else: forgotten, or never there, the same values come out (`forget`, tests/analysis/test_resumed.py).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from contextlib import suppress
from hashlib import sha256
from typing import Any, Final, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from analysis.grid import Floats

MOST: Final = 128
"""Processes of a kind that are remembered: those of some ten releases of ten questions that are all unlike."""
MOST_RECALLED: Final = 256
"""What else is remembered of a kind: a number or a row each."""
LARGEST_BATCH: Final = 32
"""Releases at once from which nothing is remembered: a simulation plays each only once."""
LARGEST: Final = 2**21
"""Bytes of one release from which a result is not remembered, so that memory has an end: tables of some 1,600 looks."""
TOGETHER: Final = 4
"""Questions that are weighed as one batch at most: what is remembered of it stays so small as that of one, fourfold."""
FEWEST_LOOKS: Final = 16
ROOM: Final = 16
"""Looks more that a series has room for at least, and the part of itself that it has."""
WIDE: Final = 64
"""Numbers of a look from which a column is not copied beside the others."""
BACK: Final = 8
"""Looks back from the newest at which an earlier end is looked for."""

State = TypeVar("State")
Value = TypeVar("Value")
Advance = Callable[[int, State | None], tuple[Floats, State]]


_ALL: Final[list[Resumed[Any] | Recalled[Any] | Tabled]] = []


def forget() -> None:
    """Forget everything that is remembered anywhere: costs time and changes no value."""
    for each in _ALL:
        each.forget()


def together(kin: Sequence[Hashable]) -> list[list[int]]:
    """Return the places of what is alike, in batches of at most `TOGETHER`: of several questions as of releases."""
    alike: dict[Hashable, list[int]] = {}
    for place, each in enumerate(kin):
        alike.setdefault(each, []).append(place)
    return [places[first : first + TOGETHER] for places in alike.values() for first in range(0, len(places), TOGETHER)]


def in_batches(kin: Sequence[Hashable], weigh: Callable[[list[int]], Iterable[Value]]) -> list[Value]:
    """Return what ``weigh`` makes of each place; it is asked for batches of places whose ``kin`` is the same."""
    found: dict[int, Value] = {}
    for places in together(kin):
        found |= zip(places, weigh(places), strict=True)
    return [found[place] for place in range(len(kin))]


class Trail:
    """
    What tells the looks up to each of the newest ones from all others: digested once for all processes that read them.

    Parameters
    ----------
    columns : sequence of (N, K, ...) arrays
        What is read of each look; nobody writes into them any more.
    upto : (K,) int, optional
        How many rows of ``columns`` there are at the end of each look; without it a row is a look.
    """

    def __init__(self, columns: Sequence[Floats], upto: NDArray[np.int64] | None = None) -> None:
        self.releases, self._rows = columns[0].shape[:2]
        self.count = self._rows if upto is None else len(upto)
        self._columns, self._upto = columns, upto
        self._first, self._name = 0, b""
        self._digests: dict[int, bytes] = {}

    def after(self, first: int) -> Trail:
        """Return the trail of looks ``first …``, for a process that begins there: the same digests."""
        return self._changed(_first=self._first + first, count=self.count - first)

    def named(self, name: bytes) -> Trail:
        """Return the trail of what was made of each look and of those before it; ``name`` is all else it depends on."""
        return self._changed(_name=sha256(self._name + name).digest())

    def _changed(self, **changes: Any) -> Trail:
        part: Trail = object.__new__(type(self))
        vars(part).update(vars(self), **changes)
        return part

    def mark(self, seen: int, opening: bytes) -> bytes:
        """Return what tells a process that began with ``opening`` and has seen so many looks; at most `BACK` back."""
        until = self._first + seen
        digest = self._digests.get(until)
        if digest is None:
            whole = self._first + self.count
            newest = until >= whole - 1
            self._digests |= self._digested(range(whole - 1, whole + 1) if newest else range(whole - BACK, whole - 1))
            digest = self._digests[until]
        return sha256(b"%b %b %d %b" % (self._name, opening, self._first, digest)).digest()

    def _digested(self, ends: range) -> dict[int, bytes]:
        """Return digests of everything before each of some ends."""
        tables = self._tables()
        running = [sha256(repr([column.shape[:1] + column.shape[2:] for column in self._columns]).encode())]
        running += [sha256() for _ in tables[1:]]
        found, before = {}, 0
        for end in (end for end in ends if end > 0):
            after = self._rows_until(end)
            for each, rows in zip(running, tables, strict=True):
                each.update(rows[before:after].data)
            found[end], before = b"".join([*(each.digest() for each in running), self._lengths(end)]), after
        return found

    def _rows_until(self, end: int) -> int:
        """Return how many rows there are before look ``end``."""
        return end if self._upto is None or not end else int(self._upto[end - 1])

    def _lengths(self, end: int) -> bytes:
        """Return what tells how rows make the looks before look ``end``."""
        return b"" if self._upto is None else self._upto[:end].tobytes()

    def _tables(self) -> list[Floats]:
        """Return what is read, a row for each look, narrow columns side by side."""
        parts = [np.asarray(column, dtype=np.float64) for column in self._columns]
        parts = [(each if len(each) == 1 else np.moveaxis(each, 1, 0)) for each in parts]
        parts = [each.reshape(self._rows, -1) for each in parts]
        wide = [np.ascontiguousarray(each) for each in parts if each.shape[1] > WIDE]
        narrow = [each for each in parts if each.shape[1] <= WIDE]
        return [*wide, np.ascontiguousarray(np.concatenate(narrow, axis=1))] if narrow else wide


class Recalled(Generic[Value]):
    """
    Remembers what was computed from the same numbers, whole: what was learned of the first looks does not change.

    Parameters
    ----------
    most : int
        How many are remembered; the oldest is forgotten first.
    """

    def __init__(self, most: int = MOST_RECALLED) -> None:
        self._most = most
        self._values: dict[bytes, Value] = {}
        _ALL.append(self)

    def forget(self) -> None:
        """Forget everything: costs time and changes no value."""
        self._values.clear()

    def value(self, opening: bytes, numbers: Sequence[Floats], make: Callable[[], Value]) -> Value:
        """
        Return what ``make`` returns.

        Parameters
        ----------
        opening : bytes
            What it depends on besides numbers.
        numbers : sequence of arrays
        make : callable
            Nobody writes into what it returns.
        """
        running = sha256(opening)
        for array in numbers:
            running.update(repr((array.shape, array.dtype.str)).encode())
            running.update(np.ascontiguousarray(array).data)
        mark = running.digest()
        found = self._values.get(mark)
        if found is None:
            found = make()
            _kept(self._values, mark, found, self._most)
        return found


class Tabled:
    """
    Remembers a table row by row, for batches: what was computed of one row of numbers is not computed again.

    Parameters
    ----------
    most : int
        Rows that are remembered; where more are asked for, all are forgotten first.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._rows: dict[bytes, Floats] = {}
        _ALL.append(self)

    def forget(self) -> None:
        """Forget everything: costs time and changes no value."""
        self._rows = {}

    def rows(self, numbers: Floats, make: Callable[[Floats], Floats]) -> Floats:
        """
        Return what ``make`` returns.

        Parameters
        ----------
        numbers : (M, C) float64
        make : callable
            Takes some rows of ``numbers`` and returns as many rows of the table, each from its own numbers alone.

        Returns
        -------
        (M, W) float64
        """
        marks = [row.tobytes() for row in np.ascontiguousarray(numbers)]
        rows = self._rows
        new = {mark: place for place, mark in enumerate(marks) if mark not in rows}
        if len(rows) + len(new) > self._most:
            rows = self._rows = {}
            new = {mark: place for place, mark in enumerate(marks)}
        if new:
            rows |= zip(new, make(numbers[list(new.values())]), strict=True)
        return np.array([rows[mark] for mark in marks])


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
        self._ends: dict[bytes, tuple[Growing, State]] = {}
        _ALL.append(self)

    def forget(self) -> None:
        """Forget everything: costs time and changes no value."""
        self._ends.clear()

    def run(self, opening: bytes, columns: Sequence[Floats] | Trail, advance: Advance[State]) -> tuple[Floats, State]:
        """
        Return the log evidence at every look, and where the process stands.

        Parameters
        ----------
        opening : bytes
            What the process depends on besides its looks.
        columns : sequence of (N, K, ...) arrays, or Trail
            What it reads of each look; a trail of it, where several processes read the same.
        advance : callable (first, state)
            Computes looks ``first …`` from a state; ``(0, None)`` begins.

        Returns
        -------
        log_e : (N, K, ...) float64
        state
        """
        trail = columns if isinstance(columns, Trail) else Trail(columns)
        if trail.releases > LARGEST_BATCH or trail.count < FEWEST_LOOKS:
            return advance(0, None)
        newest, largest = trail.mark(trail.count, opening), LARGEST * min(trail.releases, TOGETHER)
        for seen in range(trail.count, max(trail.count - BACK, 0), -1):
            kept = self._ends.get(newest if seen == trail.count else trail.mark(seen, opening))
            if kept is None:
                continue
            series, state = kept
            if seen < trail.count:
                more, state = advance(seen, state)
                series = series.followed(seen, more)
            found = series.until(trail.count) if self._shared else series.until(trail.count).copy()
            break
        else:
            found, state = advance(0, None)
            if found.nbytes > largest:
                return found, state
            series = Growing(found)
            found = series.until(trail.count) if self._shared else found
        if found.nbytes <= largest:
            _kept(self._ends, newest, (series, state), self._most)
        return found, state


class Growing:
    """
    Numbers of looks, (N, K, ...), with room at their end, so that a look more does not copy those before it.

    Parameters
    ----------
    looks : (N, K, ...) float64
        The first of them; they lie in memory as before. What follows them, or follows those that followed them, is
        written only once.
    """

    def __init__(self, looks: Floats) -> None:
        count = looks.shape[1]
        room = looks.shape[0], count + max(ROOM, count // ROOM), *looks.shape[2:]
        self._numbers = np.empty_like(looks, shape=room)
        self._numbers[:, :count] = looks
        self._followed: dict[int, object] = {}

    @property
    def nbytes(self) -> int:
        """With the room."""
        return self._numbers.nbytes

    def until(self, count: int) -> Floats:
        """Return the first so many looks, (N, count, ...); nobody can write into them."""
        found = self._numbers[:, :count]
        found.setflags(write=False)
        return found

    def followed(self, seen: int, more: Floats) -> Growing:
        """Return the first ``seen`` looks and ``more``: in the same place unless others follow there already."""
        count, mine = seen + more.shape[1], object()
        if count <= self._numbers.shape[1] and self._followed.setdefault(seen, mine) is mine:  # whichever thread
            self._numbers[:, seen:count] = more
            return self
        return Growing(np.concatenate([self._numbers[:, :seen], more], axis=1))


def _kept(memory: dict[bytes, Value], mark: bytes, value: Value, most: int) -> None:
    """Remember a value and forget the oldest ones beyond ``most``."""
    memory.pop(mark, None)  # the newest stands last
    memory[mark] = value
    while len(memory) > most:
        with suppress(RuntimeError, StopIteration):  # another thread forgets at the same time
            memory.pop(next(iter(memory)), None)
