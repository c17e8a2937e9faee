"""
Flagger v1.44.0 as far as an analysis service can see it: one canary, one tick every interval.

The order inside a tick is that of the real loop. Workloads are ready at once. Modelled: weights (any provider
that can split traffic) and iterations (provider kubernetes, blue/green); left out: A/B match, mirroring,
session affinity, ``skipAnalysis``, step weights in a list, alerts. A test looks at ``weights``, ``phase``,
``failed_checks``, ``events`` and the requests of its own call.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

from .flagger_hooks import Hook, HookRefused, HookType, ask
from .wire import Call, Clock

SHORTEST_INTERVAL = 10.0
TOTAL_WEIGHT = 100
DEFAULT_ITERATIONS = 10


class CanaryPhase(StrEnum):
    """Phases of a Canary."""

    INITIALIZING = "Initializing"
    INITIALIZED = "Initialized"
    WAITING = "Waiting"
    PROGRESSING = "Progressing"
    WAITING_PROMOTION = "WaitingPromotion"
    PROMOTING = "Promoting"
    FINALISING = "Finalising"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


RUNNING = frozenset({CanaryPhase.PROGRESSING, CanaryPhase.WAITING_PROMOTION})
IN_FLIGHT = RUNNING | {CanaryPhase.WAITING, CanaryPhase.PROMOTING, CanaryPhase.FINALISING}


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A Kubernetes event of the canary; *type* Normal or Warning."""

    t: float
    type: str
    message: str


def fnv_checksum(revision: str) -> str:
    """Return a short checksum of what was applied: FNV-1a of 32 bits, as many as Flagger's has."""
    value = 0x811C9DC5
    for byte in revision.encode():
        value = (value ^ byte) * 0x01000193 % 2**32
    return f"{value:08x}"


