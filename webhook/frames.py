"""
The frame of a record: cadence, labels, start and noise, found once at the start of an attempt and kept with it.

Wiped, it is found again by the same code from the source: a function of the start alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from analysis.closing import Closed, close_looks
from analysis.policy import Latency, Policy, Question
from analysis.record import Grid
from analysis.series import Reading, scrape_interval, start_of_presence
from analysis.types import Json
from webhook import queries
from webhook.errors import SourceDown
from webhook.histories import first_sights, learned_of
from webhook.nursery import learn_births
from webhook.ports import Answer, Query, Source, Span
from webhook.readings import readings
from webhook.releases import Attempt
from webhook.schema.request import Ask

FEWEST_SCRAPES_GAP = 5
SHORTEST_GAP = 120.0
"""A canary that was not seen for max(5 scrapes, 2 min) begins anew."""
SHORTEST_LOOK = 10.0
HISTORIES = (1.0, 0.25, 1 / 16, 0.0)
"""Shares of the wanted history that are tried in turn, where the source cannot give more in time."""
LEAST_SECONDS = 0.2
MOST_NATIVE = 240
"""Looks of history that are read of native histograms: their answers are ten times as large."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """One source with the time that is left, and what was waited for it so far."""

    source: Source
    left: Callable[[], float]
    waited: list[float] = field(default_factory=list)

    def fetch(self, asked: Sequence[Query], span: Span) -> Answer:
        """Return the answer to queries, with what time is left; raise `SourceDown` if none is."""
        seconds = self.left()
        if seconds < LEAST_SECONDS:
            raise SourceDown("no time is left for another query of this verdict")
        answer = self.source.fetch(asked, span, seconds)
        self.waited.append(answer.seconds)
        return answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Framing:
    """
    What is known when the frame of a record is looked for.

    ``policy`` has its selectors chosen, ``names`` fills them in, ``at`` is the horizon of the verdict.
    """

    policy: Policy
    names: Mapping[str, str]
    attempt: Attempt
    ask: Ask
    at: float
    reader: Reader

    def complete(self, frame: dict[str, Json]) -> str:
        """Complete the frame of a record in place, as far as the source allows; return why it cannot be used yet."""
        queries.plan(
            self.policy, self.names, step=1.0, labels=frame.get("labels")
        )  # an empty selector is said before any I/O
        if "length" not in frame and not self._cadence(frame):
            return "no data yet: the selectors of baseline and canary have matched nothing so far"
        self._labels(frame)
        if "start" not in frame:
            start, source = self._start(frame)
            if start is None:
                return "no canary data yet: the canary's selector has matched nothing so far"
            frame["start"] = Grid.starting(start, frame["length"]).start
            frame["start_source"] = source
            frame["started_at"] = start
        if "noise" not in frame:
            self._noise(frame)
        return ""

    def _cadence(self, frame: dict[str, Json]) -> bool:
        """Fix the scrape interval and the length of looks; return False where no series is there to measure it on."""
        policy, names, at = self.policy, self.names, self.at
        scrape = policy.looks.scrape
        if scrape is None:
            query = queries.scrape_query(policy, names)
            points = self.reader.fetch([query], Span(start=at, end=at, step=1.0)).points[query]
            counts = np.concatenate([one.values for one in points]) if points else np.array([])
            if not (counts > 0).any():
                return False
            scrape = scrape_interval(counts)
        length = policy.looks.length if policy.looks.length is not None else max(2 * scrape, SHORTEST_LOOK)
        frame["scrape"] = scrape
        frame["length"] = length
        frame["step"] = queries.fetch_step(length, scrape)
        frame["lag"] = max(policy.looks.lag or 0.0, scrape)  # what a scrape brings belongs to the time before it
        return True

    def _labels(self, frame: dict[str, Json]) -> None:
        """Pin the labels that stand for LABEL and those of the scrape; what is absent is looked for again next time."""
        policy, names, at = self.policy, self.names, self.at
        known = dict(frame.get("labels", {}))
        asked = {q.name: queries.label_query(policy, names, q.name) for q in queries.asked(policy)}
        wanted = {name: query for name, query in asked.items() if query is not None and name not in known}
        layouts = self._layouts(frame)
        identity = [] if "identity" in frame else [queries.identity_query(policy, names)]
        if not wanted and not identity and not layouts:
            frame["missing"] = {}
            return
        asking = [*wanted.values(), *identity, *layouts.values()]
        answer = self.reader.fetch(asking, Span(start=at, end=at, step=1.0))
        missing: dict[str, str] = {}
        for name, query in wanted.items():
            points = answer.points[query]
            label = queries.pick_label(policy, name, points)
            absent = queries.absent_label(policy, name, points)
            if absent:
                missing[name] = absent
            elif points:
                known[name] = label or ""
        for query in identity:
            if answer.points[query]:
                frame["identity"] = list(queries.identity_labels(answer.points[query]))
        found = {
            name: native for name, q in layouts.items() if (native := queries.is_native(answer.points[q])) is not None
        }
        frame["native"] = {**frame.get("native", {}), **found}
        frame["labels"] = known
        frame["missing"] = missing

    def _layouts(self, frame: Mapping[str, Json]) -> dict[str, Query]:
        """Return the queries of how histograms are published, of those that are not pinned."""
        known = frame.get("native", {})
        asked = (
            (q.name, queries.layout_query(self.policy, self.names, q.name))
            for q in queries.asked(self.policy)
            if q.name not in known
        )
        return {name: query for name, query in asked if query is not None}

    def _start(self, frame: Mapping[str, Json]) -> tuple[float | None, str]:
        ask, attempt = self.ask, self.attempt
        if ask.from_ is not None:
            return ask.from_, "named as 'from'"
        if attempt.started_at is not None:
            return attempt.started_at, attempt.start_source or "known"
        scrape = float(frame["scrape"])
        query = queries.start_query(self.policy, self.names, scrape)
        points = self.reader.fetch([query], queries.start_span(self.at, scrape)).points[query]
        gap = max(FEWEST_SCRAPES_GAP * scrape, SHORTEST_GAP)
        times = np.unique(np.concatenate([one.times for one in points])) if points else np.array([])
        if attempt.floor is not None:
            times = times[times > attempt.floor]
        found = start_of_presence(times, scrape, gap)
        if found is not None and attempt.floor is not None:
            # No look may reach back into the attempt before: its errors are not those of this one.
            found = max(found, math.ceil(attempt.floor / frame["length"] - 1e-9) * frame["length"])
        return found, "first canary sample"

    def _noise(self, frame: dict[str, Json]) -> None:
        """Learn the noise of stable before the start; a source that cannot give it is asked for less next time."""
        tries = int(frame.get("noise_tries", 0))
        frame["noise_tries"] = tries + 1
        noise: dict[str, Json] = {}
        history: dict[str, Json] = {}
        if (window := self._window(frame, tries)) is not None:
            # Buckets wait for their bounds, which the first look of both sides pins.
            asked = [question for question in queries.asked(self.policy) if not is_histogram(question)]
            closed = self._past(frame, window, asked)
            frame["noise_window"] = window
            noise, history, _ = learned_of(closed, asked, float(frame["length"]))
            first_sights(frame, closed, history=True)
            learn_births(frame, closed, asked)
        # Only now: a source that could not tell is asked again at the next verdict.
        frame["noise"], frame["history"] = noise, history
        _shortened(frame, tries)

    def bucketed(self, frame: dict[str, Json]) -> None:
        """Learn the noise of histograms whose bounds are pinned by now, once each, over the same window."""
        learned = set(frame.get("bucketed", ()))
        asked = [
            question
            for question in queries.asked(self.policy)
            if is_histogram(question) and question.name in frame.get("edges", {}) and question.name not in learned
        ]
        window = frame.get("noise_window")
        if not asked:
            return
        if window is not None:
            tries = int(frame.get("bucket_tries", 0))
            shorter = self._window(frame, max(tries, int(frame["noise_tries"]) - 1))
            if shorter is not None:
                if any(frame.get("native", {}).get(question.name) for question in asked):
                    looks = min(shorter["looks"], MOST_NATIVE)
                    shorter = {**shorter, "looks": looks, "start": shorter["end"] - float(frame["length"]) * looks}
                closed = self._past(frame, shorter, asked)
                _, history, notes = learned_of(closed, asked, float(frame["length"]))
                frame["history"] = {**frame["history"], **history}
                known = frame.get("notes", {})
                frame["notes"] = {**known, **{name: {**known.get(name, {}), **told} for name, told in notes.items()}}
                first_sights(frame, closed, history=True)
                learn_births(frame, closed, asked)
            _shortened(frame, tries)
        frame["bucketed"] = sorted({*learned, *(question.name for question in asked)})

    def _window(self, frame: Mapping[str, Json], tries: int) -> dict[str, Json] | None:
        """Return start, end and looks of the history that is read at this try, None where nothing is wanted."""
        length, start = float(frame["length"]), float(frame["start"])
        looks = math.floor(self.policy.history * HISTORIES[min(tries, len(HISTORIES) - 1)] / length) - 1
        return None if looks < 1 else {"start": start - length * (looks + 1), "end": start - length, "looks": looks}

    def _past(self, frame: Mapping[str, Json], window: Mapping[str, Json], asked: Sequence[Question]) -> Closed:
        """Return the looks of stable's history for some questions."""
        names = {"", *(question.name for question in asked)}
        plan = [query for query in plan_of(frame, self.policy, self.names) if query.question in names]
        step, length, first = float(frame["step"]), float(frame["length"]), float(window["start"])
        ends = first + length * np.arange(1, window["looks"] + 1)
        answer = self.reader.fetch(plan, Span(start=first + step, end=float(ends[-1]), step=step))
        return close_looks(readings_of(frame, self.policy, self.names, answer), start=first, ends=ends)


