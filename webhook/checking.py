"""
Checking a policy: is it right, do its queries parse and return data, what could be proved how soon.

The same code reads the source here as for a verdict (`webhook.frames`, `analysis.closing`), so that what a
check accepts is what a verdict can use.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from analysis import words
from analysis.closing import Closed, close_looks
from analysis.errors import InvalidPolicy
from analysis.policy import Policy, Proportion, Question
from analysis.record import SideSeries, side_series
from analysis.types import Json, NoData, Side
from webhook import queries
from webhook.diagnosis import Instance, mend, presets_with_data
from webhook.errors import SourceFault, SourceLimit, SourceRefused
from webhook.frames import Framing, Reader, plan_of, readings_of
from webhook.gate import Gate
from webhook.histories import learned_of
from webhook.policies import Policies, check_static, presets
from webhook.ports import SIDE_LABEL, Answer, Points, Query, Source, Span
from webhook.prospects import Traffic, prospects
from webhook.readings import ABOUT_RELEASE
from webhook.recording import names_of, selecting
from webhook.releases import Attempt
from webhook.schema.problems import PolicyProblems
from webhook.schema.report import finite
from webhook.schema.request import Ask, read_ask, refuse_unknown
from webhook.schema.scalars import refuse

WINDOW_S: Final = 900.0
"""How much of the recent past is read: enough looks to learn the noise, little enough for any source."""
FIELDS = ("policy", "release", "at")
GUESSED = {"scrape": 15.0, "length": 30.0, "step": 15.0, "lag": 15.0}
"""The cadence with which queries are tried where the source cannot tell it."""
USUAL = frozenset({"no_series", "gap"})
"""Why a look may be unusable while no release runs: no fault of the policy."""


@dataclass(slots=True, kw_only=True)
class _Findings:
    """What was found about one policy, in the order in which it was found."""

    policy: str | None
    problems: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    fixes: list[str] = field(default_factory=list)
    presets: list[dict[str, Json]] = field(default_factory=list)
    source: dict[str, Json] | None = None
    queries: list[dict[str, Json]] = field(default_factory=list)
    questions: list[dict[str, Json]] = field(default_factory=list)

    def document(self) -> dict[str, Json]:
        """Return all of it; ``ok`` if there is no problem."""
        found = {
            "policy": self.policy,
            "ok": not self.problems,
            "problems": list(dict.fromkeys(self.problems)),
            "left_out": self.left_out,
            "notes": list(dict.fromkeys(self.notes)),
            "fixes": self.fixes,
            "presets": self.presets,
            "source": self.source,
            "queries": self.queries,
            "questions": self.questions,
        }
        return dict(finite(found))


def check_request(gate: Gate, body: Json, at: float) -> dict[str, Json]:
    """
    Return what can be said of the policy in a request.

    Parameters
    ----------
    gate : Gate
        Its policies and sources are used, nothing is kept.
    body : JSON value
        ``{"policy": name or whole policy, "release": {…}, "at": time}``; without a policy the one that fits the
        release, without ``at`` now.
    at : float
        Unix seconds of now.

    Raises
    ------
    BadRequest, UnknownPolicy
        Unknown keys, wrong values, no policy of that name. What is wrong inside a policy is an answer, not an error.
    """
    if not isinstance(body, dict):
        raise refuse("", "the body must be a JSON object", body)
    refuse_unknown(body, FIELDS, "")
    ask = read_ask(body, loose=False)
    try:
        policy = gate.policy_for(ask)
    except PolicyProblems as error:
        return refused(error)
    source = gate.sources.get(policy.source)
    begun = gate.stopwatch()
    moment = ask.at if ask.at is not None else at
    return check(
        policy,
        source=source,
        ask=replace(ask, cluster=gate.cluster),
        at=moment,
        left=lambda: gate.source_timeout - (gate.stopwatch() - begun),
    )


def refused(error: PolicyProblems) -> dict[str, Json]:
    """Return the same document for a policy that cannot be read: every problem with file, place, rule and value."""
    return _Findings(policy=None, problems=[str(problem) for problem in error.problems]).document()


def check(
    policy: Policy,
    *,
    source: Source | None = None,
    ask: Ask | None = None,
    at: float = 0.0,
    left: Callable[[], float] = lambda: 30.0,
) -> dict[str, Json]:
    """
    Return what can be said of a policy, with a source what that says to its queries.

    Parameters
    ----------
    policy : Policy
    source : Source, optional
        None: only the policy itself is checked.
    ask : Ask, optional
        Names the release that the selectors are filled in with.
    at : float
        Unix seconds; the 15 minutes before it are read.
    left : callable
        Seconds that may still be spent on the source.

    Returns
    -------
    dict
        ``policy`` (label), ``ok``, ``problems``, ``left_out`` (what its preset asks and this version does not judge),
        ``notes``, ``fixes`` (why a baseline has no series, and what would mend it), ``presets`` (those that have data
        of it), ``source`` (cadence, or its fault), ``queries`` (text, ``parsed``, series of both sides, samples),
        ``questions`` (the label that stands for LABEL, replicas and traffic of both sides, why looks could not be
        used, noise, prospects).
    """
    found = _Findings(policy=policy.label, left_out=list(policy.notes))
    found.problems += check_static(policy)
    found.problems += queries.check(policy)
    if source is not None:
        _ask_source(found, policy, source, ask or Ask(), at, left)
    return found.document()


def _ask_source(
    found: _Findings, policy: Policy, source: Source, ask: Ask, at: float, left: Callable[[], float]
) -> None:
    attempt = Attempt(
        cluster=ask.cluster, namespace=ask.namespace, name=ask.name, revision=ask.revision, attempt=0,
        stable_revision=ask.stable_revision, started_at=at - WINDOW_S,
    )  # fmt: skip
    names = names_of(attempt, ask, {})
    chosen = replace(selecting(policy, attempt.caller), history=0.0)
    reader = Reader(source=source, left=left)
    framing = Framing(policy=chosen, names=names, attempt=attempt, ask=ask, at=at, reader=reader)
    frame: dict[str, Json] = {}
    try:
        framing.complete(frame)
    except queries.EmptySelector as empty:
        found.problems.append(f"its queries were not run: {empty.message}; name the release")
        return
    except InvalidPolicy:
        return  # `queries.check` has said it
    except (SourceRefused, SourceLimit):
        pass
    except SourceFault as down:
        _down(found, down)
        return
    measured = "length" in frame
    frame = {**GUESSED, "start": at - WINDOW_S, "labels": {}, **frame}
    try:
        _read(found, chosen, names, frame, reader, at)
        _diagnose(found, Instance(policy=chosen, names=names, reader=reader, at=at))
    except SourceFault as down:
        _down(found, down)
    if not measured and found.source is not None:
        found.source |= {"scrape_seconds": None, "look_seconds": None}


def _diagnose(found: _Findings, here: Instance) -> None:
    """Say of questions whose baseline has no series what would mend it, and which presets have data."""
    read = {query["question"]: 0 for query in found.queries if query["question"] and query["parsed"]}
    for query in found.queries:
        if query["question"] in read and query["field"] not in ABOUT_RELEASE:
            read[query["question"]] += query["series"]["baseline"]
    silent = [name for name, series in read.items() if not series]
    for name in silent:
        found.fixes += [f"{name}: {line}" for line in mend(here, here.policy.question(name))]
    if silent:
        every = {name: Policies.inline({"preset": name}) for name in presets()}
        found.presets = [
            {"preset": name, "metric": metric, "series": series}
            for name, metric, series in presets_with_data(here, every)
        ]


def _down(found: _Findings, down: SourceFault) -> None:
    found.source = {"fault": down.message}
    found.problems.append(f"{down.title.lower()}: {down.message}")


def _read(
    found: _Findings, policy: Policy, names: Mapping[str, str], frame: dict[str, Json], reader: Reader, at: float
) -> None:
    """Ask everything that a verdict asks, over looks that are closed, and say what came back."""
    length, step = float(frame["length"]), float(frame["step"])
    looks = max(1, int((WINDOW_S - float(frame["lag"])) // length))
    end = (at - float(frame["lag"])) // length * length
    first = end - looks * length
    plan = plan_of(frame, policy, names)
    span = Span(start=first + step, end=end, step=step)
    answer, refusals = _answered(reader, plan, span)
    found.source = {
        "fault": None,
        "scrape_seconds": frame["scrape"],
        "look_seconds": length,
        "lag_seconds": frame["lag"],
        "window": {"start": first, "end": end, "looks": looks},
        "warnings": list(answer.warnings),
    }
    found.notes += uneven_looks(length, float(frame["scrape"]))
    for query in plan:
        found.queries.append(_query(query, answer, refusals))
    found.problems += [f"{label_of(query)}: the source refused it: {said}" for query, said in refusals.items()]
    if refusals:
        found.problems += [f"{name}: {said}" for name, said in frame.get("missing", {}).items()]
        return
    closed = close_looks(
        readings_of(frame, policy, names, answer), start=first, ends=first + length * np.arange(1, looks + 1)
    )
    asked = list(queries.asked(policy))
    noise, _, _ = learned_of(closed, asked, length)
    for question in asked:
        sides = {side: _side(closed, question.name, side) for side in Side}
        entry: dict[str, Json] = {
            "name": question.name,
            "kind": question.kind,
            "label": frame["labels"].get(question.name) or None,
            "replicas_visible": bool(queries.replica_labels(policy, question.name)),
            "sides": {side.value: _counted(series, looks * length) for side, series in sides.items()},
            "left_out": _left_out(closed, question.name),
            "noise": None,
            "prospects": None,
        }
        learned = noise.get(question.name)
        if isinstance(question, Proportion) and learned is not None and _per_second(entry) > 0:
            traffic = Traffic(
                requests_per_second=_per_second(entry), bad_share=learned["bad_share"], phi=learned["phi"]
            )
            entry["noise"] = {key: learned[key] for key in ("phi", "source", "looks", "replicas")}
            entry["prospects"] = prospects(policy, question, traffic)
        found.questions.append(entry)
        _judge_sides(found, entry, question)


def uneven_looks(length: float, scrape: float) -> list[str]:
    """
    Return what is to be said of looks that do not hold a whole number of scrapes.

    Such looks hold now one scrape more, now one less, differently for each replica, so that the split of the requests
    seems to move and steps are seen where there are none.

    >>> uneven_looks(30.0, 15.0), len(uneven_looks(5.0, 2.0))
    ([], 1)
    """
    scrapes = length / scrape
    if abs(scrapes - round(scrapes)) < 1e-6:
        return []
    fewer, more = (words.duration(count * scrape) for count in (max(1, int(scrapes)), int(scrapes) + 1))
    better = more if scrapes < 1 else f"{fewer} or {more}"
    return [
        f"looks of {words.duration(length)} are {scrapes:.3g} scrapes of {words.duration(scrape)} long, so that they "
        f"hold unequal numbers of them and shares of traffic seem to jump; {better} would be even"
    ]


def _answered(reader: Reader, plan: Sequence[Query], span: Span) -> tuple[Answer, dict[Query, str]]:
    """Return the answer to all queries, and what the source says against those that it refuses."""
    try:
        return reader.fetch(plan, span), {}
    except (SourceRefused, SourceLimit):
        pass  # one of them spoils the rest: each is asked alone, so that every wrong one is named
    points: dict[Query, tuple[Points, ...]] = {}
    refusals: dict[Query, str] = {}
    for query in plan:
        try:
            points.update(reader.fetch([query], span).points)
        except (SourceRefused, SourceLimit) as error:
            refusals[query] = error.message
    return Answer(points=points), refusals


def label_of(query: Query) -> str:
    """Return how a query is called: its question and what it reads."""
    return f"{query.question or 'release'} {query.field}"


def _query(query: Query, answer: Answer, refusals: Mapping[Query, str]) -> dict[str, Json]:
    points = answer.points.get(query, ())
    by_side = {side.value: sum(one.labels.get(SIDE_LABEL) == side.value for one in points) for side in Side}
    return {
        "question": query.question,
        "field": query.field,
        "expr": query.expr,
        "parsed": query not in refusals,
        "error": refusals.get(query),
        "series": by_side,
        "samples": sum(int(one.times.size) for one in points),
    }


def _side(closed: Closed, name: str, side: Side) -> SideSeries:
    return side_series([row["questions"].get(name, {}).get(side.value, {}) for row in closed.rows])


def _counted(series: SideSeries, seconds: float) -> dict[str, Json]:
    """Return replicas, requests and bad events of one side; null where it is not counted."""
    sums = {name: float(np.nansum(array)) for name, array in series.fields.items()}
    whole = next((sums[name] for name in ("total", "exposure", "denominator", "counts") if name in sums), None)
    part = next((sums[name] for name in ("bad", "events") if name in sums), None)
    return {
        "replicas": [replica for replica in series.replicas if replica],
        "requests": whole,
        "per_second": None if whole is None else whole / seconds,
        "bad": part,
    }


def _per_second(entry: Mapping[str, Json]) -> float:
    return float(sum(side["per_second"] or 0.0 for side in entry["sides"].values()))


def _left_out(closed: Closed, name: str) -> dict[str, Json] | None:
    """Return the newest reason why looks could not be used, and how many; None if all could."""
    reasons = [row["left_out"][name] for row in closed.rows if name in row.get("left_out", {})]
    if not reasons:
        return None
    code, text = reasons[-1]
    return {"code": code, "text": text, "looks": len(reasons), "of": len(closed.rows)}


def _judge_sides(found: _Findings, entry: Mapping[str, Json], question: Question) -> None:
    """Say what would keep a verdict from being given: silence of the baseline, sides that are not apart."""
    name, left_out = entry["name"], entry["left_out"]
    both = sorted(set(entry["sides"]["baseline"]["replicas"]) & set(entry["sides"]["canary"]["replicas"]))
    if both:
        found.problems.append(f"{name}: on both sides: {', '.join(both[:3])}{' …' if len(both) > 3 else ''}")
    numbers = [q["series"] for q in found.queries if q["question"] == name and q["field"] not in ABOUT_RELEASE]
    seen = {side.value: any(series[side.value] for series in numbers) for side in Side}
    if not seen["baseline"] and question.no_data is NoData.IGNORE:
        found.notes.append(f"{name}: no data of the baseline; its silence is ignored (no_data: ignore)")
    elif not seen["baseline"]:
        found.problems.append(f"{name}: no data of the baseline in the last {WINDOW_S / 60:.0f} minutes")
    elif left_out is not None and left_out["code"] not in USUAL:
        found.problems.append(f"{name}: {left_out['text']} ({left_out['looks']} of {left_out['of']} looks)")
    elif not seen["canary"]:
        found.notes.append(f"{name}: no canary now; that is usual while no release runs")
