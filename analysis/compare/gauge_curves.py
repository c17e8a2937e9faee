"""
Evidence for a level from its paired differences, at every look, and what of it is remembered from call to call.

``paired.py`` says how the difference and its variance come about, ``analysis/student.py`` what evidence they are.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import Final

import numpy as np

from analysis.compare.gauge_arms import GaugeArms, batch_of
from analysis.compare.gauge_scale import SCALE_SLOTS, Scale, batch_of_scales, never_vanishes, vanishes
from analysis.compare.paired import BY_LOOK, Paired, PairSums, later_pairs
from analysis.errors import InvalidInput
from analysis.grid import Floats
from analysis.policy import Alphas
from analysis.resumed import Resumed, Trail, in_batches
from analysis.student import log_mixture
from analysis.types import Direction
from analysis.watched import Watched


@dataclass(frozen=True, slots=True, kw_only=True)
class GaugeQuestion:
    """
    What is asked: harm means ``canary > ratio baseline + slack`` (decrease: ``canary < baseline/ratio - slack``).

    Parameters
    ----------
    ratio : float, >= 1
        For a level near zero, or one that changes its sign, the excess ``ratio - 1`` means so much of the root mean
        square of stable.
    slack : float, >= 0
        In the unit of the metric.
    direction : Direction
    scale : {"auto", "log"}
        ``log`` for published quantiles.
    alphas : Alphas
    """

    ratio: float = 1.25
    slack: float = 0.0
    direction: Direction = Direction.INCREASE
    scale: Scale = "auto"
    alphas: Alphas = field(default_factory=Alphas)

    def __post_init__(self) -> None:
        if not (np.isfinite(self.ratio) and self.ratio >= 1):
            raise InvalidInput(f"must be at least 1, got {self.ratio!r}", "/tolerance/ratio")
        if not (np.isfinite(self.slack) and self.slack >= 0):
            raise InvalidInput(f"must not be negative, got {self.slack!r}", "/tolerance/absolute")

    @property
    def sign(self) -> float:
        """1 where a rise does harm, -1 where a fall does."""
        return -1.0 if self.direction is Direction.DECREASE else 1.0

    def boundary(self, level: Floats) -> Floats:
        """Return the tolerated difference in the harmful direction, at levels of stable (0: none is known)."""
        if self.scale == "log":
            return np.full(level.shape, np.log(self.ratio))
        excess = 1 - 1 / self.ratio if self.sign < 0 else self.ratio - 1
        return np.asarray(excess + self.slack / np.where(level > 0, level, np.inf))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Curves:
    """Log evidence of N releases at K looks, (N, K): worse, beyond the tolerance, within it, better."""

    warn: Floats
    tolerated: Floats
    promote: Floats
    better: Floats


Asked = GaugeQuestion | Sequence[GaugeQuestion]
"""One question for all releases, or one for each."""


def _of_each(question: Asked, level: Floats) -> tuple[Floats, Floats]:
    """Return, (N, 1), the direction of harm, and, (N, K), the tolerated difference at levels of stable."""
    if isinstance(question, GaugeQuestion):
        return np.array([[question.sign]]), question.boundary(level)
    edges = [each.boundary(level[row : row + 1]) for row, each in enumerate(question)]
    return np.array([[each.sign] for each in question]), np.concatenate(edges)


def curves(paired: Paired, question: Asked) -> Curves:
    """
    Return the evidence of N releases at every look.

    Parameters
    ----------
    paired : Paired
        From `analysis.compare.paired.pair`.
    question : GaugeQuestion, or one for each release

    Returns
    -------
    Curves
        0 wherever nothing is known yet. Where both sides were one constant, equal value, "worse" and "better" stay
        at 0 or below: nothing varied, so nothing was shown.
    """
    sign, edge = _of_each(question, paired.level)
    harm = sign * paired.mean
    excess = np.array([harm, harm - edge, edge - harm, -harm])
    warn, tolerated, promote, better = np.where(paired.known, log_mixture(excess, paired.variance, paired.dof), 0.0)
    return Curves(warn=warn, tolerated=tolerated, promote=promote, better=better)


def promoted(paired: Paired, question: Asked) -> Floats:
    """Return the log evidence of "within the tolerance" alone, (N, K): as in `curves`."""
    sign, edge = _of_each(question, paired.level)
    return np.where(paired.known, log_mixture(edge - sign * paired.mean, paired.variance, paired.dof), 0.0)


_CURVES: Final = tuple(each.name for each in fields(Curves))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Looked:
    """What one release showed at every look, (1, K): pairs, evidence, and "within the tolerance" step by step."""

    paired: Paired
    curves: Curves
    step: Floats


def looked(
    arms: Sequence[GaugeArms], questions: Sequence[GaugeQuestion], marks: Sequence[Sequence[int]]
) -> list[Looked]:
    """
    Return what releases showed at every look; of looks that an earlier call had seen nothing is computed again.

    Parameters
    ----------
    arms : sequence of GaugeArms
        Of one release each; those that are alike are one batch.
    questions : sequence of GaugeQuestion
    marks : sequence of sequences of int
        Looks, but the first, at which a weight step began.
    """
    begun = [_Begun(each) for each in arms]
    return in_batches(
        [_kin(*each) for each in zip(begun, marks, strict=True)],
        lambda places: _looked([questions[n] for n in places], [begun[n] for n in places], marks[places[0]]),
    )


class _Begun:
    """One release, what tells its history from others, its scales, and the level below which a ratio is none."""

    def __init__(self, arms: GaugeArms) -> None:
        self.arms, self.mark = arms, arms.history_mark
        self.scales = arms.scales(self.mark)
        self.steady = never_vanishes(arms.baseline)
        if not self.steady:
            self.steady = not self.scales.ratio.any() or not vanishes(arms.values(arms.baseline, slice(None))).any()

    @property
    def lasting(self) -> bool:
        """Whether what was found of a look holds: the scale is known, and early slots do not hang on later ones."""
        return self.steady and bool(self.arms.upto[-1] >= SCALE_SLOTS)


def _kin(begun: _Begun, marks: Sequence[int]) -> Hashable:
    """Return what releases have in common that can be looked at as one batch; nothing has what nobody else has."""
    if not begun.lasting:
        return id(begun)
    arms, scales = begun.arms, begun.scales
    shapes = arms.canary.shape, arms.baseline.shape, arms.history.shape
    scale = scales.ratio.tobytes(), scales.learned.tobytes(), arms.scale
    return *shapes, *scale, arms.stretch, arms.upto.tobytes(), tuple(marks)


def _looked(questions: Sequence[GaugeQuestion], begun: Sequence[_Begun], marks: Sequence[int]) -> Iterator[Looked]:
    """Yield what releases showed that have everything of `_kin` in common."""
    arms = batch_of([each.arms for each in begun])
    floor = None if begun[0].steady else arms.floor()

    def advance(first: int, past: PairSums | None) -> tuple[Floats, PairSums]:
        scales = batch_of_scales([each.scales for each in begun]) if past is None else past.scales
        whole, steps, sums = later_pairs(arms, scales, floor, first, past, marks)
        found = curves(whole, questions)
        step = found.promote.copy()
        for begin, paired in steps:
            step[:, begin - first : begin - first + paired.mean.shape[1]] = promoted(paired, questions)
        columns = (*(getattr(whole, name) for name in BY_LOOK), *(getattr(found, name) for name in _CURVES), step)
        table = np.empty((*step.shape, len(columns)))
        for place, column in enumerate(columns):
            table[..., place] = column
        return table, sums

    if begun[0].lasting:
        asked = *((each.ratio, each.slack, each.sign) for each in questions), arms.scale, arms.stretch, *marks
        own = b"".join([repr(asked).encode(), *(each.mark for each in begun)])
        table, sums = RUNS.run(own, _trail(arms), advance)
    else:
        table, sums = advance(0, None)
    for row in range(len(begun)):
        found = dict(zip((*BY_LOOK, *_CURVES), table[row : row + 1].transpose(2, 0, 1)[:-1], strict=True))
        told = {name: found[name] > 0 for name in ("ratio", "bets", "known")}
        learned = sums.scales.learned[row : row + 1]
        yield Looked(
            paired=Paired(**{name: found[name] for name in BY_LOOK} | told, learned=learned),
            curves=Curves(**{name: found[name] for name in _CURVES}),
            step=table[row : row + 1, :, -1],
        )


def _trail(arms: GaugeArms) -> Trail:
    """Return what tells the looks of releases."""
    columns = [*(side.swapaxes(1, 2) for side in (arms.canary, arms.baseline)), arms.left_out.astype(np.float64)]
    every_slot = len(arms.upto) == arms.canary.shape[2] == arms.upto[-1] and bool(
        (arms.upto[1:] - arms.upto[:-1] == 1).all()
    )
    return Watched(columns, None if every_slot else arms.upto)


RUNS: Final[Resumed[PairSums]] = Resumed(shared=True)
"""What releases showed when they were looked at before."""
