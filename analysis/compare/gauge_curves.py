"""
Evidence for a level from its paired differences, at every look, and what of it is remembered from call to call.

``paired.py`` says how the difference and its variance come about, ``analysis/student.py`` what evidence they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Final

import numpy as np

from analysis.compare.gauge_arms import GaugeArms
from analysis.compare.gauge_scale import SCALE_SLOTS, Scale, never_vanishes, vanishes
from analysis.compare.paired import BY_LOOK, Paired, PairSums, later_pairs
from analysis.errors import InvalidInput
from analysis.grid import Floats
from analysis.policy import Alphas
from analysis.resumed import Resumed, Trail
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


def curves(paired: Paired, question: GaugeQuestion) -> Curves:
    """
    Return the evidence of N releases at every look.

    Parameters
    ----------
    paired : Paired
        From `analysis.compare.paired.pair`.
    question : GaugeQuestion

    Returns
    -------
    Curves
        0 wherever nothing is known yet. Where both sides were one constant, equal value, "worse" and "better" stay
        at 0 or below: nothing varied, so nothing was shown.
    """
    harm = question.sign * paired.mean
    edge = question.boundary(paired.level)
    excess = np.array([harm, harm - edge, edge - harm, -harm])
    warn, tolerated, promote, better = np.where(paired.known, log_mixture(excess, paired.variance, paired.dof), 0.0)
    return Curves(warn=warn, tolerated=tolerated, promote=promote, better=better)


def promoted(paired: Paired, question: GaugeQuestion) -> Floats:
    """Return the log evidence of "within the tolerance" alone, (N, K): as in `curves`."""
    excess = question.boundary(paired.level) - question.sign * paired.mean
    return np.where(paired.known, log_mixture(excess, paired.variance, paired.dof), 0.0)


_CURVES: Final = tuple(each.name for each in fields(Curves))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Looked:
    """What one release showed at every look, (1, K): pairs, evidence, and "within the tolerance" step by step."""

    paired: Paired
    curves: Curves
    step: Floats


def looked(arms: GaugeArms, question: GaugeQuestion, marks: Sequence[int]) -> Looked:
    """
    Return what one release showed at every look; of looks that an earlier call had seen nothing is computed again.

    Parameters
    ----------
    arms : GaugeArms
        Of one release.
    question : GaugeQuestion
    marks : sequence of int
        Looks, but the first, at which a weight step began.
    """
    mark = arms.history_mark
    steady = never_vanishes(arms.baseline)
    if not steady:
        values = arms.values(arms.baseline, slice(None))
        steady = not arms.scales(mark).ratio.any() or not vanishes(values).any()
    floor = None if steady else arms.floor()

    def advance(first: int, past: PairSums | None) -> tuple[Floats, PairSums]:
        scales = arms.scales(mark) if past is None else past.scales
        whole, steps, sums = later_pairs(arms, scales, floor, first, past, marks)
        found = curves(whole, question)
        step = found.promote.copy()
        for begin, paired in steps:
            step[:, begin - first : begin - first + paired.mean.shape[1]] = promoted(paired, question)
        columns = (*(getattr(whole, name) for name in BY_LOOK), *(getattr(found, name) for name in _CURVES), step)
        table = np.empty((*step.shape, len(columns)))
        for place, column in enumerate(columns):
            table[..., place] = column
        return table, sums

    if steady and arms.upto[-1] >= SCALE_SLOTS:
        asked = question.ratio, question.slack, question.sign, arms.scale, arms.stretch, *marks
        table, sums = RUNS.run(repr(asked).encode() + mark, _trail(arms), advance)
    else:  # the scale is still looked for, or how stable's level is cut off in early slots hangs on later ones
        table, sums = advance(0, None)
    found = dict(zip((*BY_LOOK, *_CURVES), table.transpose(2, 0, 1)[:-1], strict=True))
    told = {name: found[name] > 0 for name in ("ratio", "bets", "known")}
    return Looked(
        paired=Paired(**{name: found[name] for name in BY_LOOK} | told, learned=sums.scales.learned),
        curves=Curves(**{name: found[name] for name in _CURVES}),
        step=table[..., -1],
    )


def _trail(arms: GaugeArms) -> Trail:
    """Return what tells the looks of one release."""
    columns = [*(side.swapaxes(1, 2) for side in (arms.canary, arms.baseline)), arms.left_out.astype(np.float64)]
    every_slot = len(arms.upto) == arms.canary.shape[2] == arms.upto[-1] and bool(
        (arms.upto[1:] - arms.upto[:-1] == 1).all()
    )
    return Watched(columns, None if every_slot else arms.upto)


RUNS: Final[Resumed[PairSums]] = Resumed(shared=True)
"""What releases showed when they were looked at before."""
