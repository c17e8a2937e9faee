"""
Fixed limits as a question: absolute, or increase over the baseline, with a least number of requests.

Limits are no test: they are here because people think in them, and say plainly when one is broken.
Looks are pooled, oldest first, until the canary has had ``min_requests`` requests; each such *unit* is
held against the limits once, so that a slow service is not judged on one request.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from analysis import words
from analysis.policy import Group, Limit, Limits, Policy, Rate
from analysis.record import INCOMPARABLE, LeftOut, QuestionRecord, Record, SideSeries
from analysis.report import Evidence, about
from analysis.silences import stale_for
from analysis.types import BoolArray, FloatArray, Json, May, Side, State

KEPT = "all metrics within acceptable thresholds"
EXPOSURES = ("total", "exposure", "denominator")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """
    One limit held against one unit of looks.

    ``over`` is None where a side has no value, or where an increase over a baseline of zero is undefined.
    ``value`` and ``baseline`` are in the unit of the metric, NaN where unknown.
    """

    limit: Limit
    over: bool | None
    value: float
    baseline: float
    text: str


def weigh(question: Limits, policy: Policy, record: Record) -> Evidence:
    """
    Return the evidence of fixed limits over a whole record.

    Parameters
    ----------
    question : Limits
        The limits, how many requests make a unit, and how many units in a row must break them.
    policy : Policy
        Where the questions that the limits name are found.
    record : Record

    Returns
    -------
    Evidence
        ``over_limit`` from the first time that ``consecutive`` units in a row broke the limits, for ever
        after, or, where the question may only hold, as long as the newest ones do;
        ``within_limit`` while the newest unit keeps them; ``no_data`` while no unit is complete or the newest
        cannot be read; ``undecided`` while the newest unit breaks them but not yet often enough; ``incomparable``
        while the sides cannot be told apart; ``stale`` once nothing was read for 5 looks and 5 minutes.

    Notes
    -----
    ``any`` breaks when one member breaks, ``all`` when every member does. A member that cannot be read
    makes a group unreadable unless another member settles it (three-valued logic of Kleene).

    Examples
    --------
    See ``tests/analysis/test_limits.py``: each row of its tables is one line of this description.
    """
    units = list(_units(question, policy, record))
    lasting = question.may is May.ABORT
    run, broken = 0, None
    outcome: bool | None = None
    readings: list[Reading] = []
    for first, last in units:
        outcome, readings = _group(question.group, policy, record, slice(first, last + 1))
        run = run + 1 if outcome else 0
        if lasting and run >= question.consecutive:
            broken = (first, last)
            break
    if broken is not None:
        culprits = [r for r in readings if r.over]
        return _evidence(question, State.OVER_LIMIT, "; ".join(r.text for r in culprits[:2]), readings, record, broken)
    if not units:
        return _evidence(question, State.NO_DATA, _waiting(question, policy, record), readings, record, None)
    quiet = _quiet(question, policy, record)
    if quiet is not None:
        return _evidence(question, *quiet, readings, record, units[-1])
    if outcome is None:
        unread = next((r.text for r in readings if r.over is None), "a limit cannot be read")
        return _evidence(question, State.NO_DATA, unread, readings, record, units[-1])
    if outcome:
        said = "; ".join(r.text for r in readings if r.over)
        if run >= question.consecutive:
            return _evidence(question, State.OVER_LIMIT, said, readings, record, units[-1])
        text = f"{said} ({run} of {question.consecutive} looks in a row)"
        return _evidence(question, State.UNDECIDED, text, readings, record, units[-1])
    return _evidence(question, State.WITHIN_LIMIT, KEPT, readings, record, units[-1])


def _evidence(
    question: Limits,
    state: State,
    reason: str,
    readings: Sequence[Reading],
    record: Record,
    unit: tuple[int, int] | None,
) -> Evidence:
    details: dict[str, Json] = {}
    if unit is not None:
        details["looks"] = [unit[0], unit[1]]
        details["end"] = float(record.ends[unit[1]])
    return replace(
        about(question, state, reason),
        limits=tuple(
            {
                "question": r.limit.question,
                "text": r.text,
                "value": None if math.isnan(r.value) else r.value,
                "baseline": None if math.isnan(r.baseline) else r.baseline,
                "bound": r.limit.max if r.limit.max is not None else r.limit.max_increase,
                "state": "unknown" if r.over is None else "over" if r.over else "within",
            }
            for r in readings
        ),
        details=details,
    )


def serving(policy: Policy, names: Sequence[str] | None = None) -> list[str]:
    """Return which of some questions (all of a policy) may count requests: what counts a pod's time counts none."""
    asked = policy.questions if names is None else [policy.question(name) for name in names]
    return [q.name for q in asked if not (isinstance(q, Rate) and q.exposure == "time")]


