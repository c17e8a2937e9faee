"""
The weaker proof, ``proof: variation``: whether a canary shows more than what series do by themselves.

For series without counts: one line per side, a handful of samples, before/after pairs, unknown totals. One rule
for every source and metric, measured on labelled cases. It has no e-value and is never put among e-values; it
has states of its own, and what it says is a function of the record: standing is replayed over prefixes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from analysis.compare.lines import ABORT, Line, LineEvidence, line_evidence
from analysis.compare.strengths import FEWEST
from analysis.errors import InvalidInput
from analysis.types import State

WITNESS: Final = 0.8  # of two undirected metrics together
HOLD_ONE: Final = {False: 0.5, True: 0.6}  # by whether directions are unknown
HOLD_TWO: Final = 0.4
FEW_UNDIRECTED: Final = 3
ODD_ONE_IN: Final = 15
"""One odd line in so many is what equal pods show: with thirty lines or more a pair is no witness, three are."""
FEWEST_TO_ABORT: Final = 4
TWENTY_MINUTES: Final = 1200.0
STANDING: Final = 0.25  # of the canary's age


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
    lines = told(lines, beside)
    now = _at_once(lines, beside, step_seconds)
    if now.state is not State.WORSE:
        return now
    stood = _stood(lines, now.guilty, beside, step_seconds)
    state = State.WORSE if stood else State.DEGRADED
    reason = now.reason if stood else now.reason + ", not for long enough yet"
    return VariationEvidence(state=state, lines=now.lines, guilty=now.guilty, standing=stood, reason=reason)


def _stood(lines: Sequence[Line], guilty: Sequence[str], beside: bool, step_seconds: float) -> bool:
    """
    Return whether the looks before the last said abort too.

    A look at which the lines that now carry the abort had too few samples to be judged, or none that the look after it
    lacked, says nothing either way; one look at least must have agreed.
    """
    length = max((len(line.canary) for line in lines), default=0)
    learned = all(line.pod_sd is not None for line in lines)
    first = length - looks_back(length, step_seconds, beside=beside, learned=learned)
    seen = max((int(np.isfinite(line.canary).sum()) for line in lines), default=0)
    if seen < FEWEST_TO_ABORT or first < FEWEST:
        return False
    agreed, carrying = 0, [line for line in lines if line.name in guilty]
    known = _samples(carrying)
    for samples in range(length - 1, first - 1, -1):
        before = [line.first(samples, beside) for line in lines]
        fewer = _samples([line for line in before if line.name in guilty])
        if fewer == known:
            continue
        known = fewer
        if _one_aborts(before, guilty, beside, step_seconds):
            agreed += 1
            continue
        then = _at_once(before, beside, step_seconds)
        if then.state is State.WORSE:
            agreed += 1
        elif any(line.name in guilty and line.strength is not None for line in then.lines):
            return False
    return agreed > 0


def _one_aborts(lines: Sequence[Line], guilty: Sequence[str], beside: bool, step_seconds: float) -> bool:
    """Return whether a directed line of the guilty ones aborts by itself: then no other line needs to be asked."""
    return any(
        (line_evidence(line, beside, step_seconds).strength or 0.0) >= ABORT
        for line in lines
        if line.sign and line.name in guilty
    )


def _samples(lines: Sequence[Line]) -> int:
    return sum(int(np.isfinite(line.canary).sum()) for line in lines)


def told(lines: Sequence[Line], beside: bool) -> list[Line]:
    """
    Return lines without the samples in which no line of them told anything of the canary (beside: of both sides).

    A scrape that failed is no look: it neither ages the canary nor disagrees with anybody. Samples that one line lacks
    stay missing in it, so that lines keep their common clock.
    """
    length = max((len(line.canary) for line in lines), default=0)
    heard = np.zeros(length, dtype=np.bool_)
    for line in lines:
        here = np.isfinite(line.canary)
        if beside and len(line.stable) == len(line.canary):
            here = here & np.isfinite(line.stable)
        heard[: len(here)] |= here
    return list(lines) if heard.all() else [line.only(heard, beside) for line in lines]


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
    usual = max(1, len(judged) // ODD_ONE_IN)
    for state, group, one, single, two in (
        (State.WORSE, directed, ABORT, 1, np.inf),
        (State.WORSE, undirected, np.inf, 1, WITNESS),
        (State.DEGRADED, directed, HOLD_ONE[False], 1, HOLD_TWO),
        (State.DEGRADED, undirected, HOLD_ONE[True], usual, HOLD_TWO),
    ):
        guilty = _speaking(group, one, two, single, usual + 1)
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


def _speaking(group: Sequence[LineEvidence], one: float, two: float, single: int, several: int) -> list[LineEvidence]:
    """Return the lines that reach the bar of ``single`` lines alone, else the ``several`` that reach that of a pair."""
    alone = [e for e in group if e.strength is not None and e.strength >= one]
    pair = [e for e in group if e.strength is not None and e.strength >= two]
    return alone if len(alone) >= single else (pair if len(pair) >= several else [])


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
