"""Computing time of the evidence engine: T15."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from analysis import resumed
from analysis.compare.arms import prepare
from analysis.compare.claims import final_demand, no_worse
from analysis.compare.counts import CountsData, CountsQuestion, weigh
from analysis.compare.counts_arms import arms_of
from analysis.compare.effects import effect
from analysis.evidence import Null, abort_evidence
from tests.calibration.measures import judged
from tests.calibration.services import Service, draw

RUNS = 5
LOOKS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the table: a figure, its target (or None) and what was reached."""

    name: str
    unit: str
    reached: float
    target: float | None = None

    @property
    def passed(self) -> bool:
        """Whether the target, if there is one, is kept."""
        return self.target is None or self.reached <= self.target


def median_ms(work: Callable[[], object]) -> float:
    """Return the median processor time of five runs in milliseconds, after one to warm up; no run remembers another."""
    work()
    times = []
    for _ in range(RUNS):
        resumed.forget()
        begin = time.process_time()
        work()
        times.append(1e3 * (time.process_time() - begin))
    return statistics.median(times)


def lines() -> list[Line]:
    """Measure and return the lines of the table."""
    quiet, busy = (_process_times(rps) for rps in (20.0, 20_000.0))
    return [
        Line(name="abort process, 500 looks, 20 rps", unit="ms", reached=quiet[0], target=25),
        Line(name="abort process, 500 looks, 20,000 rps", unit="ms", reached=busy[0], target=25),
        Line(name="the same, 20,000 over 20 rps", unit="x", reached=busy[0] / quiet[0], target=1.5),
        Line(name="promote process, 500 looks, 20 rps", unit="ms", reached=quiet[1], target=10),
        Line(name="promote process, 500 looks, 20,000 rps", unit="ms", reached=busy[1], target=10),
        Line(name="the same, 20,000 over 20 rps", unit="x", reached=busy[1] / quiet[1], target=1.5),
        Line(name="one look more from a cached state", unit="ms", reached=busy[2], target=5),
        Line(name="one question cold, 500 looks, growing pods", unit="ms", reached=_question_time(500), target=150),
        Line(name="the same: one look more", unit="ms", reached=_look_time(), target=5),
        Line(name="one question cold, 100 looks, growing pods", unit="ms", reached=_question_time(100)),
        Line(name="one question cold, 20,000 looks", unit="ms", reached=_question_time(20_000)),
        Line(name="estimate and bounds, 500 looks", unit="ms", reached=_effect_time()),
        Line(name="batch: 250 releases, 240 looks, both abort processes", unit="ms", reached=_batch_time()),
    ]


def _process_times(rps: float) -> tuple[float, float, float]:
    service = Service(rps=rps, looks=LOOKS)
    arms = arms_of(draw(service, 1, np.random.default_rng(1)).release(0), CountsQuestion())
    prepared = prepare(arms)
    final, known = final_demand(prepared, 0.001, 20.0)
    null = Null(ratio=1.5, slack=final)
    _, state = abort_evidence(prepared.looks.between(0, LOOKS - 1), Null())
    last = prepared.looks.between(LOOKS - 1, LOOKS)
    return (
        median_ms(lambda: abort_evidence(prepared.looks, Null())),
        median_ms(lambda: no_worse(prepared, null, known.bad_share, known.since, prepared.first)),
        median_ms(lambda: abort_evidence(last, Null(), state)),
    )


def _question(looks: int) -> CountsData:
    service = Service(looks=looks, weights=(0.05, 0.1, 0.25, 0.5), canary_pods=(1, 1, 3, 5))
    return draw(service, 1, np.random.default_rng(2)).release(0)


def _question_time(looks: int) -> float:
    data = _question(looks)
    return median_ms(lambda: weigh(data, CountsQuestion()))


def _look_time() -> float:
    """Return milliseconds of the newest look of 500 where the looks before were weighed already."""
    whole = _question(LOOKS)
    times = []
    for _ in range(RUNS):
        resumed.forget()
        weigh(_first(whole, LOOKS - 1), CountsQuestion())
        begin = time.process_time()
        weigh(whole, CountsQuestion())
        times.append(1e3 * (time.process_time() - begin))
    return statistics.median(times)


def _first(data: CountsData, looks: int) -> CountsData:
    """Return the first so many looks."""
    names = ("baseline_bad", "baseline_total", "canary_bad", "canary_total", "left_out", "ends", "seconds")
    return replace(data, **{name: getattr(data, name)[..., :looks] for name in names})


def _effect_time() -> float:
    data = draw(Service(looks=LOOKS), 1, np.random.default_rng(3)).release(0)
    evidence = weigh(data, CountsQuestion())
    return median_ms(lambda: effect(replace(evidence)))  # a copy: effects of evidence in use are kept


def _batch_time() -> float:
    drawn = draw(Service(), 250, np.random.default_rng(4))
    return median_ms(lambda: judged(drawn))
