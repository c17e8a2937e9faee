"""
Many releases at once: the batch form of the evidence finds when something may be decided, the judge decides it.

For policies that only count bad requests. Each release meets the same events, and the same verdicts a look late, as if
it were played alone (`webhook.simulation.played`); a test shows that both end alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from analysis.compare.arms import Arms, History, Prepared, final_demand, no_worse, prepare, warn_and_tolerated
from analysis.compare.counts import demanded
from analysis.demand import step_slack
from analysis.evidence import Null
from analysis.judge import judge
from analysis.merging import merged, shares
from analysis.noise import FEWEST_LOOKS, Noise, learn
from analysis.policy import OMEGA, Policy, Proportion
from analysis.record import Grid, QuestionRecord, Record, SideSeries
from analysis.types import BoolArray, Direction, FloatArray, Json, May, Stage, Verdict
from webhook.simulation.played import Ended, harm_of, play
from webhook.simulation.world import BEFORE, START, Release, World

FIRST_LOOKS: Final = 8
"""Looks that are drawn at first for a step; then as many again as there are, until all is decided."""
NEAR: Final = 1e-6
"""How far below a goal the batch already asks the judge: the two agree to 1e-9."""

Integers = np.ndarray[tuple[int, ...], np.dtype[np.int64]]


def batchable(policy: Policy) -> bool:
    """Return whether the batch form knows every rule of a policy."""
    plain = all(isinstance(q, Proportion) and q.direction is Direction.INCREASE for q in policy.questions)
    return plain and policy.deadline.then == "hold" and policy.min_requests == 0


@dataclass(slots=True, kw_only=True)
class _Run:
    """One release on its way: what it counted, look by look, and how often it was promoted."""

    release: Release
    noise: dict[str, Noise]
    past: dict[str, tuple[FloatArray, FloatArray]]
    canary: list[FloatArray] = field(default_factory=list)
    stable: list[FloatArray] = field(default_factory=list)
    bad: dict[str, tuple[list[FloatArray], list[FloatArray]]] = field(default_factory=dict)
    told: list[Json] = field(default_factory=list)
    begun: int = 0
    frozen: bool = False
    ended: Ended | None = None

    @property
    def looks(self) -> int:
        """Return how many looks were drawn."""
        return len(self.stable)


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
    runs = [_begun(release) for release in releases]
    for run in runs:
        if any(noise.looks < FEWEST_LOOKS for noise in run.noise.values()):
            run.ended = play(run.release)  # too little history for a demand: learned in the run, one by one
            tick()
    for step in range(len(releases[0].world.weights) if releases else 0):
        _take_step(step, [run for run in runs if run.ended is None], tick)
    return [run.ended for run in runs if run.ended is not None]


def _begun(release: Release) -> _Run:
    world = release.world
    stable, _ = release.requests(BEFORE, world.earlier + 1)
    past = {}
    noise = {}
    for question in release.policy.questions:
        bad = release.bad(question, BEFORE, "baseline", stable)
        past[question.name] = bad[: world.earlier].T, stable[: world.earlier].T
        noise[question.name] = learn(*past[question.name], np.full(world.earlier, world.look), True)
    names = [question.name for question in release.policy.questions]
    return _Run(release=release, noise=noise, past=past, bad={name: ([], []) for name in names})


def _take_step(step: int, running: list[_Run], tick: Callable[[], None]) -> None:
    """Play one weight step of every release that reaches it, until each was promoted or has ended."""
    for run in running:
        run.begun = run.looks
    looks, open_ones = 0, running
    while open_ones:
        more = looks or FIRST_LOOKS
        for run in open_ones:
            _draw(run, step, min(more, run.release.world.looks - run.looks))
        found = _weigh(step, open_ones)
        still = []
        for row, run in enumerate(open_ones):
            if not _decided(run, step, found, row, since=looks):
                still.append(run)
            elif run.ended is not None:
                tick()
        looks, open_ones = looks + more, still


def _draw(run: _Run, step: int, looks: int) -> None:
    world = run.release.world
    stable, canary = run.release.requests(step, looks)
    canary[:, world.canaries(step) :] = math.nan
    run.stable += list(stable)
    run.canary += list(canary)
    for question in run.release.policy.questions:
        for place, (side, total) in enumerate((("canary", canary), ("baseline", stable))):
            bad = run.release.bad(question, step, side, np.nan_to_num(total))
            run.bad[question.name][place].extend(np.where(np.isnan(total), math.nan, bad))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Curves:
    """By release and look, right-aligned: where an abort, a freeze or a promotion may be; ``width`` looks."""

    harmful: BoolArray
    frozen: BoolArray
    promising: BoolArray
    width: int


def _weigh(step: int, runs: list[_Run]) -> _Curves:
    policy, world = runs[0].release.policy, runs[0].release.world
    width = max(run.looks for run in runs)
    asked = [q for q in policy.questions if not q.muted]
    omega = shares([OMEGA[q.weight] if q.may is not May.REPORT else 0.0 for q in asked])
    lethal = np.array([w if q.may is May.ABORT else 0.0 for q, w in zip(asked, omega, strict=True)])
    shape = len(runs), width
    harmful, frozen, promising = np.zeros(shape, bool), np.zeros(shape, bool), np.ones(shape, bool)
    aborts = np.zeros((len(asked), *shape))
    for place, question in enumerate(asked):
        assert isinstance(question, Proportion)
        found = _evidence(question, policy, world, step, runs, width)
        aborts[place] = found.abort
        with np.errstate(divide="ignore"):
            worse = found.warn + np.log(omega[place]) + math.log(policy.alpha.freeze)
            proved = found.warn + np.log(lethal[place]) + math.log(policy.alpha.abort)
        settled = found.promote + math.log(policy.alpha.promote)
        frozen |= (worse >= 0) & (settled < 0)
        stuck = (proved >= -NEAR) & (settled < NEAR)
        harmful |= _standing(stuck, found.used, int(policy.freeze_limit / world.look - NEAR))
        if question.needed and question.may is not May.REPORT:
            promising &= (found.taken >= -math.log(policy.alpha.step) - NEAR) & ~((worse >= NEAR) & (settled < -NEAR))
            if world.next_weight(step) >= 1:
                promising &= settled >= -NEAR
    for row in range(len(runs)):
        harmful[row] |= merged(aborts[:, row], lethal) >= -math.log(policy.alpha.abort) - NEAR
    return _Curves(harmful=harmful, frozen=frozen, promising=promising, width=width)


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
    """Log E_warn, A*, P and P_step of one question, and which looks were used; each (N, K)."""

    warn: FloatArray
    abort: FloatArray
    promote: FloatArray
    taken: FloatArray
    used: BoolArray


def _evidence(question: Proportion, policy: Policy, world: World, step: int, runs: list[_Run], width: int) -> _Evidence:
    shape = len(runs), width
    result = {name: np.zeros(shape) for name in ("warn", "abort", "promote", "taken")}
    used = np.zeros(shape, dtype=bool)
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
        result["warn"][rows], result["promote"][rows], result["taken"][rows] = warn, promote, taken
        result["abort"][rows] = demanded(warn, tolerated, policy.alpha)
    return _Evidence(**result, used=used)


def _step_evidence(prepared: Prepared, null: Null, share: FloatArray, runs: list[_Run], width: int) -> FloatArray:
    """Return log P_step at the looks of this step: it begins anew wherever the traffic is seen to have changed."""
    first_new = np.array([width - run.looks + run.begun for run in runs])
    columns = np.arange(width)
    marks = np.where(prepared.steps, columns, -1)
    starts = np.maximum(np.maximum.accumulate(marks, axis=1), 0)
    taken = np.zeros((len(runs), width))
    from_here = np.maximum(first_new - 1, 0)
    begins = {int(start) for row, first in enumerate(from_here) for start in np.unique(starts[row, first:])}
    for start in sorted(begins):
        mine = (starts == start) & (columns >= from_here[:, None])
        rows = np.flatnonzero(mine.any(axis=1))
        part = _rows(prepared, rows)
        since = np.maximum(part.first, start)
        slack = np.asarray(null.slack)[rows]
        found = no_worse(part, Null(ratio=null.ratio, slack=slack), share[rows], since, since)
        taken[rows] = np.where(mine[rows], found, taken[rows])
    return taken


def _rows(prepared: Prepared, rows: Integers) -> Prepared:
    """Return what a promote process needs of some releases."""
    return replace(prepared, looks=prepared.looks.chosen(rows), first=prepared.first[rows])


def _arms(question: Proportion, runs: list[_Run], width: int, learned: bool) -> Arms:
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


def _decided(run: _Run, step: int, found: _Curves, row: int, since: int) -> bool:
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
        lasted = (look - 1 - run.begun) * world.look
        old_enough = lasted >= run.release.policy.min_step and look - 1 - run.begun >= 1
        if not (found.harmful[row, column] or (found.promising[row, column] and old_enough)):
            continue
        verdict = _judged(run, step, look)
        if verdict is Verdict.ABORT:
            run.frozen = True
            return _end(run, "aborted", look, world.weights[step])
        if verdict is Verdict.PROMOTE:
            if world.next_weight(step) >= 1:
                return _end(run, "promoted", look, 1.0)
            _cut(run, look)
            return True
    return _end(run, "held", world.looks, world.weights[step]) if run.looks >= world.looks else False


def _cut(run: _Run, looks: int) -> None:
    """Forget what was drawn of a weight beyond its last look."""
    del run.stable[looks:], run.canary[looks:]
    for sides in run.bad.values():
        for side in sides:
            del side[looks:]


def _end(run: _Run, outcome: str, look: int, weight: float) -> bool:
    requests = float(np.nansum(np.array(run.canary[:look])))
    seconds = look * run.release.world.look
    harmed = harm_of(run.release, requests)
    run.ended = Ended(outcome=outcome, seconds=seconds, weight=weight, frozen=run.frozen, harmed=harmed)
    return True


def _judged(run: _Run, step: int, look: int) -> Verdict:
    """Return the verdict that is given when a look ends: on all looks before it."""
    world, policy = run.release.world, run.release.policy
    closed = look - 1
    questions = {}
    names = world.names
    for question in policy.questions:
        noise = run.noise[question.name]
        short = noise.counted < FEWEST_LOOKS
        canary, stable = (np.array(side[:closed]).T for side in run.bad[question.name])
        questions[question.name] = QuestionRecord(
            baseline=_side(names["baseline"], stable, np.array(run.stable[:closed]).T),
            canary=_side(names["canary"], canary, np.array(run.canary[:closed]).T),
            left_out=(None,) * closed,
            noise=noise,
            history=_side(names["baseline"], *run.past[question.name]) if short else None,
        )
    record = Record(
        grid=Grid(start=START, length=world.look),
        ends=START + world.look * np.arange(1, closed + 1, dtype=np.float64),
        questions=questions,
        weights=np.full(closed, math.nan),
        events=tuple(run.told),
    )
    following = world.next_weight(step)
    stage = Stage.FINAL if following >= 1 else Stage.STEP
    return judge(policy, record, float(record.ends[-1]), stage=stage, next_weight=following).verdict


def _side(names: tuple[str, ...], bad: FloatArray, total: FloatArray) -> SideSeries:
    """Return one side; replicas that never served are not in a record."""
    there = [row for row in range(len(names)) if not np.isnan(total[row]).all()]
    fields = {"bad": bad[there], "total": total[there]}
    return SideSeries(replicas=tuple(names[row] for row in there), fields=fields)
