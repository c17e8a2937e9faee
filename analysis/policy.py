"""
What is asked of a release and how strictly: frozen dataclasses, one per kind of question.

A policy is plain data. Parsing and wire names live in ``webhook``; here stand the shapes, the
defaults and the rules that hold between fields. Defaults are those of the default configuration
(``docs/statistics.md``), whose false-alarm rates are measured by ``make calibrate``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from analysis.errors import InvalidPolicy
from analysis.types import Direction, May, Mode, NoData, Weight

NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
OMEGA = {Weight.CRITICAL: 1.0, Weight.NORMAL: 0.5, Weight.INFO: 0.0}


def _positive(place: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise InvalidPolicy(f"must be a positive number, got {value!r}", place)


def _share(place: str, value: float) -> None:
    if not 0 < value < 1:
        raise InvalidPolicy(f"must lie strictly between 0 and 1, got {value!r}", place)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """
    Harm that is accepted: harm means ``p_canary > ratio * p_baseline + absolute``.

    Parameters
    ----------
    ratio : float, >= 1
    absolute : float, >= 0
        In the unit of the metric; a share for proportions (0.001 is 0.1 percentage points).
    """

    ratio: float = 1.5
    absolute: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.ratio) and self.ratio >= 1):
            raise InvalidPolicy(f"must be at least 1, got {self.ratio!r}", "/tolerance/ratio")
        if not (math.isfinite(self.absolute) and self.absolute >= 0):
            raise InvalidPolicy(f"must not be negative, got {self.absolute!r}", "/tolerance/absolute")


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyTolerance:
    """Accepted harm of a latency: ``shift`` of the log-mean and ``exceedance`` ratio at an edge, both >= 1."""

    shift: float = 1.25
    exceedance: float = 2.0

    def __post_init__(self) -> None:
        for name, value in (("shift", self.shift), ("exceedance", self.exceedance)):
            if not (math.isfinite(value) and value >= 1):
                raise InvalidPolicy(f"must be at least 1, got {value!r}", f"/tolerance/{name}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Select:
    """
    Label matchers of the two sides and the labels that make one replica.

    ``None`` means: the defaults of the policy's controller. ``replica=()`` means that replicas are
    not visible. ``exclude`` is added to every selector of both sides.
    """

    baseline: str | None = None
    canary: str | None = None
    replica: tuple[str, ...] | None = None
    exclude: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """
    The cadence of a record, in seconds; ``None`` stands for ``auto``.

    ``scrape`` auto is measured on the source, ``length`` auto is ``max(2 scrapes, 10 s)``, ``lag`` auto
    is one scrape: a look closes that much after its end. ``warm_up`` is what is skipped of young replicas.
    """

    scrape: float | None = None
    length: float | None = None
    lag: float | None = None
    warm_up: float | None = None

    def __post_init__(self) -> None:
        for name in ("scrape", "length"):
            value = getattr(self, name)
            if value is not None:
                _positive(f"/looks/{name}", value)
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
            _share(f"/alpha/{name}", getattr(self, name))


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
        _positive("/deadline/after", self.after)
        if self.then not in ("hold", "abort", "promote_if"):
            raise InvalidPolicy(
                f"must be hold, abort or {{promote_if: ratio}}, got {self.then!r}", "/deadline/then"
            )
        if (self.then == "promote_if") != (self.limit is not None):
            raise InvalidPolicy("promote_if needs a ratio, and only it has one", "/deadline/then")
        if self.limit is not None:
            _positive("/deadline/then/promote_if", self.limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """
    What every question has in common.

    Parameters
    ----------
    name : str
        Lower-case letters, digits and dashes.
    weight : Weight
        Fixed share of the abort evidence; info questions cannot abort.
    muted : bool
        Measured and shown, never counted.
    required : bool or None
        Whether promotion needs its proof; ``None``: yes for critical and normal, no for info.
    may : May
        The strongest thing it may do.
    no_data : NoData
        What silence does.
    direction : Direction
        Which change does harm.
    select : Select or None
        Its own selectors, else the policy's.
    exclude : str
        Its own exclusion, added to that of the selectors.
    label : tuple of str
        Candidates for LABEL in its selectors; the first that the total series carries is taken.
    proof : str or None
        ``"sequential"`` or ``"variation"`` narrows how it may be proved.
    """

    kind: ClassVar[str] = ""
    name: str
    weight: Weight = Weight.NORMAL
    muted: bool = False
    required: bool | None = None
    may: May = May.ABORT
    no_data: NoData = NoData.HOLD
    direction: Direction = Direction.INCREASE
    select: Select | None = None
    exclude: str = ""
    label: tuple[str, ...] = ()
    proof: str | None = None
    variation_may: str = "abort"
    pod_limited: str = "variation"
    replica_from: Mapping[str, object] | None = None

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise InvalidPolicy(
                f"must be lower-case letters, digits and inner dashes, got {self.name!r}", "/name"
            )
        if self.proof not in (None, "sequential", "variation"):
            raise InvalidPolicy(f"must be sequential or variation, got {self.proof!r}", "/proof")
        if self.variation_may not in ("abort", "hold"):
            raise InvalidPolicy(f"must be abort or hold, got {self.variation_may!r}", "/variation_may")
        if self.pod_limited not in ("variation", "hold"):
            raise InvalidPolicy(f"must be variation or hold, got {self.pod_limited!r}", "/pod_limited")

    @property
    def needed(self) -> bool:
        """Return whether promotion needs this question's proof."""
        if self.muted:
            return False
        return self.weight is not Weight.INFO if self.required is None else self.required

    @property
    def omega(self) -> float:
        """Return the weight before normalising: 1, 1/2 or 0; 0 for muted questions and those that may not abort."""
        return 0.0 if self.muted or self.may is not May.ABORT else OMEGA[self.weight]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proportion(Question):
    """Bad events out of all events: counters ``bad`` (disjoint selectors) and ``total``, or one ``query``."""

    kind: ClassVar[str] = "proportion"
    bad: tuple[str, ...] = ()
    total: str | None = None
    query: str | None = None
    tolerance: Tolerance = Tolerance(ratio=1.5, absolute=0.001)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate(Question):
    """Events per unit of exposure: counters ``events`` and ``exposure``, or ``exposure="time"``."""

    kind: ClassVar[str] = "rate"
    events: str | None = None
    exposure: str | None = None
    query: str | None = None
    tolerance: Tolerance = Tolerance(ratio=1.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio(Question):
    """A quotient of two counters that are not event counts (bytes per hit, CPU per request)."""

    kind: ClassVar[str] = "ratio"
    numerator: str | None = None
    denominator: str | None = None
    query: str | None = None
    tolerance: Tolerance = Tolerance(ratio=1.25)


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency(Question):
    """Durations: a histogram (classic or native), raw samples, or published percentiles."""

    kind: ClassVar[str] = "latency"
    histogram: str | None = None
    query: str | None = None
    unit: str = "s"
    slo_edges: tuple[float, ...] = ()
    edges: tuple[float, ...] = ()
    tolerance: LatencyTolerance = LatencyTolerance()

    def __post_init__(self) -> None:
        Question.__post_init__(self)
        if self.unit not in ("s", "ms"):
            raise InvalidPolicy(f"must be s or ms, got {self.unit!r}", "/unit")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauge(Question):
    """A level that goes up and down, from any PromQL ``query``."""

    kind: ClassVar[str] = "gauge"
    query: str | None = None
    tolerance: Tolerance = Tolerance(ratio=1.25)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantile(Question):
    """A published quantile: a series without counts."""

    kind: ClassVar[str] = "quantile"
    query: str | None = None
    tolerance: Tolerance = Tolerance(ratio=1.25)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """
    One bound on the canary: ``max`` absolute, ``max_increase`` over the baseline as a ratio (0.5 is +50 %).

    ``percentile`` names what is read of a latency: ``p50``, ``p95`` or ``p99``.
    """

    question: str
    max: float | None = None
    max_increase: float | None = None
    percentile: str | None = None

    def __post_init__(self) -> None:
        if (self.max is None) == (self.max_increase is None):
            raise InvalidPolicy("needs exactly one of max and max_increase")
        for name in ("max", "max_increase"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise InvalidPolicy(f"must not be negative, got {value!r}", f"/{name}")
        if self.percentile is not None and not re.fullmatch(r"p\d{1,2}(\.\d+)?", self.percentile):
            raise InvalidPolicy(f"must be like p50, p95, p99, got {self.percentile!r}", "/percentile")


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Limits joined by ``any`` (one broken breaks the group) or ``all`` (only all broken together do); groups nest."""

    any_of: bool
    members: tuple[Limit | Group, ...]

    def __post_init__(self) -> None:
        if not self.members:
            raise InvalidPolicy("needs at least one limit")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits(Question):
    """Fixed limits as a question: over them for ``consecutive`` looks aborts, too few requests hold."""

    kind: ClassVar[str] = "limits"
    weight: Weight = Weight.CRITICAL
    group: Group
    min_requests: float = 0
    consecutive: int = 1

    def __post_init__(self) -> None:
        Question.__post_init__(self)
        if self.consecutive < 1:
            raise InvalidPolicy(f"must be at least 1, got {self.consecutive!r}", "/consecutive")
        if not (math.isfinite(self.min_requests) and self.min_requests >= 0):
            raise InvalidPolicy(f"must not be negative, got {self.min_requests!r}", "/min_requests")

    @property
    def needed(self) -> bool:
        """Return False unless required by name: a kept limit only does not veto."""
        return bool(self.required) and not self.muted


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective(Question):
    """A service level objective: ``target`` share of good events over ``period`` seconds."""

    kind: ClassVar[str] = "objective"
    bad: tuple[str, ...] = ()
    total: str | None = None
    target: float = 0.999
    period: float = 30 * 86400.0
    budget_warn: float | None = None
    budget_max_burn: float | None = None

    def __post_init__(self) -> None:
        Question.__post_init__(self)
        _share("/target", self.target)
        _positive("/period", self.period)


JUDGED = frozenset({Proportion.kind, Limits.kind})
"""Kinds that this version judges. Others are parsed, may be muted and named by a limit, and are refused otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """
    Everything that is asked of a release.

    Durations are seconds, ``steps`` are shares of traffic in (0, 1], ``harm_budget`` counts bad events.
    ``match`` lists globs of namespace and name; ``digest`` is the hash of the content that was read.
    """

    name: str
    questions: tuple[Question, ...]
    preset: str | None = None
    digest: str = ""
    match: tuple[tuple[str, str], ...] = ()
    mode: Mode | None = None
    controller: str = "none"
    source: str = "default"
    select: Select = field(default_factory=Select)
    looks: Looks = field(default_factory=Looks)
    history: float = 4 * 3600.0
    alpha: Alphas = field(default_factory=Alphas)
    freeze_limit: float = 600.0
    harm_budget: float = 20.0
    steps: tuple[float, ...] = ()
    min_step: float = 120.0
    min_requests: float = 0
    deadline: Deadline = field(default_factory=Deadline)
    first_traffic: float = 300.0
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise InvalidPolicy(
                f"must be lower-case letters, digits and inner dashes, got {self.name!r}", "/name"
            )
        if self.controller not in ("argo", "flagger", "none"):
            raise InvalidPolicy(f"must be argo, flagger or none, got {self.controller!r}", "/controller")
        _positive("/harm_budget", self.harm_budget)
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
