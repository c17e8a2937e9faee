"""
Argo Rollouts v1.9.1 as far as an analysis service can see it: a canary with steps and analyses.

Rules: measurements, metrics and runs in ``measurement`` and ``argo_run``, the rollout here. Pods are ready
at once unless *settle* and *finish* say how long they take. Blue/green, experiments and traffic routers are
left out. The model asks through an injected *call* and lives on a virtual clock; a test looks at ``weights``,
``phase``, ``message``, ``runs`` and ``requests`` of its own call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

from .argo_run import AnalysisRun
from .measurement import Metric, Phase, resolved
from .wire import Call, Clock

INCONCLUSIVE_PAUSE = "InconclusiveAnalysisRun"
STEP_PAUSE = "CanaryPauseStep"


class RolloutPhase(StrEnum):
    """What ``kubectl get rollout`` shows."""

    HEALTHY = "Healthy"
    PROGRESSING = "Progressing"
    PAUSED = "Paused"
    DEGRADED = "Degraded"


@dataclass(frozen=True, slots=True)
class SetWeight:
    """Give the canary *weight* percent of the traffic."""

    weight: int


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait for *seconds*, or for a human where it is None."""

    seconds: float | None = None


Argument = str | Callable[["Rollout"], str]


@dataclass(frozen=True, slots=True)
class Analysis:
    """Metrics with arguments; an argument that is a function reads the Rollout when the run is created."""

    metrics: Sequence[Metric]
    args: Mapping[str, Argument] = field(default_factory=dict)
    starting_step: int = 0
    dry_run: Sequence[str] = ()


Step = SetWeight | Pause | Analysis


def identity() -> dict[str, Argument]:
    """Return the arguments by which a run says whose it is, read as the shipped templates read them."""
    return {
        "namespace": lambda rollout: rollout.namespace,
        "name": lambda rollout: rollout.name,
        "canary-hash": lambda rollout: rollout.hash,
        "stable-hash": lambda rollout: rollout.stable,
        "step": lambda rollout: str(rollout.step),
        "revision": lambda rollout: str(rollout.revision),
    }


