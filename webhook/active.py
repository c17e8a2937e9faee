"""
Metrics of the releases that are being weighed now: their verdict, and the state, effect and evidence of each question.

The only metrics that name releases. They are read when Prometheus asks, end with the release, are capped,
and carry neither revision nor report id, so that a year of releases makes no more series than a day.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from analysis.types import Json, Verdict
from webhook.errors import WebhookError
from webhook.schema.scalars import time
from webhook.settings_values import duration

MOST_RELEASES = 200
"""Releases shown; beyond it only their number is."""

MOST_QUESTIONS = 20
"""Questions shown of one release: 200 releases then make at most 40,000 series, and usually 2,000."""

RELEASE = ["cluster", "namespace", "name"]
QUESTION = [*RELEASE, "question"]
GOALS = ("worse", "tolerated", "abort", "promote", "step", "better")


class ActiveReleases(Collector):
    """
    Collector of active releases.

    Parameters
    ----------
    reports : callable
        Returns the newest report document of every active release, newest first; each may carry ``deadline_left``,
        see `deadline_left`. May raise a `WebhookError`: then nothing is shown but that.
    most : int, default 200
        How many releases are shown.
    """

    def __init__(self, reports: Callable[[], Iterable[Mapping[str, Json]]], most: int = MOST_RELEASES) -> None:
        self._reports = reports
        self._most = most

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Yield nothing: registering must not read the store."""
        return iter(())

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the families of one scrape."""
        readable = GaugeMetricFamily("weighbridge_active_releases_readable", "Whether the store could be read: 1 or 0.")
        try:
            newest = _newest(self._reports())
        except WebhookError:
            readable.add_metric([], 0)
            yield readable
            return
        readable.add_metric([], 1)
        number = GaugeMetricFamily("weighbridge_active_releases", "Releases being weighed, those not shown included.")
        number.add_metric([], len(newest))
        yield readable
        yield number
        yield from _families(dict(islice(newest.items(), self._most)))


def deadline_left(attempt: Mapping[str, Json], report: Mapping[str, Json]) -> float | None:
    """
    Return seconds from the end of a report's window to the deadline of its policy, negative once it has passed.

    None where the start is not known yet, or the policy is not pinned to the attempt (an inline one of another name).
    """
    policy = (attempt.get("policies") or {}).get(str(report.get("policy") or "").partition("@")[0])
    started, window = (report.get("detail") or {}).get("started_at"), report.get("window") or {}
    if not policy or not started or not window.get("end"):
        return None
    begun, end = time(started, "/detail/started_at"), time(window["end"], "/window/end")
    return None if begun is None or end is None else begun + duration(policy["deadline"]["after"]) - end


def _newest(reports: Iterable[Mapping[str, Json]]) -> dict[tuple[str, ...], Mapping[str, Json]]:
    """Return one report a release: two revisions of one name would be the same series twice."""
    found: dict[tuple[str, ...], Mapping[str, Json]] = {}
    for report in reports:
        release = report.get("release") or {}
        found.setdefault(tuple(str(release.get(label) or "") for label in RELEASE), report)
    return found


def _families(shown: Mapping[tuple[str, ...], Mapping[str, Json]]) -> Iterator[GaugeMetricFamily]:
    """Yield one family after the other, each over all releases, as the format wants it."""
    verdict = GaugeMetricFamily(
        "weighbridge_release_verdict",
        "1 at the true verdict of a release, 0 at the others.",
        labels=[*RELEASE, "verdict"],
    )
    miswired = GaugeMetricFamily(
        "weighbridge_release_miswired", "1 where no hook is configured at which a hold could wait.", labels=RELEASE
    )
    left = GaugeMetricFamily(
        "weighbridge_release_deadline_left_seconds", "Until the policy's deadline; negative past it.", labels=RELEASE
    )
    state = GaugeMetricFamily(
        "weighbridge_question_state", "1 at the state of a question; no other is shown.", labels=[*QUESTION, "state"]
    )
    effect = {
        "estimate": GaugeMetricFamily(
            "weighbridge_question_effect", "How different the canary is.", labels=[*QUESTION, "measure"]
        ),
        "low": GaugeMetricFamily("weighbridge_question_effect_low", "Lower bound.", labels=[*QUESTION, "measure"]),
        "high": GaugeMetricFamily("weighbridge_question_effect_high", "Upper bound.", labels=[*QUESTION, "measure"]),
    }
    log_e = GaugeMetricFamily(
        "weighbridge_question_log_e", "Natural log of the evidence for each goal.", labels=[*QUESTION, "goal"]
    )
    for release, report in shown.items():
        for word in Verdict:
            verdict.add_metric([*release, word], float(report.get("would") == word))
        flags = (report.get("detail") or {}).get("flags") or ()
        miswired.add_metric(release, float("miswired" in flags))
        _add(left, [*release], report.get("deadline_left"))
        for evidence in _evidence(report):
            question = [*release, str(evidence.get("name", ""))]
            state.add_metric([*question, str(evidence.get("state", ""))], 1)
            size = evidence.get("effect") or {}
            for key, family in effect.items():
                _add(family, [*question, str(size.get("measure", ""))], size.get(key))
            for goal in GOALS:
                _add(log_e, [*question, goal], (evidence.get("log_e") or {}).get(goal))
    yield from (verdict, miswired, left, state, *effect.values(), log_e)


def _evidence(report: Mapping[str, Json]) -> list[Mapping[str, Json]]:
    return list((report.get("detail") or {}).get("evidence") or [])[:MOST_QUESTIONS]


def _add(family: GaugeMetricFamily, labels: list[str], value: Json) -> None:
    """Add a number; what is unknown has no sample, because 0 would be a claim."""
    if isinstance(value, int | float) and math.isfinite(value):
        family.add_metric(labels, value)