def requests(record: Record, names: Sequence[str]) -> FloatArray:
    """
    Return how many requests the canary had in each look, shape ``(K,)``.

    The largest exposure among the named questions (``total``, ``exposure``, ``denominator``, sum of
    ``counts``), as several questions see the same requests; NaN where none of them counts.
    """
    seen: list[FloatArray] = []
    for name in names:
        found = record.questions.get(name)
        if found is None:
            continue
        for field in EXPOSURES:
            if field in found.canary.fields:
                seen.append(np.where(found.used, found.canary.total(field), 0.0))
        if "counts" in found.canary.fields:
            seen.append(np.where(found.used, found.canary.total("counts").sum(axis=-1), 0.0))
    if not seen:
        return np.full(len(record.ends), math.nan)
    return np.asarray(np.max(seen, axis=0), dtype=np.float64)


def named(group: Group) -> Iterator[str]:
    """Yield the names of the questions that a group of limits reads."""
    for member in group.members:
        if isinstance(member, Group):
            yield from named(member)
        else:
            yield member.question


def _units(question: Limits, policy: Policy, record: Record) -> Iterator[tuple[int, int]]:
    names = list(dict.fromkeys(named(question.group)))
    counted = requests(record, serving(policy, names))
    seen = _seen(record, names)
    first, have = 0, 0.0
    for look in range(len(record.ends)):
        if not seen[look]:
            if have == 0:
                first = look + 1
            continue
        have += 0.0 if math.isnan(counted[look]) else float(counted[look])
        silent = not np.isnan(counted).all() and have == 0
        if have >= question.min_requests and not silent:
            yield first, look
            first, have = look + 1, 0.0


def _seen(record: Record, names: Sequence[str]) -> list[bool]:
    """Return for each look whether the canary said anything to one of the questions."""
    seen = np.zeros(len(record.ends), dtype=bool)
    for name in names:
        found = record.questions.get(name)
        if found is not None:
            for array in found.canary.fields.values():
                elsewhere = tuple(axis for axis in range(array.ndim) if axis != 1)
                seen |= (~np.isnan(array)).any(axis=elsewhere) & found.used
    return seen.tolist()


def _newest_left_out(record: Record, names: Sequence[str]) -> Iterator[LeftOut]:
    """Yield why the newest look was left out, for each question in which it was."""
    for name in names:
        found = record.questions.get(name)
        if found is not None and found.left_out and (reason := found.left_out[-1]) is not None:
            yield reason


def _quiet(question: Limits, policy: Policy, record: Record) -> tuple[State, str] | None:
    """Return why what was once within the limits speaks for the canary no more; None if it still does."""
    names = list(dict.fromkeys(named(question.group)))
    reasons = list(_newest_left_out(record, names))
    mixed = next((reason.text for reason in reasons if reason.code in INCOMPARABLE), None)
    if mixed is not None:
        return State.INCOMPARABLE, mixed
    counted = requests(record, serving(policy, names))
    served = np.array(_seen(record, names)) & (np.isnan(counted) | (counted > 0))
    silent = stale_for(record, served)
    if silent is None:
        return None
    why = f": {reasons[0].text}" if reasons else ""
    return State.STALE, f"nothing to hold against limits for {words.duration(silent)}{why}"


def _waiting(question: Limits, policy: Policy, record: Record) -> str:
    names = list(dict.fromkeys(named(question.group)))
    left_out = next(_newest_left_out(record, names), None)
    if left_out is not None:
        return left_out.text
    counted = requests(record, serving(policy, names))
    if np.isnan(counted).all():
        return f"no canary data yet for {', '.join(names)}"
    return (
        f"{words.count(float(np.nansum(counted)))} of at least {words.count(max(1.0, question.min_requests))}"
        " canary requests seen: too few to hold against limits"
    )


def _group(group: Group, policy: Policy, record: Record, looks: slice) -> tuple[bool | None, list[Reading]]:
    outcomes: list[bool | None] = []
    readings: list[Reading] = []
    for member in group.members:
        if isinstance(member, Group):
            outcome, inner = _group(member, policy, record, looks)
            readings.extend(inner)
        else:
            reading = _read(member, policy, record, looks)
            outcome = reading.over
            readings.append(reading)
        outcomes.append(outcome)
    settles = group.any_of
    if any(outcome is settles for outcome in outcomes):
        return settles, readings
    return (None if None in outcomes else not settles), readings


