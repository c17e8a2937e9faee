"""
A release played through the service itself: its gate, its records, its judge, over numbers in memory.

Every kind of question that the service judges is judged here, because nothing else judges.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from analysis.policy import Latency, Limits, Looks, Policy, Proportion, Question, Rate, Select
from analysis.types import FloatArray, Mode, Stage, State, Verdict
from webhook.calls import Call
from webhook.gate import Gate
from webhook.policies import Policies
from webhook.releases import Caller
from webhook.schema.request import Ask
from webhook.simulation.world import BEFORE, START, Release, World, edges_of
from webhook.sources.memory import MemorySource
from webhook.stores.memory import MemoryStore

NAMESPACE: Final = "simulation"
SUSPICIOUS: Final = frozenset({State.DEGRADED.value, State.WORSE.value})


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """
    How a release ended.

    Parameters
    ----------
    outcome : str
        ``promoted``, ``aborted``, or ``held`` when it was given up.
    seconds : float
        Since its start.
    weight : float
        At the end; 1 if promoted.
    frozen : bool
        Whether it was ever worse at freezing odds.
    harmed : float
        Extra bad events of the canary until then, expected; of the question that was hit, 0 where it counts none.
    """

    outcome: str
    seconds: float
    weight: float
    frozen: bool
    harmed: float


def simulated(policy: Policy, world: World) -> Policy:
    """
    Return the policy as it meets an invented service: its looks, selectors and history are those of the world.

    Replicas are visible there, whatever the policy's selectors say.
    """
    return replace(
        policy,
        questions=tuple(replace(question, select=None, exclude="") for question in policy.questions),
        select=Select(),
        source="default",
        mode=Mode.ENFORCE,
        controller="argo",
        looks=Looks(scrape=world.look, length=world.look, lag=world.look, warm_up=0.0),
        history=world.history,
        steps=(),
    )


def harm_of(release: Release, requests: float) -> float:
    """Return the extra bad events that so many canary requests cost, expected."""
    question = release.policy.question(release.hit)
    counts = isinstance(question, Proportion | Rate)
    return max(0.0, release.effect - 1) * release.world.share * requests if counts else 0.0


def play(release: Release) -> Ended:
    """
    Return how a release ends that is asked about once a look and does as it is told.

    A verdict sees the looks that ended a look ago; the next weight is served from the next look on.
    """
    world, policy = release.world, release.policy
    numbers = _Numbers(release=release)
    numbers.serve(BEFORE, world.earlier + 1)
    gate = Gate(store=MemoryStore(), policies=_OnePolicy(policy), sources={"default": numbers.source})
    step, frozen = 0, False
    for look in range(1, world.looks + 1):
        numbers.serve(step, 1)
        at = START + look * world.look
        following = world.next_weight(step)
        ask = Ask(
            policy=policy.name, namespace=NAMESPACE, name="release", revision="canary", stable_revision="stable",
            step=step, weight=world.weights[step], next_weight=following, started_at=START,
            stage=Stage.FINAL if following >= 1 else Stage.STEP,
        )  # fmt: skip
        said = gate.evaluate(Call(ask=ask, caller=Caller.ARGO, at=at)).document
        frozen = frozen or bool(SUSPICIOUS & set(said["questions"].values()))
        if said["would"] == Verdict.ABORT.value:
            return _ended(release, numbers, "aborted", look, world.weights[step], True)
        if said["would"] == Verdict.PROMOTE.value:
            if following >= 1:
                return _ended(release, numbers, "promoted", look, 1.0, frozen)
            step += 1
    return _ended(release, numbers, "held", world.looks, world.weights[step], frozen)


class _OnePolicy(Policies):
    """Policies that know one, whatever it is made of."""

    def __init__(self, policy: Policy) -> None:
        super().__init__(None, clock=lambda: 0.0)
        self._only = policy

    def find(self, name: str) -> Policy:
        """Return it."""
        return self._only


def _ended(release: Release, numbers: _Numbers, outcome: str, look: int, weight: float, frozen: bool) -> Ended:
    harmed = harm_of(release, numbers.canary_requests)
    return Ended(outcome=outcome, seconds=look * release.world.look, weight=weight, frozen=frozen, harmed=harmed)


@dataclass(slots=True, kw_only=True)
class _Numbers:
    """What was served so far, as a source has it."""

    release: Release
    source: MemorySource = field(init=False)
    canary_requests: float = field(default=0.0, init=False)
    _served: dict[str, dict[str, Mapping[str, Mapping[str, list[object]]]]] = field(init=False)
    _deviations: dict[tuple[str, str], FloatArray] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        world = self.release.world
        self._served = {
            question.name: {
                name: {side: {replica: [] for replica in replicas} for side, replicas in world.names.items()}
                for name in fields_of(question)
            }
            for question in self.release.policy.questions
            if not isinstance(question, Limits)
        }
        self.source = MemorySource(
            start=START - (world.earlier + 1) * world.look,
            step=world.look,
            numbers=self._served,  # type: ignore[arg-type]
            edges={q.name: edges_of(q) for q in self.release.policy.questions if isinstance(q, Latency)},
        )

    def serve(self, step: int, looks: int) -> None:
        """Let looks pass at the weight of a step."""
        release, world = self.release, self.release.world
        totals = dict(zip(("baseline", "canary"), release.requests(step, looks), strict=True))
        pods = {"baseline": world.pods, "canary": 0 if step == BEFORE else world.canaries(step)}
        self.canary_requests += float(totals["canary"].sum())
        for question in release.policy.questions:
            if isinstance(question, Limits):
                continue
            for side, total in totals.items():
                drawn = self._drawn(question, step, side, total)
                for name, array in zip(fields_of(question), drawn, strict=True):
                    for row, replica in enumerate(world.names[side]):
                        column = array[:, row]
                        gone = row >= pods[side]
                        nothing = np.full_like(column, math.nan)
                        self._served[question.name][name][side][replica].extend(nothing if gone else column)

    def _drawn(self, question: Question, step: int, side: str, total: FloatArray) -> tuple[FloatArray, ...]:
        release = self.release
        if isinstance(question, Proportion | Rate):
            return release.bad(question, step, side, total), total
        if isinstance(question, Latency):
            return (release.buckets(question, step, side, total),)
        last = self._deviations.setdefault((question.name, side), np.zeros(total.shape[1]))
        return (release.levels(question, step, side, total, last),)


def fields_of(question: Question) -> tuple[str, ...]:
    """Return the fields that a source has of a question: those that are drawn of it."""
    if isinstance(question, Proportion):
        return ("bad", "total")
    if isinstance(question, Rate):
        return ("events", "exposure")
    return ("counts",) if isinstance(question, Latency) else ("values",)
