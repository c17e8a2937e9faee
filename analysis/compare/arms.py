"""
From counts per replica to looks that can be judged, for N releases at once.

Everything that is decided here is decided by requests, by flags, or by looks that lie strictly before the one
that is judged; never by how the events of a look are split.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from analysis.compare.tallies import tallies
from analysis.demand import LARGEST_SLACK
from analysis.evidence import Integers, Looks, adjacent
from analysis.exposure import Exposures, of_requests, pod_factor, seen_and_settled
from analysis.grid import Floats
from analysis.noise import FEWEST_LOOKS
from analysis.stakes import start_masses
from analysis.types import BoolArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class History:
    """
    What was known of N stable sides before their releases.

    Parameters
    ----------
    learned : ((N,), (N, 7)) or None
        Dispersion and pod weights, where at least 8 looks counted.
    traffic : ((N,), (N,)) or None
        Requests per second of the whole service and bad share, where stable had traffic in at least 8 looks.
    looks : int
        Looks in which stable had traffic.
    bad, total : (N, R, H) float64 or None
        The looks that counted, if fewer than 8 did; rows as those of the run's baseline.
    """

    learned: tuple[Floats, Floats] | None = None
    traffic: tuple[Floats, Floats] | None = None
    looks: int = 0
    bad: Floats | None = None
    total: Floats | None = None

    def chosen(self, at: Integers | slice) -> History:
        """Return what was known of some releases."""
        learned, traffic = (
            None if pair is None else (pair[0][at], pair[1][at]) for pair in (self.learned, self.traffic)
        )
        bad, total = (None if looks is None else looks[at] for looks in (self.bad, self.total))
        return History(learned=learned, traffic=traffic, looks=self.looks, bad=bad, total=total)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Arms:
    """
    Counts of N releases per side, replica and look; NaN is missing.

    Parameters
    ----------
    canary_bad, canary_total : (N, R_c, K) float64
    baseline_bad, baseline_total : (N, R_s, K) float64
    left_out : (N, K) bool
        Looks that a flag excludes.
    seconds : (K,) float64
        Length of each look.
    visible : bool
        Whether rows are replicas.
    swapped : bool
        True where a fall does harm: the two sides change places in the bets.
    exposure : {"requests", "time", "units"}, or one for each
        What totals are. Of requests each can be bad once; anything else may hold any number of events.
    history : History
    """

    canary_bad: Floats
    canary_total: Floats
    baseline_bad: Floats
    baseline_total: Floats
    left_out: BoolArray
    seconds: Floats
    visible: bool = True
    swapped: bool = False
    exposure: Exposures = "requests"
    history: History = History()


def batch_of(arms: Sequence[Arms]) -> Arms:
    """Return several releases of one shape, with looks of the same lengths and histories that tell as much, as one."""
    if len(arms) == 1:
        return arms[0]
    told = [each.history for each in arms]
    exposures: tuple[Any, ...] = tuple(each.exposure for each in arms)
    return Arms(
        canary_bad=np.concatenate([each.canary_bad for each in arms]),
        canary_total=np.concatenate([each.canary_total for each in arms]),
        baseline_bad=np.concatenate([each.baseline_bad for each in arms]),
        baseline_total=np.concatenate([each.baseline_total for each in arms]),
        left_out=np.concatenate([each.left_out for each in arms]),
        seconds=arms[0].seconds,
        visible=arms[0].visible,
        swapped=arms[0].swapped,
        exposure=exposures[0] if len(set(exposures)) == 1 else exposures,
        history=History(
            learned=_pairs([each.learned for each in told]),
            traffic=_pairs([each.traffic for each in told]),
            looks=told[0].looks,
            bad=_joined([each.bad for each in told]),
            total=_joined([each.total for each in told]),
        ),
    )


def _joined(parts: Sequence[Floats | None]) -> Floats | None:
    """Return what all releases have, or None if none has it."""
    there = [part for part in parts if part is not None]
    return np.concatenate(there) if there else None


def _pairs(parts: Sequence[tuple[Floats, Floats] | None]) -> tuple[Floats, Floats] | None:
    there = [part for part in parts if part is not None]
    return (np.concatenate([one for one, _ in there]), np.concatenate([two for _, two in there])) if there else None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prepared:
    """
    Looks of N releases, ready for every test of a question.

    Parameters
    ----------
    looks : Looks
        Canary and baseline have changed places where a fall does harm.
    steps : (N, K) bool
        Looks at which the weight had changed.
    first : (N,) int
        Index of look 1: the first in which both sides had requests; K if none.
    stable_looks : (N, K) bool
        Looks that tell of stable's traffic.
    canary_total, stable_bad, stable_total : (N, K) float64
        As counted, left out looks as 0.
    seconds : (K,) float64
    empty, inconsistent, overruled : (N, K) bool
        A side had no request; more bad events than requests; the run's dispersion replaced that of history.
    history : History
    exposure : {"requests", "time", "units"}, or one for each
    """

    looks: Looks
    steps: BoolArray
    first: Integers
    canary_total: Floats
    stable_bad: Floats
    stable_total: Floats
    stable_looks: BoolArray
    seconds: Floats
    empty: BoolArray
    inconsistent: BoolArray
    overruled: BoolArray
    history: History
    exposure: Exposures = "requests"
    _traffic: dict[bytes, Traffic] = field(default_factory=dict, init=False, repr=False)

    def chosen(self, rows: Integers) -> Prepared:
        """Return the releases of ``rows``, in that order; of rows that follow each other as views."""
        at = adjacent(rows)
        return Prepared(
            looks=self.looks.chosen(rows),
            steps=self.steps[at],
            first=self.first[at],
            canary_total=self.canary_total[at],
            stable_bad=self.stable_bad[at],
            stable_total=self.stable_total[at],
            stable_looks=self.stable_looks[at],
            seconds=self.seconds,
            empty=self.empty[at],
            inconsistent=self.inconsistent[at],
            overruled=self.overruled[at],
            history=self.history.chosen(at),
            exposure=self.exposure if isinstance(self.exposure, str) else tuple(self.exposure[row] for row in rows),
        )

    @property
    def one_by_one(self) -> list[Prepared]:
        """The releases one by one."""
        return [self] if len(self.first) == 1 else [self.chosen(np.array([row])) for row in range(len(self.first))]

    def traffic(self, before: Integers) -> Traffic:
        """Return what `traffic` does: the demands of the last step and of the running one often ask the same."""
        asked = before.tobytes()
        if asked not in self._traffic:
            self._traffic[asked] = traffic(self, before)
        return self._traffic[asked]

    @property
    def largest_slack(self) -> Floats:
        """The largest slack that can be meant, (N,) or (1,): shares end at 1, rates nowhere."""
        return np.where(of_requests(self.exposure), LARGEST_SLACK, np.inf)

    def knows(self, known: Traffic) -> bool:
        """Return whether the traffic of one release is known by now, so that a demand can be made of it."""
        return self.history.traffic is not None or bool(known.since[0] < self.steps.shape[1])


def prepare(arms: Arms) -> Prepared:
    """
    Return the looks of N releases with all that is fixed before the events are split.

    Returns
    -------
    Prepared
        A look is skipped (it keeps its number) if a side had no request, if it is left out, if a side counted more
        bad events than requests, or before enough is known of the noise.
    """
    sums = tallies(arms)
    x_c, n_c, x_s, n_s = sums.canary_bad, sums.canary_total, sums.stable_bad, sums.stable_total
    served = (n_c > 0) & (n_s > 0)
    marks, steps = seen_and_settled(n_c, n_s, arms.exposure)
    first = np.where(served.any(axis=1), served.argmax(axis=1), served.shape[1])
    noise = sums.noise
    looks = Looks(
        bad_canary=x_s if arms.swapped else x_c,
        total_canary=n_s if arms.swapped else n_c,
        bad_baseline=x_c if arms.swapped else x_s,
        total_baseline=n_c if arms.swapped else n_s,
        used=served & ~sums.inconsistent & noise.bets,
        phi=noise.phi,
        pod_factor=pod_factor(sums.canary_pods, sums.stable_pods, served, arms.visible),
        pod_weights=noise.pod_weights,
        start_mass=start_masses(marks, first),
    ).told_by(sums.trail.named(repr(arms.swapped).encode() + first.tobytes()))
    return Prepared(
        looks=looks,
        steps=steps,
        first=first,
        canary_total=n_c,
        stable_bad=x_s,
        stable_total=n_s,
        stable_looks=(n_s > 0) & ~sums.inconsistent,
        seconds=arms.seconds,
        empty=~served & ~arms.left_out,
        inconsistent=sums.inconsistent,
        overruled=noise.overruled,
        history=arms.history,
        exposure=arms.exposure,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Traffic:
    """Requests per second of both sides, stable's bad share, and the first look that may use them; each (N,)."""

    requests_per_second: Floats
    bad_share: Floats
    since: Integers

    def chosen(self, at: Integers | slice) -> Traffic:
        """Return the traffic of some releases."""
        return Traffic(
            requests_per_second=self.requests_per_second[at], bad_share=self.bad_share[at], since=self.since[at]
        )


