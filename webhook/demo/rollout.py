"""
Two rollouts that ask the service before every step, as a controller does.

Nothing here decides: a step is taken when the service says promote, traffic is taken back when it says abort.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from analysis.types import Json, Verdict
from webhook.demo.traffic import QUESTION, SCRAPE_S, Traffic
from webhook.schema.report import instant

NAMESPACE = "demonstration"
"""Marks everything that is only simulated: in lists, reports, logs."""
WEIGHTS = (0.05, 0.25, 0.5, 1.0)
TICK_S = 10.0
"""Seconds of simulated time between two questions: what a controller's analysis interval is."""
PAUSE_S = 30.0
"""How long a controller pauses after a step before it asks again."""
LONGEST_S = 3600.0
HARMS = (1.0, 3.0)
"""Error rate of the canary over stable's: of the good release, and of the bad one."""
NAMES = ("checkout", "search")
_LETTERS = "456789bcdf"


class Caller(Protocol):
    """Somebody who can ask the service."""

    def post(self, path: str, body: Json) -> dict[str, Any]:
        """Return the JSON that the service answers to a POST."""
        ...

    def get(self, path: str) -> dict[str, Any]:
        """Return the JSON that the service answers to a GET."""
        ...


@dataclass(slots=True, kw_only=True)
class Clock:
    """The service's clock: unix seconds that pass when we say so."""

    now: float

    def __call__(self) -> float:
        """Return unix seconds."""
        return self.now


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """
    One answer of the service.

    ``seconds`` since the start, in simulated time; ``weight`` while it was asked; ``evidence`` of the report.
    """

    name: str
    seconds: float
    weight: float
    verdict: str
    reason: str
    report: str
    evidence: Mapping[str, Json]


@dataclass(slots=True, kw_only=True)
class Rollout:
    """One release on its way through `WEIGHTS`; ``ended`` is promoted, aborted, or empty while it runs."""

    traffic: Traffic
    weight: float = WEIGHTS[0]
    ended: str = ""
    last: Event | None = None
    quiet_until: float = 0.0

    def ask(self, caller: Caller, now: float) -> Event:
        """Ask once and do as told."""
        asked = self.weight
        coming = next((weight for weight in WEIGHTS if weight > asked), 1.0)
        answer = caller.post("/v1/analysis", self._question(asked, coming))
        report = caller.get(f"/v1/reports/{answer['id']}?format=json")
        evidence = report["detail"]["evidence"]
        self.last = Event(
            name=self.traffic.name,
            seconds=now - self.traffic.start,
            weight=asked,
            verdict=answer["verdict"],
            reason=answer["reason"],
            report=answer["id"],
            evidence=evidence[0] if evidence else {},
        )
        if answer["verdict"] == Verdict.PROMOTE.value:
            self.weight, self.quiet_until = coming, now + PAUSE_S
            self.ended = "promoted" if coming >= 1 else ""
        elif answer["verdict"] == Verdict.ABORT.value:
            self.weight, self.ended = 0.0, "aborted"
        return self.last

    def _question(self, weight: float, coming: float) -> dict[str, Json]:
        return {
            "policy": policy(self.traffic.name),
            "release": {
                "namespace": NAMESPACE,
                "name": self.traffic.name,
                "revision": self.traffic.revision,
                "stable_revision": self.traffic.stable,
                "weight": weight,
                "next_weight": coming,
                "annotation": "a simulated release of the demonstration; no traffic was touched",
            },
        }


@dataclass(slots=True, kw_only=True)
class Demonstration:
    """Both rollouts, side by side, and the clock that they and the service share."""

    clock: Clock
    rollouts: tuple[Rollout, ...]

    @classmethod
    def beginning(cls, start: float, *, seed: int, swap: bool = False) -> Demonstration:
        """
        Return a demonstration that begins at ``start``.

        Parameters
        ----------
        start : float
            Unix seconds.
        seed : int
            Of the simulated traffic, >= 0.
        swap : bool
            Whether the first release is the bad one.
        """
        start = start // 60 * 60  # so that looks begin alike, and a seed always gives the same demonstration
        rollouts = tuple(
            Rollout(
                traffic=Traffic(
                    name=name,
                    stable=_hash(f"{name} stable"),
                    revision=_hash(f"{name} {start} {seed}"),
                    start=start,
                    harm=harm,
                    rng=np.random.default_rng([seed, number]),
                )
            )
            for number, (name, harm) in enumerate(zip(NAMES, HARMS[::-1] if swap else HARMS, strict=True))
        )
        return cls(clock=Clock(now=start), rollouts=rollouts)

    def sources(self) -> dict[str, Any]:
        """Return one source per release, by the name that its policy gives."""
        return {rollout.traffic.name: rollout.traffic.source for rollout in self.rollouts}

    def play(self, caller: Caller, pause: Callable[[], None]) -> Iterator[Event]:
        """Yield every answer until both releases have ended, or an hour has passed; ``pause`` after each tick."""
        begun = self.clock.now
        while self.clock.now - begun < LONGEST_S and not all(rollout.ended for rollout in self.rollouts):
            self.clock.now += TICK_S
            for rollout in self.rollouts:
                rollout.traffic.serve_until(self.clock.now, rollout.weight)
                if not rollout.ended and self.clock.now >= rollout.quiet_until:
                    yield rollout.ask(caller, self.clock.now)
            pause()


def policy(name: str) -> dict[str, Json]:
    """Return the policy of one release: the defaults, and where its numbers come from."""
    return {
        "name": f"demonstration-{name}",
        "source": name,
        "looks": {"scrape": f"{SCRAPE_S:.0f}s"},
        "noise": {"history": "30m"},
        "steps": list(WEIGHTS),
        "min_step": "1m",
        "questions": [
            {
                "name": QUESTION,
                "kind": "proportion",
                "bad": 'http_requests_total{$side, code=~"5.."}',
                "total": "http_requests_total{$side}",
                "weight": "critical",
            }
        ],
    }


def _hash(text: str) -> str:
    """Return ten characters as Kubernetes would spell a pod template's hash."""
    digest = hashlib.sha256(text.encode()).digest()
    return "".join(_LETTERS[byte % len(_LETTERS)] for byte in digest[:10])


def event_document(event: Event) -> dict[str, Json]:
    """Return an event as JSON."""
    return {
        "name": event.name,
        "seconds": event.seconds,
        "weight": event.weight,
        "verdict": event.verdict,
        "reason": event.reason,
        "report": event.report,
        "counts": event.evidence.get("counts"),
        "log_e": event.evidence.get("log_e"),
    }


def begun_at(demonstration: Demonstration) -> str:
    """Return when the releases began, RFC 3339."""
    return instant(demonstration.rollouts[0].traffic.start)