def _read(limit: Limit, policy: Policy, record: Record, looks: slice) -> Reading:
    label = limit.question.replace("-", " ")
    what = f"{label} {limit.percentile}" if limit.percentile else label
    found = record.questions.get(limit.question)
    value, baseline = math.nan, math.nan
    share = False
    if found is not None:
        value = value_of(found, Side.CANARY, looks, limit.percentile)
        baseline = value_of(found, Side.BASELINE, looks, limit.percentile)
        share = "total" in found.canary.fields or policy.question(limit.question).kind == "proportion"
    show = words.percent if share else _per_pod_hour if not serving(policy, [limit.question]) else words.number
    if math.isnan(value):
        return Reading(limit=limit, over=None, value=value, baseline=baseline, text=f"no canary data for {what}")
    if limit.max is not None:
        over = value > limit.max
        said = f"{label} too high: " if over else f"{label} "
        text = f"{said}{_prefix(limit)}{show(value)}, limit {show(limit.max)}"
        return Reading(limit=limit, over=over, value=value, baseline=baseline, text=text)
    assert limit.max_increase is not None
    return _increase(limit, label, value, baseline, show)


def _per_pod_hour(per_second: float) -> str:
    return f"{words.number(3600 * per_second)} per pod-hour"


def _prefix(limit: Limit) -> str:
    return f"{limit.percentile} " if limit.percentile else ""


def _increase(limit: Limit, label: str, value: float, baseline: float, show: words.Show) -> Reading:
    """Hold an increase against its limit; over a baseline of zero it is undefined unless both are zero."""
    allowed = limit.max_increase if limit.max_increase is not None else math.nan
    if math.isnan(baseline) or (baseline <= 0 and value > 0):
        why = "no baseline data" if math.isnan(baseline) else "baseline is 0, so an increase is undefined"
        text = f"{label}: {_prefix(limit)}{show(value)}, {why}"
        return Reading(limit=limit, over=None, value=value, baseline=baseline, text=text)
    increase = 0.0 if baseline <= 0 else value / baseline - 1
    over = increase > allowed * (1 + 1e-12)
    said = f"{label} increased: " if over else f"{label} "
    text = (
        f"{said}{_prefix(limit)}{show(value)} vs {show(baseline)}, "
        f"{words.signed_percent(increase)}, limit {words.signed_percent(allowed)}"
    )
    return Reading(limit=limit, over=over, value=value, baseline=baseline, text=text)


def value_of(found: QuestionRecord, side: Side, looks: slice, percentile: str | None) -> float:
    """
    Return one number for one side over some looks.

    Parameters
    ----------
    found : QuestionRecord
    side : Side
    looks : slice
        Which looks to pool; those left out are not used.
    percentile : str or None
        ``p95`` and the like: read from an array of that name, else from ``counts`` of buckets, else from ``values``.

    Returns
    -------
    float
        Bad over total for counters, the quantile for buckets, else the mean over replicas and looks of
        published values, in the unit of the metric. NaN without data.
    """
    series = found.side(side)
    usable = found.used[looks]
    fields = series.fields
    if percentile and percentile in fields:
        return _mean(fields[percentile][:, looks][:, usable])
    if "counts" in fields:
        counts = np.nansum(fields["counts"][:, looks][:, usable], axis=(0, 1))
        return quantile(counts, found.edges, float((percentile or "p99")[1:]) / 100)
    for top, bottom in (("bad", "total"), ("events", "exposure"), ("numerator", "denominator")):
        if top in fields and bottom in fields:
            return _quotient(series, top, bottom, looks, usable)
    if "values" in fields:
        return _mean(fields["values"][:, looks][:, usable])
    return math.nan


def _mean(values: FloatArray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else math.nan


def _quotient(series: SideSeries, top: str, bottom: str, looks: slice, usable: BoolArray) -> float:
    above, below = series.fields[top][:, looks][:, usable], series.fields[bottom][:, looks][:, usable]
    total = float(np.nansum(below))
    return float(np.nansum(above)) / total if total > 0 else math.nan


def quantile(counts: FloatArray, edges: Sequence[float], share: float) -> float:
    """
    Return a quantile of a histogram, interpolated linearly inside its bucket.

    Parameters
    ----------
    counts : ndarray, shape (B,)
        Events per bucket, not cumulative, >= 0; the last bucket has no upper bound.
    edges : sequence of float, length B - 1
        Upper bounds of the others, rising.
    share : float
        In (0, 1).

    Returns
    -------
    float
        In the unit of ``edges``; the last finite edge where the quantile lies beyond it; NaN for an
        empty histogram. The lower bound of the first bucket is 0, as in Prometheus'
        ``histogram_quantile`` (its documentation, "Query functions").

    Examples
    --------
    >>> round(quantile(np.array([50.0, 50.0, 0.0]), [0.1, 0.2], 0.75), 6)
    0.15
    """
    total = float(counts.sum())
    if not edges or total <= 0:
        return math.nan
    rank = share * total
    cumulative = np.cumsum(counts)
    bucket = int(np.searchsorted(cumulative, rank, side="left"))
    if bucket >= len(edges):
        return float(edges[-1])
    low = edges[bucket - 1] if bucket else min(0.0, edges[0])
    before = float(cumulative[bucket - 1]) if bucket else 0.0
    return float(low + (edges[bucket] - low) * (rank - before) / float(counts[bucket]))
