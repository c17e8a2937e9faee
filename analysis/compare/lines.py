"""One line: a number per sample and side, judged as counts or by its size against natural variation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from analysis.compare.fractions import count_strength, counts_of
from analysis.compare.strengths import (
    CAP,
    FEWEST,
    SIGMAS,
    SIZE,
    SUSPICION,
    Strengths,
    before_and_after,
    moved_before,
    on_log_scale,
    placebo_sd,
    side_by_side,
)
from analysis.errors import InvalidInput
from analysis.grid import Floats
from analysis.types import BoolArray

ABORT: Final = 1.0
APPEARED: Final = 0.7
BLIND: Final = float(np.log(3.0))
FIVE_MINUTES: Final = 300.0
TEN_MINUTES: Final = 600.0
SHORTEST_HISTORY: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Line:
    """
    One metric of one release, a number per sample and side.

    Parameters
    ----------
    name : str
    sign : {1, -1, 0}
        Harm is a rise, a fall, or either (unknown).
    canary : (n,) float64
        NaN is missing.
    stable : (p,) float64
        Beside the canary, or the earlier time it is compared with.
    history : (h,) float64
        Stable just before ``stable``.
    required : bool
        Whether a promotion needs it to be visible.
    fraction : bool
        Whether values are shares of requests, so that they may be counts.
    requests : sequence of ((n,), (p,), (h,)) float64
        Request columns that may belong to a fraction: canary, stable, history; the first that fits is taken.
    pod_sd : float, optional
        Spread of pods in the difference, where a placebo has learned it.
    counter : bool
        Whether values are the growth of what was given.
    """

    name: str
    sign: int
    canary: Floats
    stable: Floats
    history: Floats = field(default_factory=lambda: np.zeros(0))
    required: bool = False
    fraction: bool = False
    requests: Sequence[tuple[Floats, Floats, Floats]] = ()
    pod_sd: float | None = None
    counter: bool = False

    def __post_init__(self) -> None:
        if self.sign not in (1, -1, 0):
            raise InvalidInput(f"must be 1, -1 or 0, got {self.sign!r}", "/sign")
        for side in ("canary", "stable", "history"):
            values = getattr(self, side)
            if values.ndim != 1 or np.isinf(values).any():
                raise InvalidInput("needs one finite number, or NaN, per sample", f"/{side}")

    def first(self, samples: int, beside: bool) -> Line:
        """Return what was there when the canary had ``samples`` samples; stable beside it is cut with it."""
        cut = samples if beside else len(self.stable)
        requests = tuple((c[:samples], s[:cut], h) for c, s, h in self.requests)
        return replace(self, canary=self.canary[:samples], stable=self.stable[:cut], requests=requests)

    def only(self, kept: BoolArray, beside: bool) -> Line:
        """Return the samples of the canary that are kept, (n,) or longer; those of stable beside it go with them."""

        def part(values: Floats, *, cut: bool = True) -> Floats:
            return values[kept[: len(values)]] if cut else values

        requests = tuple((part(c), part(s, cut=beside), h) for c, s, h in self.requests)
        return replace(self, canary=part(self.canary), stable=part(self.stable, cut=beside), requests=requests)


@dataclass(frozen=True, slots=True, kw_only=True)
class LineEvidence:
    """
    What one line shows.

    Parameters
    ----------
    name : str
    sign : int
    strength : float or None
        T; None where fewer than three samples of a side are there.
    ratio : float or None
        Estimated canary over stable; for a change of sign or a rise from zero on the compressed scale.
    sd : float or None
        Natural standard deviation of the effect, log ratio.
    proof : {"counts", "beside", "before_after", "zero"}
        How it was judged.
    blind : bool
        Whether even a tripling would not show.
    required : bool
    flags : tuple of str
        ``stable moved too``, ``noise not learned``, ``slow noise``, ``short pool``, ``one sample``, ``counter``.
    """

    name: str
    sign: int
    strength: float | None
    ratio: float | None = None
    sd: float | None = None
    proof: str = "beside"
    blind: bool = False
    required: bool = False
    flags: tuple[str, ...] = ()

    def change_for(self, strength: float) -> float | None:
        """Return the ratio that would have had this strength, for the reader; None where no noise was measured."""
        if self.sd is None:
            return None
        return float(np.exp(min(strength * max(SIZE, SIGMAS * self.sd), 700.0)))


def line_of_pods(
    name: str, sign: int, canary: Floats, stable: Floats, history: Floats, step_seconds: float, required: bool = False
) -> Line:
    """
    Return the line of a level that is seen pod by pod: means of the pods present, noise learned from stable.

    Parameters
    ----------
    name : str
    sign : {1, -1, 0}
    canary, stable : (R_c, n), (R_s, n) float64
        NaN is missing.
    history : (R_h, h) float64
        Stable before; h may be 0.
    step_seconds : float
        Time between samples.
    required : bool

    Returns
    -------
    Line
        With ``pod_sd`` if three or more stable pods were seen for a canary's time, ten minutes at least: in history,
        else beside the canary. Such a level is better asked pod by pod (`analysis.compare.gauges`); this serves
        where that is limited by pods or finds no scale.
    """
    block = max(canary.shape[1], math.ceil(TEN_MINUTES / step_seconds))
    spread = placebo_sd(history, block) if history.shape[1] else None
    spread = placebo_sd(stable, block) if spread is None else spread
    pods = [max(int(np.isfinite(v).any(axis=1).sum()), 1) for v in (canary, stable)]
    return Line(
        name=name,
        sign=sign,
        canary=_pod_mean(canary),
        stable=_pod_mean(stable),
        history=_pod_mean(history),
        required=required,
        pod_sd=None if spread is None else spread * math.sqrt(1 / pods[0] + 1 / pods[1]),
    )


def _pod_mean(values: Floats) -> Floats:
    known = np.isfinite(values)
    count = known.sum(axis=0)
    return np.where(count > 0, np.where(known, values, 0.0).sum(axis=0) / np.maximum(count, 1), np.nan)


def line_evidence(line: Line, beside: bool, step_seconds: float) -> LineEvidence:
    """
    Return what one line shows at the end of its samples.

    Parameters
    ----------
    line : Line
    beside : bool
        Whether ``canary`` and ``stable`` are samples of the same times; lines of unequal length never are.
    step_seconds : float
        Time between samples.
    """
    found = _as_counts(line)
    if found is not None:
        return found
    beside = beside and len(line.canary) == len(line.stable)
    canary, stable = line.canary, line.stable
    if beside:
        both = np.isfinite(canary) & np.isfinite(stable)
        canary, stable = canary[both], stable[both]
    canary, stable, history = (v[np.isfinite(v)] for v in (canary, stable, line.history))
    bare = LineEvidence(name=line.name, sign=line.sign, strength=None, required=line.required)
    if len(canary) < FEWEST or len(stable) < FEWEST:
        return bare
    level = float(np.abs(np.concatenate([history, stable])).mean())
    if level == 0:
        appeared = (canary != 0).mean() >= 0.5 and line.sign >= 0
        return LineEvidence(
            name=line.name,
            sign=line.sign,
            strength=APPEARED if appeared else 0.0,
            proof="zero",
            required=line.required,
            flags=("was always zero",) if appeared else (),
        )
    c, s, h = (on_log_scale(v[None] / level, np.ones(1)) for v in (canary, stable, history))
    if beside:
        block = max(1, round(FIVE_MINUTES / step_seconds))
        shown = side_by_side(c - s, line.sign, block, line.pod_sd)
        rest = _without_loudest(c - s, shown)
        alone = rest is not None and side_by_side(rest, line.sign, block, line.pod_sd).strength[0] < SUSPICION
        return _alone(_beside(line, shown, s, h), shown, alone=alone)
    shown = before_and_after(c, s, h, line.sign)
    rest = _without_loudest(c, shown)
    alone = rest is not None and before_and_after(rest, s, h, line.sign).strength[0] < SUSPICION
    return _alone(_described(line, shown, "before_after", "short pool"), shown, alone=alone)


def _without_loudest(values: Floats, found: Strengths) -> Floats | None:
    """
    Return samples (1, n) in which the one that speaks loudest for a strong effect is as the others are on average.

    None where nothing is strong.
    """
    if found.strength[0] < SUSPICION or values.shape[1] <= FEWEST:
        return None
    loudest = int((np.sign(found.effect[0]) * values[0]).argmax())
    calm = values.copy()
    calm[0, loudest] = np.delete(values[0], loudest).mean()
    return calm


def _alone(shown: LineEvidence, found: Strengths, *, alone: bool) -> LineEvidence:
    """Return evidence that holds at most where one single sample carries it: a spike is no regression."""
    if not alone or shown.strength is None or found.doubt[0]:
        return shown
    return replace(shown, strength=min(shown.strength, CAP), flags=(*shown.flags, "one sample"))


def _beside(line: Line, found: Strengths, stable: Floats, history: Floats) -> LineEvidence:
    """Return the evidence of a line beside stable, capped where stable itself left its history."""
    shown = _described(line, found, "beside", "noise not learned" if line.pod_sd is None else "slow noise")
    if shown.strength is None or shown.strength < ABORT or history.shape[1] < SHORTEST_HISTORY:
        return shown
    if not moved_before(stable, history, found.effect)[0]:
        return shown
    return replace(shown, strength=CAP, flags=(*shown.flags, "stable moved too"))


def _described(line: Line, found: Strengths, proof: str, doubt: str) -> LineEvidence:
    sd = float(found.sd[0])
    return LineEvidence(
        name=line.name,
        sign=line.sign,
        strength=float(found.strength[0]),
        ratio=float(np.exp(found.effect[0])),
        sd=sd,
        proof=proof,
        blind=sd * SIGMAS > BLIND,
        required=line.required,
        flags=(*((doubt,) if found.doubt[0] else ()), *(("counter",) if line.counter else ())),
    )


def _as_counts(line: Line) -> LineEvidence | None:
    """Return the evidence of a fraction that is a count, None if it is none."""
    if not line.fraction:
        return None
    for requests_c, requests_s, requests_h in line.requests:
        canary = counts_of(line.canary, requests_c)
        stable = counts_of(line.stable, requests_s)
        if canary is None or stable is None:
            continue
        earlier = counts_of(line.history, requests_h)
        if earlier is not None:
            stable = np.concatenate([earlier[0], stable[0]]), np.concatenate([earlier[1], stable[1]])
        found = count_strength(canary, stable, line.sign)
        if found is not None:
            return LineEvidence(
                name=line.name,
                sign=line.sign,
                strength=found.strength,
                ratio=found.ratio,
                proof="counts",
                required=line.required,
            )
    return None
