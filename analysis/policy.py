"""
What is asked of a release and how strictly.

A policy is plain data: its questions (see ``questions.py``) and the figures that hold for all of them.
Defaults are those of the default configuration, whose false-alarm rates ``make calibrate`` measures.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from analysis.drift import MOST_DAYS
from analysis.errors import InvalidPolicy
from analysis.questions import (
    NAME,
    OMEGA,
    Gauge,
    Group,
    Latency,
    LatencyTolerance,
    Limit,
    Limits,
    Objective,
    Proportion,
    Quantile,
    Question,
    Rate,
    Ratio,
    Select,
    Tolerance,
    positive,
    share,
)
from analysis.types import Mode

__all__ = [
    "JUDGED",
    "NAME",
    "OMEGA",
    "Alphas",
    "Deadline",
    "Gauge",
    "Group",
    "Latency",
    "LatencyTolerance",
    "Limit",
    "Limits",
    "Looks",
    "Objective",
    "Policy",
    "Proportion",
    "Quantile",
    "Question",
    "Rate",
    "Ratio",
    "Select",
    "Tolerance",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """
    The cadence of a record, in seconds; ``None`` stands for ``auto``.

    ``scrape`` auto is measured on the source, ``length`` auto is ``max(2 scrapes, 10 s)``, ``lag`` auto
    is one scrape: a look closes that much after its end, and never sooner. ``warm_up`` is what is skipped of young
    replicas.
    """

    scrape: float | None = None
    length: float | None = None
    lag: float | None = None
    warm_up: float | None = None

    def __post_init__(self) -> None:
        for name in ("scrape", "length"):
            value = getattr(self, name)
            if value is not None:
                positive(f"/looks/{name}", value)
        for name in ("lag", "warm_up"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise InvalidPolicy(f"must not be negative, got {value!r}", f"/looks/{name}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Alphas:
    """Accepted error rates, each in (0, 1): per release for abort and freeze, per question for promote and step."""

    abort: float = 0.001
    tolerated: float = 1 / 3
    freeze: float = 0.01
    promote: float = 0.05
    step: float = 0.2

    def __post_init__(self) -> None:
        for name in ("abort", "tolerated", "freeze", "promote", "step"):
            share(f"/alpha/{name}", getattr(self, name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """
    What happens when a release is still undecided ``after`` seconds: it never changes an alpha.

    ``then`` is ``"hold"``, ``"abort"`` or ``"promote_if"``; the last promotes while the upper bound of
    the ratio of every required question lies below ``limit``.
    """

    after: float = 4 * 3600.0
    then: str = "hold"
    limit: float | None = None

    def __post_init__(self) -> None:
        positive("/deadline/after", self.after)
        if self.then not in ("hold", "abort", "promote_if"):
            raise InvalidPolicy(f"must be hold, abort or {{promote_if: ratio}}, got {self.then!r}", "/deadline/then")
        if (self.then == "promote_if") != (self.limit is not None):
            raise InvalidPolicy("promote_if needs a ratio, and only it has one", "/deadline/then")
        if self.limit is not None:
            positive("/deadline/then/promote_if", self.limit)


JUDGED = frozenset(kind.kind for kind in (Proportion, Rate, Ratio, Latency, Gauge, Quantile, Limits))
"""Kinds that this version judges. Others are parsed, may be muted and named by a limit, and are refused otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """
    Everything that is asked of a release.

    ``days`` earlier days, at most 14, are read where the baseline is gone.
    Durations are seconds, ``steps`` are shares of traffic in (0, 1], ``harm_budget`` counts bad events.
    ``split`` says what a traffic split that is not the configured one does: ``hold`` or ``report``.
    ``match`` lists globs of namespace and name; ``digest`` is the hash of the content that was read.
    """

    name: str
    questions: tuple[Question, ...]
    preset: tuple[str, ...] = ()
    digest: str = ""
    match: tuple[tuple[str, str], ...] = ()
    mode: Mode | None = None
    controller: str = "none"
    source: str = "default"
    select: Select = field(default_factory=Select)
    looks: Looks = field(default_factory=Looks)
    history: float = 4 * 3600.0
    days: int = 14
    alpha: Alphas = field(default_factory=Alphas)
    freeze_limit: float = 600.0
    harm_budget: float = 20.0
    steps: tuple[float, ...] = ()
    min_step: float = 120.0
    min_requests: float = 0
    deadline: Deadline = field(default_factory=Deadline)
    first_traffic: float = 300.0
    split: str = "hold"
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise InvalidPolicy(f"must be lower-case letters, digits and inner dashes, got {self.name!r}", "/name")
        if self.controller not in ("argo", "flagger", "none"):
            raise InvalidPolicy(f"must be argo, flagger or none, got {self.controller!r}", "/controller")
        if not 0 <= self.days <= MOST_DAYS:
            raise InvalidPolicy(f"must lie in [0, {MOST_DAYS}], got {self.days!r}", "/noise/days")
        if self.split not in ("hold", "report"):
            raise InvalidPolicy(f"must be hold or report, got {self.split!r}", "/split")
        positive("/harm_budget", self.harm_budget)
        names = [question.name for question in self.questions]
        for number, name in enumerate(names):
            if name in names[:number]:
                raise InvalidPolicy(f"must be unique, got {name!r} twice", f"/questions/{number}/name")
        for number, question in enumerate(self.questions):
            if isinstance(question, Limits):
                self._known(question.group, names, f"/questions/{number}")
        if any(not 0 < step <= 1 for step in self.steps) or list(self.steps) != sorted(set(self.steps)):
            raise InvalidPolicy(f"must rise within (0, 1], got {list(self.steps)!r}", "/steps")

    def _known(self, group: Group, names: list[str], place: str) -> None:
        for member in group.members:
            if isinstance(member, Group):
                self._known(member, names, place)
            elif member.question not in names:
                raise InvalidPolicy(f"names no question of this policy: {member.question!r}", place)

    @property
    def label(self) -> str:
        """Return ``name@digest8``, as shown to callers."""
        return f"{self.name}@{self.digest[:8]}" if self.digest else self.name

    def question(self, name: str) -> Question:
        """Return the question called ``name``; raise ``KeyError`` if there is none."""
        for question in self.questions:
            if question.name == name:
                return question
        raise KeyError(name)

    @property
    def unjudged(self) -> tuple[str, ...]:
        """Return the names of questions of a kind that this version does not judge and that are not muted."""
        return tuple(q.name for q in self.questions if q.kind not in JUDGED and not q.muted)
