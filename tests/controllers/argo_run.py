"""Argo's AnalysisRun, v1.9.1: metrics measured until a limit, a count or a stop ends them."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from .measurement import Measurement, Metric, Phase, measure
from .wire import Call, Clock

ERROR_RETRY = 10.0
"""Seconds after an Error, whatever the interval says."""

SEVERITY = (
    Phase.SUCCESSFUL,
    Phase.RUNNING,
    Phase.PENDING,
    Phase.INCONCLUSIVE,
    Phase.ERROR,
    Phase.FAILED,
)
BAD = frozenset({Phase.FAILED, Phase.ERROR, Phase.INCONCLUSIVE})


@dataclass(slots=True, kw_only=True)
class MetricResult:
    """The counters of one metric, named as in the run's status."""

    metric: Metric
    measurements: list[Measurement] = field(default_factory=list)
    phase: Phase = Phase.PENDING
    message: str = ""
    count: int = 0
    successful: int = 0
    failed: int = 0
    inconclusive: int = 0
    error: int = 0
    consecutive_error: int = 0
    consecutive_success: int = 0

    def add(self, measurement: Measurement) -> None:
        """Count one finished measurement; Errors do not count towards ``count``."""
        self.measurements.append(measurement)
        if measurement.phase is Phase.ERROR:
            self.error += 1
            self.consecutive_error += 1
            self.consecutive_success = 0
            return
        self.count += 1
        self.consecutive_error = 0
        good = measurement.phase is Phase.SUCCESSFUL
        self.consecutive_success = self.consecutive_success + 1 if good else 0
        self.successful += good
        self.failed += measurement.phase is Phase.FAILED
        self.inconclusive += measurement.phase is Phase.INCONCLUSIVE

    def violation(self) -> tuple[Phase, str] | None:
        """Return phase and wording of the broken limit; a later check overrides an earlier one."""
        broken: tuple[Phase, str] | None = None
        limits = self.metric
        if 0 <= limits.failure_limit < self.failed:
            text = f"failed ({self.failed}) > failureLimit ({limits.failure_limit})"
            broken = Phase.FAILED, text
        if self.inconclusive > limits.inconclusive_limit:
            text = f"inconclusive ({self.inconclusive}) > inconclusiveLimit ({limits.inconclusive_limit})"
            broken = Phase.INCONCLUSIVE, text
        if self.consecutive_error > limits.consecutive_error_limit:
            text = (
                f"consecutiveErrors ({self.consecutive_error}) > "
                f"consecutiveErrorLimit ({limits.consecutive_error_limit})"
            )
            broken = Phase.ERROR, text
        return broken

    def assess(self, terminating: bool) -> tuple[Phase, str]:
        """Return the phase that the counters give, and the limit that gave it (else an empty text)."""
        if self.phase.completed:
            return self.phase, self.message
        if not self.measurements:
            return (Phase.SUCCESSFUL if terminating else Phase.PENDING), ""
        broken = self.violation()
        if broken is not None:
            return broken
        wanted = self.metric.consecutive_success_limit
        if 0 < wanted <= self.consecutive_success:
            return Phase.SUCCESSFUL, ""
        enough = self.metric.effective_count
        if enough is not None and self.count >= enough:
            return self._at_count(wanted)
        return (Phase.SUCCESSFUL if terminating else Phase.RUNNING), ""

    def _at_count(self, wanted: int) -> tuple[Phase, str]:
        if wanted == 0:
            return Phase.SUCCESSFUL, ""
        # No recorded run shows how this end is worded; these words are the model's own.
        text = f"consecutiveSuccess ({self.consecutive_success}) < consecutiveSuccessLimit ({wanted})"
        return (Phase.INCONCLUSIVE if self.metric.failure_limit >= 0 else Phase.FAILED), text


@dataclass(slots=True, kw_only=True)
class AnalysisRun:
    """One run: *metrics* with their arguments filled in, measured by ``reconcile`` whenever it is called."""

    name: str
    metrics: Sequence[Metric]
    clock: Clock
    call: Call
    dry_run: Collection[str] = ()
    kind: str = ""
    step_index: int | None = None
    phase: Phase = Phase.PENDING
    message: str = ""
    stopped: bool = False
    started_at: float = field(init=False)
    results: dict[str, MetricResult] = field(init=False)
    _busy: bool = False

    def __post_init__(self) -> None:
        self.started_at = self.clock.now
        self.results = {metric.name: MetricResult(metric=metric) for metric in self.metrics}

    @property
    def terminating(self) -> bool:
        """Whether no new measurement may start: told to stop, or a metric that counts has ended badly."""
        return self.stopped or any(
            result.phase in BAD for name, result in self.results.items() if name not in self.dry_run
        )

    def due(self) -> float | None:
        """Return when the next measurement is to be taken; None if there will be none."""
        if self.phase.completed or self.terminating:
            return None
        return min((self._metric_due(r) for r in self.results.values() if not r.phase.completed), default=None)

    def _metric_due(self, result: MetricResult) -> float:
        if not result.measurements:
            return self.started_at + result.metric.initial_delay
        last = result.measurements[-1]
        failed = last.phase is Phase.ERROR or result.metric.interval is None
        wait = ERROR_RETRY if failed else result.metric.interval or 0.0
        # Times in the status have whole seconds, so a gap is up to a second shorter than the interval.
        return math.floor(last.finished_at) + wait

    def reconcile(self) -> None:
        """Take the measurements that are due, then bring metrics and run up to date."""
        if self.phase.completed or self._busy:
            return
        self._busy = True
        now = latest = self.clock.now
        for result in () if self.terminating else tuple(self.results.values()):
            if not result.phase.completed and self._metric_due(result) <= now:
                # All metrics that are due are measured in parallel: each starts at the same moment.
                self.clock.now = now
                result.add(measure(result.metric, self.call, self.clock))
                latest = max(latest, self.clock.now)
        self.clock.now = latest
        self._busy = False
        self._assess()

    def stop(self) -> None:
        """Take no further measurement; one in flight is awaited and counted first."""
        self.stopped = True
        if not self._busy and not self.phase.completed:
            self._assess()

    def _assess(self) -> None:
        # A metric that ends badly stops the others, so they are assessed again with that known.
        for _ in range(2):
            terminating = self.terminating
            for name, result in self.results.items():
                self._assess_metric(name, result, terminating)
        if not all(result.phase.completed for result in self.results.values()):
            self.phase = Phase.RUNNING
            return
        counted = [result for name, result in self.results.items() if name not in self.dry_run]
        worst = max(counted, key=lambda result: SEVERITY.index(result.phase), default=None)
        self.phase = Phase.SUCCESSFUL if worst is None else worst.phase
        self.message = self._wording(worst) or ("Run Terminated" if self.stopped else "")

    def _assess_metric(self, name: str, result: MetricResult, terminating: bool) -> None:
        if result.phase.completed:
            return
        result.phase, why = result.assess(terminating)
        dry = name in self.dry_run
        if dry and why:
            result.message = f"Metric assessed {result.phase} due to {why}"
        elif result.phase.completed:
            result.message = why

    def _wording(self, worst: MetricResult | None) -> str:
        if worst is None or worst.phase not in BAD:
            return ""
        text = f'Metric "{worst.metric.name}" assessed {worst.phase} due to {worst.message}'
        last = worst.measurements[-1].message if worst.measurements else ""
        return f'{text}: "Error Message: {last}"' if last else text
