"""
The two ports of the service: where measurements come from, and where releases are kept.

Adapters live in ``sources/`` and ``stores/``; they translate foreign exceptions into the tree of
``errors.py`` and know nothing of verdicts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from analysis.types import FloatArray, Json

SIDE_LABEL = "weighbridge_side"
"""Label that queries add to every series: ``baseline`` or ``canary``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """
    One expression that a source evaluates at every step of a span.

    Parameters
    ----------
    question : str
        Name of the question it belongs to; ``""`` for queries about the release itself.
    field : str
        What it reads: ``bad``, ``total``, ``counts``, ``values``, ``p95``, ``presence``, ``scrape`` …
    expr : str
        The expression, ready to send (PromQL). It labels each series with `SIDE_LABEL`, unless ``side`` is given.
    replica : tuple of str
        Labels that together name one replica; empty where replicas are not visible.
    increments : bool
        True: values are increments of the step that ends at their time. False: levels at that time.
    side : str
        The source labels every series with it: for answers that an expression cannot label, native histograms.
    """

    question: str
    field: str
    expr: str
    replica: tuple[str, ...] = ()
    increments: bool = True
    side: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Evaluation times ``start, start + step, …, end``: unix seconds, ``start <= end``, ``step > 0``."""

    start: float
    end: float
    step: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Points:
    """
    One series: its labels, and equally long ``times`` (unix seconds, rising) and ``values``, shape ``(n,)``.

    Of native histograms ``values`` are their counts, and ``histograms`` holds an array ``(buckets, 3)`` for each time:
    lower bound, upper bound, count, rising, not cumulative; empty buckets may be absent.
    """

    labels: Mapping[str, str]
    times: FloatArray
    values: FloatArray
    histograms: tuple[FloatArray, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answer:
    """
    What a source said to all queries of a verdict.

    Parameters
    ----------
    points : mapping of Query to tuple of Points
        Every query that was asked has a key; no series is an empty tuple.
    warnings : tuple of str
        Words of the source that its answer is partial: such an answer closes no look.
    samples, size : int
        How many values and bytes were read.
    seconds : float
        Wall time spent waiting for the source.
    """

    points: Mapping[Query, tuple[Points, ...]]
    warnings: tuple[str, ...] = ()
    samples: int = 0
    size: int = 0
    seconds: float = 0.0


class Source(Protocol):
    """Where measurements come from."""

    def fetch(self, queries: Sequence[Query], span: Span, timeout: float) -> Answer:
        """
        Evaluate all queries over one span, at once, within ``timeout`` seconds together.

        Raises
        ------
        SourceDown, SourceRefused, SourceLimit
            See ``errors.py``; the message names the query and what was said.
        """
        ...

    def ping(self, timeout: float) -> None:
        """Return if the source answers within ``timeout`` seconds; raise `SourceDown` otherwise."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """
    Everything that one verdict changes, written as one transaction.

    Parameters
    ----------
    attempt : mapping or None
        The attempt's document. Its keys ``cluster namespace name revision attempt`` (strings, and an
        integer from 1) identify it, ``version`` (integer) is the version that was read: 0 for a new
        one. The store writes ``version + 1``. The rest is opaque.
    looks : sequence of (int, mapping)
        Rows by number of the look. A row that is there already stays as it is: looks never change.
    report : mapping or None
        A report with the key ``id``. One that is there already stays as it is.
    """

    attempt: Mapping[str, Json] | None = None
    looks: Sequence[tuple[int, Mapping[str, Json]]] = field(default_factory=tuple)
    report: Mapping[str, Json] | None = None


class Store(Protocol):
    """Where attempts, their looks, reports, overrides and gates are kept. Any method may raise `StoreDown`."""

    def attempts(self, namespace: str, name: str) -> list[dict[str, Json]]:
        """Return the documents of every attempt of every revision of one release, oldest opened first."""
        ...

    def attempt(self, release: tuple[str, str, str, str], number: int) -> dict[str, Json] | None:
        """Return one attempt of ``(cluster, namespace, name, revision)``, or None."""
        ...

    def write(self, change: Write) -> None:
        """
        Write all of ``change`` or nothing; what returned survives a crash of the process.

        Raises
        ------
        StoreConflict
            The attempt's version is not the stored one (or it is new and exists).
        """
        ...

    def looks(self, release: tuple[str, str, str, str], number: int) -> list[dict[str, Json]]:
        """Return the rows of one attempt in order of their numbers."""
        ...

    def forget_looks(self, release: tuple[str, str, str, str], number: int) -> None:
        """Drop the rows of one attempt, so that they are rebuilt from the source."""
        ...

    def report(self, report_id: str) -> dict[str, Json] | None:
        """Return one report, or None."""
        ...

    def reports(
        self, release: tuple[str, str, str, str], number: int | None = None, limit: int = 50
    ) -> list[dict[str, Json]]:
        """Return the newest reports of a release (of one attempt), newest first."""
        ...

    def releases(self, limit: int = 200) -> list[dict[str, Json]]:
        """Return the newest attempt documents of all releases, newest change first."""
        ...

    def add_override(self, override: Mapping[str, Json]) -> None:
        """Append a human's word; its keys ``id namespace name`` are strings. Append-only: nothing is ever removed."""
        ...

    def overrides(self, namespace: str, name: str) -> list[dict[str, Json]]:
        """Return every override of a release, oldest first."""
        ...

    def gates(self, canary: tuple[str, str, str]) -> dict[str, Json] | None:
        """Return the gates of one canary ``(cluster, namespace, name)``, or None."""
        ...

    def write_gates(self, gates: Mapping[str, Json]) -> None:
        """
        Write the gates of one canary: ``cluster namespace name`` (strings) identify them, ``version`` is as in `Write`.

        Raises
        ------
        StoreConflict
            The version is not the stored one (or they are new and exist).
        """
        ...

    def all_gates(self, limit: int = 200) -> list[dict[str, Json]]:
        """Return the gates of all canaries, newest change first."""
        ...

    def ping(self) -> None:
        """Return if the store can read and write; raise `StoreDown` otherwise."""
        ...
