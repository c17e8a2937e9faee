"""
The kinds of question that a policy may ask: frozen dataclasses, one per kind.

Parsing and wire names live in ``webhook``; here stand the shapes, the defaults and the rules between fields.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from analysis.errors import InvalidPolicy
from analysis.types import Direction, May, NoData, Weight

NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
OMEGA = {Weight.CRITICAL: 1.0, Weight.NORMAL: 0.5, Weight.INFO: 0.0}


def positive(place: str, value: float) -> None:
    """Raise `InvalidPolicy` unless ``value`` is finite and above 0."""
    if not (math.isfinite(value) and value > 0):
        raise InvalidPolicy(f"must be a positive number, got {value!r}", place)


def share(place: str, value: float) -> None:
    """Raise `InvalidPolicy` unless ``value`` lies strictly between 0 and 1."""
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

    ``None`` means: those of the pair of matchers called ``by``, without it the policy's, or the defaults of its
    controller. ``replica=()`` means that replicas are not visible. ``exclude`` is added to every selector of both
    sides.
    """

    by: str | None = None
    baseline: str | None = None
    canary: str | None = None
    replica: tuple[str, ...] | None = None
    exclude: str = ""


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
            raise InvalidPolicy(f"must be lower-case letters, digits and inner dashes, got {self.name!r}", "/name")
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
        """Return the weight before normalising: 1, 1/2 or 0; 0 where muted or not allowed to abort."""
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
    warm_up: float | None = None


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
    warm_up: float | None = None

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
    warm_up: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantile(Question):
    """A published quantile: a series without counts."""

    kind: ClassVar[str] = "quantile"
    query: str | None = None
    tolerance: Tolerance = Tolerance(ratio=1.25)
    warm_up: float | None = None


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
    """Limits joined by ``any`` (one broken breaks all) or ``all`` (only all together do); groups nest."""

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
        share("/target", self.target)
        positive("/period", self.period)
