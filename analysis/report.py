"""
What ``judge`` says: evidence per question, and the report as a whole.

Both are plain frozen data; rendering lives in ``webhook``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from analysis import words
from analysis.questions import Question
from analysis.types import Effect, Json, Stage, State, Verdict, Window


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """
    The answer to one question.

    Parameters
    ----------
    name, kind : str
    state : State
    reason : str
        One line for a person on call, under 200 characters, with numbers, units and bounds.
    weight : str
        ``critical``, ``normal`` or ``info``.
    required, muted : bool
    may : str
        The strongest thing the question may do.
    proof : str
        ``sequential``, or ``variation``: the weaker one, of a series without counts. Empty for limits and silence.
    counts : mapping or None
        ``{"baseline": {"bad", "total", "rate", "replicas"}, "canary": {…}}`` where it counts; latencies have ``total``
        alone, levels ``level``, the mean over the run.
    effect : Effect or None
    log_e : mapping
        Natural logarithms of evidence by what it speaks for: ``worse``, ``tolerated`` (worse than
        tolerated), ``abort``, ``promote``, ``step``, ``better``. None where a process has not begun.
    goals : mapping
        What each of them needs, natural logarithms.
    odds : str or None
        The leading evidence in words.
    noise : mapping or None
        Dispersion and pod spread in use, with their source.
    forecast : mapping or None
        Canary requests and seconds still needed, for promotion and abort.
    advice : tuple of str
        What would make the decision quicker.
    limits : tuple of mapping
        Each fixed limit with value, bound and state.
    flags : tuple of str
        From a closed set, e.g. ``inconsistent_counters``, ``burst``, ``replicas_not_visible``.
    details : mapping
        Everything else that explains: burst look, start of the fault, steps.
    """

    name: str
    kind: str
    state: State
    reason: str
    weight: str = "normal"
    required: bool = True
    muted: bool = False
    may: str = "abort"
    proof: str = ""
    counts: Mapping[str, Json] | None = None
    effect: Effect | None = None
    log_e: Mapping[str, float | None] = field(default_factory=dict)
    goals: Mapping[str, float] = field(default_factory=dict)
    odds: str | None = None
    noise: Mapping[str, Json] | None = None
    forecast: Mapping[str, Json] | None = None
    advice: tuple[str, ...] = ()
    limits: tuple[Mapping[str, Json], ...] = ()
    flags: tuple[str, ...] = ()
    details: Mapping[str, Json] = field(default_factory=dict)


def about(question: Question, state: State, reason: str, **measured: Json) -> Evidence:
    """Return evidence that says its state, its reason, cut to one line, and what else the caller has measured."""
    return Evidence(
        name=question.name,
        kind=question.kind,
        state=state,
        reason=words.cut(reason),
        weight=question.weight.value,
        required=question.needed,
        muted=question.muted,
        may=question.may.value,
        **measured,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """
    The whole: a verdict with its reason and everything it rests on.

    Parameters
    ----------
    verdict : Verdict
    reason : str
        One line, under 200 characters: that of the question that decided, or of the slowest one on hold.
    stage : Stage
        Which demand was made.
    window : Window
    evidence : tuple of Evidence
        One per question of the policy, in its order.
    score : float
        0 to 100, for eyes: 100 times the smallest share of the proof still needed, over required questions; 0 on abort.
    forecast : mapping or None
        ``{"canary_requests", "seconds", "at_weight", "faster"}`` until the slowest required question decides.
    left_out : tuple of mapping
        ``{"question", "code", "text", "looks", "last"}``: what was not used, and why.
    flags, notes : tuple of str
    weight : float or None
        Share of traffic the canary was seen to get in the newest looks.
    next_weight : float or None
        The weight that a promotion would lead to.
    split : mapping or None
        Whether the canary got the requests that its weight promised, see `analysis.routing.Routed`; None where no
        weight was named.
    """

    verdict: Verdict
    reason: str
    stage: Stage
    window: Window
    evidence: tuple[Evidence, ...]
    score: float = 0.0
    forecast: Mapping[str, Json] | None = None
    left_out: tuple[Mapping[str, Json], ...] = ()
    flags: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    weight: float | None = None
    next_weight: float | None = None
    split: Mapping[str, Json] | None = None
