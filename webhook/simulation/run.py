"""One release on its way through the batch: what it counted look by look, its record, and what holds it back."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from analysis.compare.counts_flags import LONE_LOOKS
from analysis.judge import FEWEST_STEP_LOOKS
from analysis.noise import FEWEST_LOOKS, Noise, learn
from analysis.record import Grid, QuestionRecord, Record, SideSeries
from analysis.silences import STALE_AFTER, STALE_LOOKS
from analysis.types import FloatArray, Json
from analysis.weighing import harm_of as proved_harm
from analysis.weighing import weigh
from webhook.simulation.played import Ended, harm_of
from webhook.simulation.world import BEFORE, START, Release

NEAR = 1e-6
"""Slack of a comparison of times, in looks."""


@dataclass(slots=True, kw_only=True)
class Run:
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


def begun(release: Release) -> Run:
    """Return a release before its first look, with what stable taught before it."""
    world = release.world
    stable, _ = release.requests(BEFORE, world.earlier + 1)
    past = {}
    noise = {}
    for question in release.policy.questions:
        bad = release.bad(question, BEFORE, "baseline", stable)
        past[question.name] = bad[: world.earlier].T, stable[: world.earlier].T
        noise[question.name] = learn(*past[question.name], np.full(world.earlier, world.look), True)
    names = [question.name for question in release.policy.questions]
    return Run(release=release, noise=noise, past=past, bad={name: ([], []) for name in names})


def draw(run: Run, step: int, looks: int) -> None:
    """Let looks pass at the weight of a step."""
    world = run.release.world
    stable, canary = run.release.requests(step, looks)
    canary[:, world.canaries(step) :] = math.nan
    run.stable += list(stable)
    run.canary += list(canary)
    for question in run.release.policy.questions:
        for place, (side, total) in enumerate((("canary", canary), ("baseline", stable))):
            bad = run.release.bad(question, step, side, np.nan_to_num(total))
            run.bad[question.name][place].extend(np.where(np.isnan(total), math.nan, bad))


def cut(run: Run, looks: int) -> None:
    """Forget what was drawn of a weight beyond its last look."""
    del run.stable[looks:], run.canary[looks:]
    for sides in run.bad.values():
        for side in sides:
            del side[looks:]


def end_of(run: Run, outcome: str, look: int, weight: float) -> bool:
    """End a release with an outcome when a look ends, at a weight; return True."""
    requests = float(np.nansum(np.array(run.canary[:look])))
    seconds = look * run.release.world.look
    harmed = harm_of(run.release, requests)
    run.ended = Ended(outcome=outcome, seconds=seconds, weight=weight, frozen=run.frozen, harmed=harmed)
    return True


def held_back(run: Run, look: int, changed: int, *, final: bool) -> bool:
    """
    Return whether something holds a release at the end of a look that its evidence would promote.

    Silence of the canary, no baseline any more, or a step that is too young; ``changed`` is the look at which the
    record shows that it began, which may be some looks late, and ``final`` whether all is proved for good.
    """
    world, closed = run.release.world, look - 1
    canary = np.nansum(np.array(run.canary[:closed]), axis=1)
    stable = np.nansum(np.array(run.stable[:closed]), axis=1)
    if not canary.any() or not stable.any():
        return True
    quiet = closed - 1 - int(np.flatnonzero(canary)[-1])
    if quiet >= STALE_LOOKS and quiet * world.look >= STALE_AFTER:
        return True
    serving = np.flatnonzero(canary + stable > 0)[-LONE_LOOKS:]
    if not stable[serving].any() and not final:
        return True
    began = START + changed * world.look
    if run.told and began < run.told[-1]["after"]:
        began = max(began, run.told[-1]["time"])
    end = START + closed * world.look
    looks = math.floor((end - began) / world.look + NEAR)
    fewest = FEWEST_STEP_LOOKS if run.release.policy.min_step > 0 else int(bool(run.told))
    return max(0.0, end - began) < run.release.policy.min_step or looks < fewest


def aborted(run: Run, look: int) -> bool:
    """Return whether the harm is proved when a look ends, by all looks before it: the rule of the judge."""
    record = _record(run, look - 1)
    return proved_harm(run.release.policy, record, weigh(run.release.policy, record, None)).proved


def _record(run: Run, closed: int) -> Record:
    """Return the record of the first looks of a release."""
    world, policy = run.release.world, run.release.policy
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
    return Record(
        grid=Grid(start=START, length=world.look),
        ends=START + world.look * np.arange(1, closed + 1, dtype=np.float64),
        questions=questions,
        weights=np.full(closed, math.nan),
        events=tuple(run.told),
    )


def _side(names: tuple[str, ...], bad: FloatArray, total: FloatArray) -> SideSeries:
    """Return one side; replicas that never served are not in a record."""
    there = [row for row in range(len(names)) if not np.isnan(total[row]).all()]
    fields = {"bad": bad[there], "total": total[there]}
    return SideSeries(replicas=tuple(names[row] for row in there), fields=fields)