def traffic(prepared: Prepared, before: Integers) -> Traffic:
    """
    Return what is known of a service's traffic when proof is asked for.

    Parameters
    ----------
    prepared : Prepared
    before : (N,) int
        Without history: looks before this one are used, but at least the first 8 in which stable had traffic.

    Returns
    -------
    Traffic
        From history if it has 8 looks; else ``since`` is the look after the last one used, K if there is none.
    """
    if prepared.history.traffic is not None:
        rate, share = prepared.history.traffic
        return Traffic(requests_per_second=rate, bad_share=share, since=prepared.first)
    told = prepared.stable_looks
    count = told.shape[1]
    order = np.cumsum(told, axis=1)
    enough = order[:, -1] >= FEWEST_LOOKS
    eighth = np.where(enough, (order >= FEWEST_LOOKS).argmax(axis=1) + 1, count)
    until = np.maximum(eighth, before)
    parts = np.empty((4, *told.shape))
    parts[0], parts[1] = prepared.seconds, prepared.canary_total + prepared.stable_total
    parts[2], parts[3] = prepared.stable_total, prepared.stable_bad
    used = told & (np.arange(count) < until[:, None])
    seconds, requests, stable, bad = np.where(used, parts, 0.0).sum(axis=-1)
    shared = np.where(of_requests(prepared.exposure), stable + 1, np.where(stable > 0, stable, 1.0))
    return Traffic(
        requests_per_second=requests / np.where(seconds > 0, seconds, 1.0),
        bad_share=(bad + 0.5) / shared,
        since=np.where(enough, np.maximum(until, prepared.first), count),
    )
