"""
Many releases at once, by the batch form of the evidence: for policies that only count bad requests.

Each release meets the same events, and the same verdicts a look late, as if it were played alone
(`webhook.simulation.played`); a test shows that both end alike. An abort is decided by the rule that the judge uses;
what else a promotion needs than its evidence is in `webhook.simulation.run.held_back`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from analysis.compare.arms import Arms, History, Prepared, prepare
from analysis.compare.claims import final_demand, no_worse, warn_and_tolerated
from analysis.compare.counts import demanded
from analysis.demand import step_slack
from analysis.evidence import Null
from analysis.merging import merged, shares
from analysis.noise import FEWEST_LOOKS
from analysis.policy import OMEGA, Policy, Proportion
from analysis.types import BoolArray, Direction, FloatArray, May, NoData
from webhook.simulation.played import Ended, play
from webhook.simulation.run import Run, aborted, begun, cut, draw, end_of, held_back
from webhook.simulation.world import START, Release, World

FIRST_LOOKS: Final = 8
"""Looks that are drawn at first for a step; then as many again as there are, until all is decided."""
NEAR: Final = 1e-6
"""How far below a goal the batch already asks the judge: the two agree to 1e-9."""

Integers = np.ndarray[tuple[int, ...], np.dtype[np.int64]]


def batchable(policy: Policy) -> bool:
    """Return whether the batch form knows every rule of a policy."""
    plain = all(
        isinstance(q, Proportion) and q.direction is Direction.INCREASE and q.no_data is NoData.HOLD
        for q in policy.questions
    )
    decides = any(q.needed and q.may is not May.REPORT for q in policy.questions)
    return plain and decides and policy.deadline.then == "hold" and policy.min_requests == 0


def play_all(releases: Sequence[Release], tick: Callable[[], None] = lambda: None) -> list[Ended]:
    """
    Return how releases end that differ in their number only.

    Parameters
    ----------
    releases : sequence of Release
        Of one world, policy and effect; the policy is `batchable`.
    tick : callable
        Called once for every release that has ended.
    """
    runs = [begun(release) for release in releases]
    for run in runs:
        if any(noise.looks < FEWEST_LOOKS for noise in run.noise.values()):
            run.ended = play(run.release)  # too little history for a demand: learned in the run, one by one
            tick()
    for step in range(len(releases[0].world.weights) if releases else 0):
        _take_step(step, [run for run in runs if run.ended is None], tick)
    return [run.ended for run in runs if run.ended is not None]


def _take_step(step: int, running: list[Run], tick: Callable[[], None]) -> None:
    """Play one weight step of every release that reaches it, until each was promoted or has ended."""
    for run in running:
        run.begun = run.looks
    looks, open_ones = 0, running
    while open_ones:
        more = looks or FIRST_LOOKS
        for run in open_ones:
            draw(run, step, min(more, run.release.world.looks - run.looks))
        found = _weigh(step, open_ones)
        still = []
        for row, run in enumerate(open_ones):
            if not _decided(run, step, found, row, since=looks):
                still.append(run)
            elif run.ended is not None:
                tick()
        looks, open_ones = looks + more, still


@dataclass(frozen=True, slots=True, kw_only=True)
class _Curves:
    """
    By release and look, right-aligned over ``width`` looks.

    ``harmful``: an abort may be due; ``frozen``: a freeze stands; ``proved``: every needed question gave the evidence
    for the next weight; ``settled``: also that for all traffic; ``changed``: last look at which the split was seen to
    change.
    """

    harmful: BoolArray
    frozen: BoolArray
    proved: BoolArray
    settled: BoolArray
    changed: Integers
    width: int


def _weigh(step: int, runs: list[Run]) -> _Curves:
    policy, world = runs[0].release.policy, runs[0].release.world
    width = max(run.looks for run in runs)
    asked = [q for q in policy.questions if not q.muted]
    omega = shares([OMEGA[q.weight] if q.may is not May.REPORT else 0.0 for q in asked])
    lethal = np.array([w if q.may is May.ABORT else 0.0 for q, w in zip(asked, omega, strict=True)])
    shape = len(runs), width
    harmful, frozen = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    proved, settled = np.ones(shape, dtype=bool), np.ones(shape, dtype=bool)
    changed: Integers = np.zeros(shape, dtype=np.int64)
    aborts = np.zeros((len(asked), *shape))
    for place, question in enumerate(asked):
        assert isinstance(question, Proportion)
        found = _evidence(question, policy, world, step, runs, width)
        aborts[place], changed = found.abort, found.changed
        with np.errstate(divide="ignore"):
            worse = found.warn + np.log(omega[place]) >= -math.log(policy.alpha.freeze)
            beyond = found.warn + np.log(lethal[place]) >= -math.log(policy.alpha.abort) - NEAR
        within = found.promote >= -math.log(policy.alpha.promote)
        frozen |= worse & ~within
        harmful |= _standing(beyond & ~within, found.used, int(policy.freeze_limit / world.look - NEAR))
        if question.needed and question.may is not May.REPORT:
            proved &= (found.taken >= -math.log(policy.alpha.step)) & ~(worse & ~within)
            settled &= within
    for row in range(len(runs)):
        harmful[row] |= merged(aborts[:, row], lethal) >= -math.log(policy.alpha.abort) - NEAR
    return _Curves(harmful=harmful, frozen=frozen, proved=proved, settled=settled, changed=changed, width=width)


def _standing(stuck: BoolArray, used: BoolArray, looks: int) -> BoolArray:
    """Return where something has stood for more than so many looks, those passed over that were not used; (N, K)."""
    result = np.zeros_like(stuck)
    for row in np.flatnonzero(stuck.any(axis=1)):
        since: int | None = None
        for look in np.flatnonzero(used[row]):
            since = None if not stuck[row, look] else int(look) if since is None else since
            result[row, look] = since is not None and look - since >= looks
    return result


@dataclass(frozen=True, slots=True, kw_only=True)
class _Evidence:
    """Log E_warn, A*, P and P_step of one question, looks that were used, and where the step began; each (N, K)."""

    warn: FloatArray
    abort: FloatArray
    promote: FloatArray
    taken: FloatArray
    used: BoolArray
    changed: Integers


def _evidence(question: Proportion, policy: Policy, world: World, step: int, runs: list[Run], width: int) -> _Evidence:
    shape = len(runs), width
    result = {name: np.zeros(shape) for name in ("warn", "abort", "promote", "taken")}
    used, changed = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=np.int64)
    learned = np.array([run.noise[question.name].source == "history" for run in runs])
    for known in (True, False):
        rows = np.flatnonzero(learned == known)
        if not rows.size:
            continue
        chosen = [runs[row] for row in rows]
        prepared = prepare(_arms(question, chosen, width, known))
        ratio, slack = question.tolerance.ratio, question.tolerance.absolute
        warn, tolerated = warn_and_tolerated(prepared, ratio, slack)
        final, traffic = final_demand(prepared, slack, policy.harm_budget)
        promote = no_worse(prepared, Null(ratio=ratio, slack=final), traffic.bad_share, traffic.since, prepared.first)
        coming = np.full(len(chosen), world.next_weight(step))
        budget = step_slack(policy.harm_budget, traffic.requests_per_second, traffic.bad_share, coming)
        taken = _step_evidence(prepared, Null(ratio=ratio, slack=budget), traffic.bad_share, chosen, width)
        used[rows] = prepared.looks.used
        changed[rows] = np.maximum(_changes(prepared), np.minimum(prepared.first, width - 1)[:, None])
        result["warn"][rows], result["promote"][rows], result["taken"][rows] = warn, promote, taken
        result["abort"][rows] = demanded(warn, tolerated, policy.alpha)
    return _Evidence(**result, used=used, changed=changed)


def _step_evidence(prepared: Prepared, null: Null, share: FloatArray, runs: list[Run], width: int) -> FloatArray:
    """Return log P_step at the looks of this step: it begins anew wherever the traffic is seen to have changed."""
    first_new = np.array([width - run.looks + run.begun for run in runs])
    columns = np.arange(width)
    starts = _changes(prepared)
    taken = np.zeros((len(runs), width))
    from_here = np.maximum(first_new - 1, 0)
    begins = {int(start) for row, first in enumerate(from_here) for start in np.unique(starts[row, first:])}
    for start in sorted(begins):
        mine = (starts == start) & (columns >= from_here[:, None])
        rows = np.flatnonzero(mine.any(axis=1))
        part = _rows(prepared, rows, start)
        since = np.maximum(part.first, 0)
        slack = np.asarray(null.slack)[rows]
        found = no_worse(part, Null(ratio=null.ratio, slack=slack), share[rows], since, since)
        taken[rows, start:] = np.where(mine[rows, start:], found, taken[rows, start:])
    return taken


def _changes(prepared: Prepared) -> Integers:
    """Return by look the newest one at which the traffic split was seen to change, 0 before any; (N, K)."""
    marks = np.where(prepared.steps, np.arange(prepared.steps.shape[1]), 0)
    return np.asarray(np.maximum.accumulate(marks, axis=1))


def _rows(prepared: Prepared, rows: Integers, start: int) -> Prepared:
    """Return what a promote process needs of some releases from a look on."""
    looks = prepared.looks.chosen(rows).between(start, prepared.looks.used.shape[1])
    return replace(prepared, looks=looks, first=prepared.first[rows] - start)


def _arms(question: Proportion, runs: list[Run], width: int, learned: bool) -> Arms:
    """Return the counts of some releases, right-aligned: before its first look a release has no traffic."""
    noises = [run.noise[question.name] for run in runs]
    history = History(
        learned=(np.array([n.phi for n in noises]), np.array([n.pod_weights for n in noises])) if learned else None,
        traffic=(np.array([n.requests_per_second for n in noises]), np.array([n.bad_share for n in noises])),
        looks=noises[0].looks,
        bad=None if learned else np.stack([run.past[question.name][0] for run in runs]),
        total=None if learned else np.stack([run.past[question.name][1] for run in runs]),
    )
    return Arms(
        canary_bad=_aligned([run.bad[question.name][0] for run in runs], width),
        canary_total=_aligned([run.canary for run in runs], width),
        baseline_bad=_aligned([run.bad[question.name][1] for run in runs], width),
        baseline_total=_aligned([run.stable for run in runs], width),
        left_out=np.zeros((len(runs), width), dtype=bool),
        seconds=np.full(width, runs[0].release.world.look),
        history=history,
    )


def _aligned(columns: list[list[FloatArray]], width: int) -> FloatArray:
    array = np.full((len(columns), columns[0][0].shape[0], width), math.nan)
    for row, looks in enumerate(columns):
        array[row, :, width - len(looks) :] = np.array(looks).T
    return array


def _decided(run: Run, step: int, found: _Curves, row: int, since: int) -> bool:
    """Go on look by look from the ``since``-th of this step, and return whether it or the release is over."""
    world = run.release.world
    shift = found.width - run.looks
    for look in range(run.begun + since + 1, run.looks + 1):
        column = shift + look - 2  # the newest look that is closed when this one ends
        if look < 2:
            continue
        if look == run.begun + 1 and step:
            # Asked for the first time since the step before was promoted, a look ago.
            told = {"kind": "step", "time": START + look * world.look, "after": START + run.begun * world.look}
            run.told.append(told)
        run.frozen = run.frozen or bool(found.frozen[row, column])
        if found.harmful[row, column] and aborted(run, look):
            run.frozen = True
            return end_of(run, "aborted", look, world.weights[step])
        last = world.next_weight(step) >= 1
        if not found.proved[row, column] or (last and not found.settled[row, column]):
            continue
        if held_back(run, look, int(found.changed[row, column]) - shift, final=bool(found.settled[row, column])):
            continue
        if last:
            return end_of(run, "promoted", look, 1.0)
        cut(run, look)
        return True
    return end_of(run, "held", world.looks, world.weights[step]) if run.looks >= world.looks else False
