"""
The weaker proof, ``proof: variation``: whether a canary shows more than what series do by themselves.

For series without counts: one line per side, a handful of samples, before/after pairs, unknown totals. One rule
for every source and metric, measured on labelled cases. It has no e-value and is never put among e-values; it
has states of its own, and what it says is a function of the record: standing is replayed over prefixes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from analysis.compare.fractions import count_strength, counts_of
from analysis.compare.lines import (
    CAP,
    FEWEST,
    SIGMAS,
    SIZE,
    Strengths,
    before_and_after,
    moved_before,
    on_log_scale,
    side_by_side,
)
from analysis.errors import InvalidInput
from analysis.grid import Floats
from analysis.types import State

ABORT: Final = 1.0
WITNESS: Final = 0.8  # of two undirected metrics together
HOLD_ONE: Final = {False: 0.5, True: 0.6}  # by whether directions are unknown
HOLD_TWO: Final = 0.4
FEW_UNDIRECTED: Final = 3
APPEARED: Final = 0.7
BLIND: Final = float(np.log(3.0))
FEWEST_TO_ABORT: Final = 4
FIVE_MINUTES: Final = 300.0
TWENTY_MINUTES: Final = 1200.0
SHORTEST_HISTORY: Final = 8
STANDING: Final = 0.25  # of the canary's age


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
        return Line(
            name=self.name,
            sign=self.sign,
            canary=self.canary[:samples],
            stable=self.stable[:cut],
            history=self.history,
            required=self.required,
            fraction=self.fraction,
            requests=tuple((c[:samples], s[:cut], h) for c, s, h in self.requests),
            pod_sd=self.pod_sd,
        )


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
        ``stable moved too``, ``noise not learned``, ``short pool``.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class VariationEvidence:
    """
    What all lines of a release say together.

    Parameters
    ----------
    state : State
        ``worse`` (abort), ``degraded`` (hold), ``within_variation`` (promote, the weaker proof), ``undecided`` (nothing
        could be judged, or it is blind).
    lines : tuple of LineEvidence
    guilty : tuple of str
        The lines that carry an abort or a hold, loudest first.
    standing : bool
        Whether an abort of the last look stood for a quarter of the canary's age; a last look that would abort and
        does not stand is ``degraded``.
    reason : str
        One line for a person.
    """

    state: State
    lines: tuple[LineEvidence, ...]
    guilty: tuple[str, ...] = ()
    standing: bool = False
    reason: str = ""


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
        return _beside(line, side_by_side(c - s, line.sign, block, line.pod_sd), s, h)
    return _described(line, before_and_after(c, s, h, line.sign), "before_after", "short pool")


def _beside(line: Line, found: Strengths, stable: Floats, history: Floats) -> LineEvidence:
    """Return the evidence of a line beside stable, capped where stable itself left its history."""
    shown = _described(line, found, "beside", "noise not learned" if line.pod_sd is None else "slow noise")
    if shown.strength is None or shown.strength < ABORT or history.shape[1] < SHORTEST_HISTORY:
        return shown
    if not moved_before(stable, history, found.effect)[0]:
        return shown
    return LineEvidence(
        name=shown.name,
        sign=shown.sign,
        strength=CAP,
        ratio=shown.ratio,
        sd=shown.sd,
        proof=shown.proof,
        blind=shown.blind,
        required=shown.required,
        flags=(*shown.flags, "stable moved too"),
    )


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
        flags=(doubt,) if found.doubt[0] else (),
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


def weigh(lines: Sequence[Line], *, beside: bool, step_seconds: float) -> VariationEvidence:
    """
    Return what the lines of a release say, standing included.

    Parameters
    ----------
    lines : sequence of Line
        Without context metrics: load has no vote.
    beside : bool
        Whether both sides were sampled at the same times.
    step_seconds : float
        Time between samples, > 0.

    Returns
    -------
    VariationEvidence
        ``worse`` only if every look of the last quarter of the canary's age said so, at least the one before the last,
        and, beside stable without learned noise, those of the last 20 minutes; the canary then has four samples.

    Notes
    -----
    Directed lines (a rise or a fall does harm, or there are at most three whose direction is unknown) abort at one
    T >= 1, hold at one >= 0.5 or two >= 0.4; undirected ones abort at two T >= 0.8, since a difference is not
    harm and one odd metric in fifteen is what equal pods show, and hold at one >= 0.6 or two >= 0.4.
    """
    if not (np.isfinite(step_seconds) and step_seconds > 0):
        raise InvalidInput(f"must be positive, got {step_seconds!r}", "/step_seconds")
    now = _at_once(lines, beside, step_seconds)
    if now.state is not State.WORSE:
        return now
    length = max((len(line.canary) for line in lines), default=0)
    learned = all(line.pod_sd is not None for line in lines)
    first = length - looks_back(length, step_seconds, beside=beside, learned=learned)
    seen = max((int(np.isfinite(line.canary).sum()) for line in lines), default=0)
    stood = seen >= FEWEST_TO_ABORT and first >= FEWEST
    for samples in range(length - 1, first - 1, -1):
        if not stood:
            break
        then = _at_once([line.first(samples, beside) for line in lines], beside, step_seconds)
        stood = then.state is State.WORSE
    state = State.WORSE if stood else State.DEGRADED
    reason = now.reason if stood else now.reason + ", not for long enough yet"
    return VariationEvidence(state=state, lines=now.lines, guilty=now.guilty, standing=stood, reason=reason)


def looks_back(samples: int, step_seconds: float, *, beside: bool, learned: bool) -> int:
    """Return how many looks before the last must have said abort too, for a canary of so many samples."""
    back = int(np.ceil(STANDING * samples))
    if beside and not learned:
        back = max(back, int(np.ceil(TWENTY_MINUTES / step_seconds)))
    return max(back, 1)


def _at_once(lines: Sequence[Line], beside: bool, step_seconds: float) -> VariationEvidence:
    """Return what one look says for itself."""
    return combined([line_evidence(line, beside, step_seconds) for line in lines])


def combined(found: Sequence[LineEvidence]) -> VariationEvidence:
    """Return what lines say together at one look."""
    judged = [e for e in found if e.strength is not None]
    loud = sorted(judged, key=lambda e: -(e.strength or 0.0))
    if not judged:
        return VariationEvidence(state=State.UNDECIDED, lines=tuple(found), reason="fewer than three samples on a side")
    vague = sum(e.sign == 0 for e in judged) > FEW_UNDIRECTED
    directed = [e for e in loud if not (vague and e.sign == 0)]
    undirected = [e for e in loud if vague and e.sign == 0]
    for state, group, one, two in (
        (State.WORSE, directed, ABORT, np.inf),
        (State.WORSE, undirected, np.inf, WITNESS),
        (State.DEGRADED, directed, HOLD_ONE[False], HOLD_TWO),
        (State.DEGRADED, undirected, HOLD_ONE[True], HOLD_TWO),
    ):
        guilty = _speaking(group, one, two)
        if guilty:
            return VariationEvidence(
                state=state, lines=tuple(found), guilty=tuple(e.name for e in guilty), reason=_words(guilty[0])
            )
    blind = [e for e in judged if e.blind and e.required]
    if blind or all(e.blind for e in judged):
        worst = blind[0] if blind else judged[0]
        return VariationEvidence(
            state=State.UNDECIDED,
            lines=tuple(found),
            reason=f"{worst.name}: varies so much that a tripling would not show",
        )
    return VariationEvidence(
        state=State.WITHIN_VARIATION, lines=tuple(found), reason=f"{loud[0].name}: within natural variation"
    )


def _speaking(group: Sequence[LineEvidence], one: float, two: float) -> list[LineEvidence]:
    """Return the lines that reach the bar of one line alone, else the two or more that reach that of a pair."""
    alone = [e for e in group if e.strength is not None and e.strength >= one]
    pair = [e for e in group if e.strength is not None and e.strength >= two]
    return alone or (pair if len(pair) >= 2 else [])


def _words(line: LineEvidence) -> str:
    if line.proof == "zero" or line.ratio is None:
        return f"{line.name}: was always zero, is not any more"
    bar = line.change_for(ABORT)
    told = f", {bar:.2f}x would be beyond natural variation" if bar is not None else ""
    moved = "; stable moved too" if "stable moved too" in line.flags else ""
    return f"{line.name}: {line.ratio:.2f}x of stable{told}{moved}"


def suspect(log_e: float, without: Mapping[str, float], odds: float = 10.0) -> str | None:
    """
    Return the one canary replica that carries the evidence against all of them.

    Parameters
    ----------
    log_e : float
        Log evidence for an abort with every replica.
    without : mapping of str to float
        The same evidence with one replica left out, by its name; at least three replicas, or nothing is suspect.
    odds : float
        What must be left of the evidence without the loudest replica.

    Returns
    -------
    str or None
        The replica without which the evidence is smallest, if it then lies below ``odds``: a node or a pod is on fire,
        not the release. None if the others are as bad, or if nothing reached ``odds`` in the first place.
    """
    if len(without) < FEWEST or log_e < np.log(odds):
        return None
    loudest = min(without, key=lambda name: (without[name], name))
    return loudest if without[loudest] < np.log(odds) else None