@dataclass(slots=True, kw_only=True)
class Canary:
    """
    One Canary object and the loop that advances it.

    *provider* "kubernetes" counts *iterations*, any other shifts weights by *step_weight* up to *max_weight*.
    *checks* are the built-in metrics and metric templates: each returns None or the text of its halt.
    *probe* asks the metrics server during initialisation. *checksum* maps the revision last applied to the
    value in the payload. ``weights`` is real traffic, ``failed_at`` the times of failed checks.
    """

    name: str
    namespace: str = "default"
    provider: str = "nginx"
    hooks: Sequence[Hook]
    clock: Clock
    call: Call
    interval: float = SHORTEST_INTERVAL
    threshold: int = 1
    step_weight: int = 10
    max_weight: int = TOTAL_WEIGHT
    iterations: int = 0
    revision: str = "1"
    checks: Sequence[Callable[[], str | None]] = ()
    probe: Callable[[], None] | None = None
    checksum: Callable[[str], str] = fnv_checksum
    phase: CanaryPhase = CanaryPhase.INITIALIZING
    failed_checks: int = 0
    iteration: int = 0
    weight: int = 0
    weights: list[tuple[float, int]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    failed_at: list[float] = field(default_factory=list)
    applied: str = ""
    promoted: str = ""
    _next_tick: float | None = None
    _primary_made: bool = False
    _failed_revision: str = ""

    def __post_init__(self) -> None:
        self.interval = max(self.interval, SHORTEST_INTERVAL)
        if self.provider == "kubernetes" and self.iterations < 1:
            self.iterations = DEFAULT_ITERATIONS

    def update(self, revision: str) -> Self:
        """Change the spec or a tracked config; the loop notices on its next tick."""
        self.revision = revision
        return self

    def run(self, until: float) -> Self:
        """
        Let the loop tick until the clock shows *until*.

        Of the ticks that fall into a long one, one is kept and follows at once, the others are dropped.
        """
        if self._next_tick is None:
            self._next_tick = self.clock.now
        while self._next_tick <= until:
            fired = self._next_tick
            self.clock.now = max(self.clock.now, fired)
            self.tick()
            grid = fired + self.interval
            if grid < self.clock.now:
                # The kept tick fires now; the grid goes on where it would have been without the delay.
                missed = math.floor((self.clock.now - grid) / self.interval)
                grid += missed * self.interval
            self._next_tick = grid
        self.clock.now = max(self.clock.now, until)
        return self

    def tick(self) -> None:
        """Advance the canary once."""
        if self.phase is CanaryPhase.INITIALIZING:
            self._initialise()
            return
        if self.phase is CanaryPhase.FAILED:
            # A failed canary takes over the new spec before it asks to begin, so the checksum is new already.
            self.applied = self.revision
            changed = self.revision not in (self._failed_revision, self.promoted)
        else:
            changed = self.revision not in (self.applied, self.promoted)
        if self.phase not in IN_FLIGHT and not changed:
            return
        if self.phase not in RUNNING | {CanaryPhase.PROMOTING, CanaryPhase.FINALISING}:
            self._begin()
        elif self.phase in RUNNING and changed:
            self._restart()
        else:
            self._advance()

    # ---- before the analysis

    def _initialise(self) -> None:
        if self.probe is not None:
            self.probe()
        self._event("all the metrics providers are available!")
        if not self._primary_made:
            self._primary_made = True
            where = f"{self.name}-primary.{self.namespace}"
            why = "waiting for rollout to finish: observed deployment generation less than desired generation"
            self._event(f"{where} not ready: {why}", warning=True)
            return
        self.applied = self.promoted = self.revision
        self.phase = CanaryPhase.INITIALIZED
        self._event(f"Initialization done! {self._full_name}")

    def _begin(self) -> None:
        for hook in self._of(HookType.CONFIRM_ROLLOUT):
            refused = self._refused(hook, self.phase)
            if refused is not None:
                if self.phase is not CanaryPhase.WAITING:
                    self._halt(f"waiting for approval {hook.name}")
                    self.phase = CanaryPhase.WAITING
                return
            self._event(f"Confirm-rollout check {hook.name} passed")
        self.phase = CanaryPhase.PROGRESSING
        self._event(f"New revision detected! Scaling up {self._full_name}")
        self._reset()

    def _restart(self) -> None:
        self.phase = CanaryPhase.PROGRESSING
        self._set_weight(0)
        self._reset()
        self._event(f"New revision detected! Restarting analysis for {self._full_name}")

    def _reset(self) -> None:
        self.applied, self.failed_checks, self.iteration = self.revision, 0, 0

    # ---- the analysis

    def _advance(self) -> None:
        if self.phase in RUNNING and self._rollback_asked():
            self._event(f"Rolling back {self._full_name} manual webhook invoked", warning=True)
            self._roll_back()
        elif self.phase is CanaryPhase.PROMOTING:
            if self.provider != "kubernetes":
                self._event("Routing all traffic to primary")
                self._set_weight(0)
            self.phase = CanaryPhase.FINALISING
        elif self.phase is CanaryPhase.FINALISING:
            self.phase = CanaryPhase.SUCCEEDED
            self.promoted = self.applied
            self._after(CanaryPhase.SUCCEEDED)
            self._event(f"Promotion completed! Scaling down {self._full_name}")
        elif self.failed_checks >= max(self.threshold, 1):
            self._roll_back()
        elif not self._passes():
            self.failed_checks += 1
            self.failed_at.append(self.clock.now)
        elif self.iterations > 0:
            self._iterate()
        else:
            self._shift()

    def _rollback_asked(self) -> bool:
        for hook in self._of(HookType.ROLLBACK):
            if self._refused(hook, self.phase) is None:
                self._event(f"Rollback check {hook.name} passed", warning=True)
                return True
            self._event(f"Rollback hook {hook.name} not signaling a rollback")
        return False

    def _roll_back(self) -> None:
        if self.failed_checks >= max(self.threshold, 1):
            reached = f"failed checks threshold reached {self.failed_checks}"
            self._event(f"Rolling back {self._full_name} {reached}", warning=True)
        self._set_weight(0)
        before, self.phase = self.phase, CanaryPhase.FAILED
        self._event(f"Canary failed! Scaling down {self._full_name}", warning=True)
        self.failed_checks = self.iteration = 0
        self._failed_revision = self.applied
        # The events of the last hooks still show the phase from before.
        self.phase = before
        self._after(CanaryPhase.FAILED)
        self.phase = CanaryPhase.FAILED

    def _passes(self) -> bool:
        if self.weight == 0 and self.iteration == 0:
            self._event(f"Starting canary analysis for {self._full_name}")
            for hook in self._of(HookType.PRE_ROLLOUT):
                refused = self._refused(hook, CanaryPhase.PROGRESSING)
                if refused is not None:
                    self._halt(f"pre-rollout check {hook.name} failed {refused}")
                    return False
                self._event(f"Pre-rollout check {hook.name} passed")
            return True
        for hook in self._of(HookType.ROLLOUT):
            refused = self._refused(hook, CanaryPhase.PROGRESSING)
            if refused is not None:
                self._halt(f"external check {hook.name} failed {refused}")
                return False
        for check in self.checks:
            why = check()
            if why is not None:
                self._halt(why)
                return False
        return True

    def _iterate(self) -> None:
        if self.iteration < self.iterations:
            self.iteration += 1
            self._event(f"Advance {self._full_name} canary iteration {self.iteration}/{self.iterations}")
        elif self._promotion_confirmed():
            if self.iteration == self.iterations:
                if self.provider != "kubernetes":
                    self._event("Routing all traffic to canary")
                    self._set_weight(TOTAL_WEIGHT)
                self.iteration += 1
            else:
                self._promote()

    def _shift(self) -> None:
        if self.phase is not CanaryPhase.WAITING_PROMOTION:
            for hook in self._of(HookType.CONFIRM_TRAFFIC_INCREASE):
                if self._refused(hook, CanaryPhase.PROGRESSING) is not None:
                    self._halt(f"waiting for traffic increase approval {hook.name}")
                    return
                self._event(f"Confirm-traffic-increase check {hook.name} passed")
        if self.weight < self.max_weight:
            self._set_weight(min(self.weight + self.step_weight, TOTAL_WEIGHT))
            self._event(f"Advance {self._full_name} canary weight {self.weight}")
        elif self._promotion_confirmed():
            self._promote()

    def _promotion_confirmed(self) -> bool:
        for hook in self._of(HookType.CONFIRM_PROMOTION):
            if self._refused(hook, CanaryPhase.PROGRESSING) is not None:
                if self.phase is not CanaryPhase.WAITING_PROMOTION:
                    self._halt(f"waiting for promotion approval {hook.name}")
                    self.phase = CanaryPhase.WAITING_PROMOTION
                self.iteration = self.iterations - 1
                return False
            self._event(f"Confirm-promotion check {hook.name} passed")
        return True

    def _promote(self) -> None:
        target = f"{self.name}-primary.{self.namespace}"
        self._event(f"Copying {self._full_name} template spec to {target}")
        self.phase, self.iteration = CanaryPhase.PROMOTING, 0

    def _after(self, phase: CanaryPhase) -> None:
        for hook in self._of(HookType.POST_ROLLOUT):
            refused = self._refused(hook, phase)
            if refused is not None:
                self._event(f"Post-rollout hook {hook.name} failed {refused}", warning=True)
                return
            self._event(f"Post-rollout check {hook.name} passed")

    # ---- what it sends

    @property
    def _full_name(self) -> str:
        return f"{self.name}.{self.namespace}"

    def _of(self, kind: HookType) -> list[Hook]:
        return [hook for hook in self.hooks if hook.type is kind]

    def _set_weight(self, weight: int) -> None:
        if weight != self.weight:
            self.weight = weight
            self.weights.append((self.clock.now, weight))

    def _payload(self, phase: CanaryPhase, metadata: Mapping[str, str]) -> dict[str, Any]:
        payload: dict[str, Any] = {
            "name": self.name,
            "namespace": self.namespace,
            "phase": phase.value,
            "checksum": self.checksum(self.applied),
        }
        if metadata:
            payload["metadata"] = dict(metadata)
        return payload

    def _refused(self, hook: Hook, phase: CanaryPhase) -> str | None:
        try:
            ask(hook, self._payload(phase, hook.metadata), self.call, self.clock)
        except HookRefused as refusal:
            return str(refusal)
        return None

    def _halt(self, why: str) -> None:
        self._event(f"Halt {self._full_name} advancement {why}", warning=True)

    def _event(self, message: str, *, warning: bool = False) -> None:
        """Record an event and tell the event hooks, whose answer nobody reads."""
        kind = "Warning" if warning else "Normal"
        self.events.append(Event(t=self.clock.now, type=kind, message=message))
        own = {"eventMessage": message, "eventType": kind, "timestamp": str(int(self.clock.now * 1000))}
        for hook in self._of(HookType.EVENT):
            try:
                ask(hook, self._payload(self.phase, {**hook.metadata, **own}), self.call, self.clock)
            except HookRefused:
                continue