@dataclass(slots=True, kw_only=True)
class Rollout:
    """A canary Rollout that is healthy at *stable* until ``update`` gives it another pod template."""

    name: str
    namespace: str = "default"
    steps: Sequence[Step]
    background: Analysis | None = None
    stable: str
    clock: Clock
    call: Call
    settle: float = 0.0
    finish: float = 0.0
    revision: int = 1
    hash: str = ""
    step: int = 0
    aborted: bool = False
    message: str = ""
    pauses: set[str] = field(default_factory=set)
    weights: list[tuple[float, int]] = field(default_factory=list)
    runs: list[AnalysisRun] = field(default_factory=list)
    _step_run: AnalysisRun | None = None
    _background_run: AnalysisRun | None = None
    _ready_at: float | None = None
    _resumed: bool = False

    def __post_init__(self) -> None:
        self.hash = self.stable

    @property
    def phase(self) -> RolloutPhase:
        """Return what the Rollout's status would show."""
        if self.aborted:
            return RolloutPhase.DEGRADED
        if self.hash == self.stable:
            return RolloutPhase.HEALTHY
        return RolloutPhase.PAUSED if self.pauses else RolloutPhase.PROGRESSING

    @property
    def weight(self) -> int:
        """Return the share of traffic that the canary has now, in percent."""
        return self.weights[-1][1] if self.weights else 0

    # ---- what people do

    def update(self, pod_hash: str) -> Self:
        """Set another pod template; the stable one needs no analysis."""
        self._stop_runs()
        self.hash, self.revision = pod_hash, self.revision + 1
        self.aborted, self.message = False, ""
        self._restart()
        self._set_weight(0)
        return self

    def abort(self, reason: str = "") -> None:
        """Send all traffic back to the stable version; measurements in flight are awaited and recorded."""
        self.aborted = True
        why = f": {reason}" if reason else ""
        self.message = f"RolloutAborted: Rollout aborted update to revision {self.revision}{why}"
        self._stop_runs()
        self._restart()
        self._set_weight(0)

    def retry(self) -> None:
        """Begin an aborted update again at the first step; the revision stays, so requests look the same."""
        self.aborted, self.message = False, ""
        self._restart()

    def resume(self) -> None:
        """Clear the pause conditions: a pause step is over, an inconclusive analysis is run again."""
        self._resumed = INCONCLUSIVE_PAUSE in self.pauses
        if STEP_PAUSE in self.pauses:
            self._ready_at = self.clock.now
        self.pauses.clear()

    def promote_full(self) -> None:
        """Skip what is left of the steps and their analyses."""
        self._stop_runs()
        self.pauses.clear()
        self.step = len(self.steps)
        self._ready_at = None

    # ---- what the controller does

    def run(self, until: float) -> Self:
        """Let the controller work until the clock shows *until*."""
        while True:
            while self._reconcile():
                pass
            due = self._due()
            if due is None or due > until:
                self.clock.now = max(self.clock.now, until)
                return self
            self.clock.now = max(self.clock.now, due)

    def _restart(self) -> None:
        self.step, self._ready_at, self._resumed = 0, None, False
        self._step_run = self._background_run = None
        self.pauses.clear()

    def _active(self) -> list[AnalysisRun]:
        runs = (self._background_run, self._step_run)
        return [run for run in runs if run is not None]

    def _stop_runs(self) -> None:
        for run in self._active():
            run.stop()

    def _set_weight(self, weight: int) -> None:
        if weight != self.weight:
            self.weights.append((self.clock.now, weight))

    def _due(self) -> float | None:
        if self.aborted or self.hash == self.stable:
            return None
        times = [run.due() for run in self._active()]
        if not self.pauses:
            times.append(self._ready_at)
        return min((time for time in times if time is not None), default=None)

    def _reconcile(self) -> bool:
        """Do what can be done now; return whether something has moved, so that more may be possible."""
        if self.aborted or self.hash == self.stable:
            return False
        self._create_runs()
        for run in self._active():
            due = run.due()
            if due is not None and due <= self.clock.now:
                run.reconcile()
            if self.aborted:
                return False
        if self._judge_runs() or self.pauses:
            return False
        return self._advance()

    def _create_runs(self) -> None:
        wanted = self.background
        if wanted is not None and self.step >= wanted.starting_step and self._needs(self._background_run):
            self._background_run = self._new_run(wanted, "Background", None)
        current = self.steps[self.step] if self.step < len(self.steps) else None
        if isinstance(current, Analysis) and self._needs(self._step_run):
            self._step_run = self._new_run(current, "Step", self.step)
        self._resumed = False

    def _needs(self, run: AnalysisRun | None) -> bool:
        if self.pauses:
            return False
        return run is None or (self._resumed and run.phase is Phase.INCONCLUSIVE)

    def _new_run(self, analysis: Analysis, kind: str, index: int | None) -> AnalysisRun:
        args = {name: arg if isinstance(arg, str) else arg(self) for name, arg in analysis.args.items()}
        base = f"{self.name}-{self.hash}-{self.revision}" + ("" if index is None else f"-{index}")
        earlier = sum(run.name == base or run.name.startswith(f"{base}.") for run in self.runs)
        run = AnalysisRun(
            name=f"{base}.{earlier}" if earlier else base,
            metrics=[resolved(metric, args) for metric in analysis.metrics],
            clock=self.clock,
            call=self.call,
            dry_run=analysis.dry_run,
            kind=kind,
            step_index=index,
        )
        self.runs.append(run)
        return run

    def _judge_runs(self) -> bool:
        """Abort or pause as the runs say; return whether the rollout has been aborted."""
        for label, run in (("Step-based", self._step_run), ("Background", self._background_run)):
            if run is None:
                continue
            if run.phase in (Phase.FAILED, Phase.ERROR):
                self.abort(f"{label} analysis phase error/failed: {run.message}")
                return True
            if run.phase is Phase.INCONCLUSIVE:
                self.pauses.add(INCONCLUSIVE_PAUSE)
        return False

    def _advance(self) -> bool:
        if self.step == len(self.steps):
            return self._complete()
        current = self.steps[self.step]
        if isinstance(current, Analysis):
            done = self._step_run is not None and self._step_run.phase is Phase.SUCCESSFUL
        elif isinstance(current, Pause):
            done = self._pause_is_over(current)
        else:
            done = self._weight_is_set(current.weight, self.settle)
        if done:
            self.step, self._step_run, self._ready_at = self.step + 1, None, None
        return done

    def _pause_is_over(self, pause: Pause) -> bool:
        if self._ready_at is None and pause.seconds is None:
            self.pauses.add(STEP_PAUSE)
            return False
        if self._ready_at is None:
            self._ready_at = self.clock.now + (pause.seconds or 0.0)
        return self.clock.now >= self._ready_at

    def _weight_is_set(self, weight: int, takes: float) -> bool:
        self._set_weight(weight)
        if self._ready_at is None:
            self._ready_at = self.clock.now + takes
        return self.clock.now >= self._ready_at

    def _complete(self) -> bool:
        if not self._weight_is_set(100, self.finish):
            return False
        self._stop_runs()
        self.stable, self._ready_at = self.hash, None
        self._restart()
        return True
