"""Levels that are looked at again and again: what was summed up before is gone on from, to the bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from analysis import resumed
from analysis.compare import gauge_curves
from analysis.compare.gauge_curves import GaugeQuestion
from analysis.compare.gauges import GaugeData, GaugeEvidence, weigh
from analysis.compare.paired import BY_LOOK, later_pairs
from analysis.types import Direction

CURVES = ("warn", "tolerated", "abort", "promote", "better", "step")
SLOTS = 90


@pytest.fixture(autouse=True)
def forgetful():
    resumed.forget()


def run(stable: int = 20, canary: int = 9, history: int = 0, level: float = 100.0) -> GaugeData:
    rng = np.random.default_rng(3)
    values = [level + 10 * rng.standard_normal((pods, slots)) for pods, slots in ((stable, SLOTS), (canary, SLOTS))]
    before = level + 10 * rng.standard_normal((stable, history))
    ends = np.arange(1.0, SLOTS + 1)
    return GaugeData(baseline=values[0], canary=values[1], ends=ends, history=before if history else None)


def with_gaps(data: GaugeData) -> GaugeData:
    rng = np.random.default_rng(4)
    gone = [np.where(rng.random(side.shape) < 0.3, np.nan, side) for side in (data.baseline, data.canary)]
    return replace(data, baseline=gone[0], canary=gone[1], left_out=rng.random(SLOTS) < 0.1)


def lengthened(data: GaugeData) -> GaugeData:
    upto = np.cumsum([1] * 30 + [2] * 15 + [0] + [4] * 7)
    return replace(data, upto=upto, ends=np.arange(1.0, len(upto) + 1))


def stepped(data: GaugeData) -> GaugeData:
    steps = np.zeros(len(data.ends), dtype=bool)
    steps[[0, 13, 25, 34]] = True
    return replace(data, steps=steps)


def late(data: GaugeData) -> GaugeData:
    baseline = data.baseline.copy()
    baseline[1:, :40] = np.nan
    return replace(data, baseline=baseline)


def fading(data: GaugeData) -> GaugeData:
    return replace(data, baseline=data.baseline * np.where(np.arange(SLOTS) == 35, 0.01, 1.0))


def upto(data: GaugeData, looks: int) -> GaugeData:
    slots = looks if data.upto is None else int(data.upto[looks - 1])
    cut: dict[str, Any] = {
        name: None if (each := getattr(data, name)) is None else each[:slots] for name in ("left_out",)
    }
    cut |= {name: None if (each := getattr(data, name)) is None else each[:looks] for name in ("steps", "upto", "ends")}
    return replace(data, baseline=data.baseline[:, :slots], canary=data.canary[:, :slots], **cut)


def digits(found: GaugeEvidence) -> list[bytes]:
    own = [np.ascontiguousarray(getattr(found, name)).tobytes() for name in CURVES]
    return own + [np.ascontiguousarray(getattr(found.paired, name)).tobytes() for name in BY_LOOK]


@pytest.mark.parametrize(
    ("data", "question"),
    [
        pytest.param(run(), GaugeQuestion(), id="run"),
        pytest.param(run(history=80), GaugeQuestion(slack=5.0), id="history"),
        pytest.param(run(level=0.0), GaugeQuestion(), id="around zero"),
        pytest.param(run(level=0.0, history=80), GaugeQuestion(direction=Direction.DECREASE), id="history around zero"),
        pytest.param(run(), GaugeQuestion(scale="log"), id="logarithms"),
        pytest.param(with_gaps(run()), GaugeQuestion(), id="gaps"),
        pytest.param(run(stable=1, canary=1), GaugeQuestion(), id="one stable pod"),
        pytest.param(late(run()), GaugeQuestion(), id="one stable pod at first"),
        pytest.param(fading(run()), GaugeQuestion(), id="a stable side that all but vanishes"),
        pytest.param(replace(run(), traffic=0.2), GaugeQuestion(), id="unlike traffic"),
        pytest.param(lengthened(run()), GaugeQuestion(), id="longer looks"),
        pytest.param(stepped(run()), GaugeQuestion(), id="steps"),
        pytest.param(stepped(late(run(history=80))), GaugeQuestion(), id="steps and history"),
        pytest.param(stepped(lengthened(late(run()))), GaugeQuestion(), id="steps and longer looks"),
    ],
)
@pytest.mark.parametrize("back", [1, 3])
def test_a_level_watched_look_by_look_is_the_one_weighed_at_once(data: GaugeData, question: GaugeQuestion, back: int):
    """Every figure at every look equals that of one who has forgotten everything."""
    looks = range(2, len(data.ends) + 1, back)
    watched = [digits(weigh(upto(data, count), question)) for count in looks]
    for count, found in zip(looks, watched, strict=True):
        resumed.forget()
        assert digits(weigh(upto(data, count), question)) == found, count


@pytest.mark.parametrize(
    ("changed", "begins"),
    [
        pytest.param(lambda data: data, [0, 50], id="one look more"),
        pytest.param(lambda data: replace(data, canary=data.canary + 1e-9), [0, 0], id="another past"),
        pytest.param(lambda data: replace(data, history=data.baseline), [0, 0], id="another history"),
        pytest.param(lambda data: replace(data, traffic=0.1), [0, 0], id="other traffic"),
    ],
)
def test_only_what_is_new_is_paired(
    changed: Callable[[GaugeData], GaugeData], begins: list[int], monkeypatch: pytest.MonkeyPatch
):
    """One look more costs one look, and only where everything before is the same."""
    asked: list[int] = []

    def paired(arms, scales, floor, first, past, marks=()):
        asked.append(first)
        return whole(arms, scales, floor, first, past, marks)

    whole = later_pairs
    monkeypatch.setattr(gauge_curves, "later_pairs", paired)
    weigh(upto(run(), 50), GaugeQuestion())
    weigh(upto(changed(run()), 51), GaugeQuestion())
    assert asked == begins