def _shortened(frame: dict[str, Json], tries: int) -> None:
    """Note in a frame that less of history was read than was asked for."""
    if tries:
        share = HISTORIES[min(tries, len(HISTORIES) - 1)]
        frame["noise_note"] = f"the source could not give the whole history: {share:.0%} of it was read"


def plan_of(frame: Mapping[str, Json], policy: Policy, names: Mapping[str, str]) -> tuple[Query, ...]:
    """Return the queries of a verdict with the labels that the frame pinned."""
    labels = {name: label for name, label in frame.get("labels", {}).items() if label}
    native = [name for name, found in frame.get("native", {}).items() if found]
    identity = tuple(frame.get("identity", ()))
    return queries.plan(policy, names, step=frame["step"], labels=labels, identity=identity, native=native)


def readings_of(
    frame: Mapping[str, Json], policy: Policy, names: Mapping[str, str], answer: Answer
) -> dict[str, Reading]:
    """Return what was read, sorted by question, with the bucket bounds that the frame pinned."""
    edges = {name: tuple(found) for name, found in frame.get("edges", {}).items()}
    return readings(policy, names, answer, edges=edges, missing=frame.get("missing", {}))


def is_histogram(question: Question) -> bool:
    """Return whether a question reads buckets of a histogram."""
    return isinstance(question, Latency) and question.histogram is not None
