"""The variation rule where samples are missing: a scrape that failed is no look, and lines keep their common clock."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.compare.lines import Line
from analysis.compare.variation import told, weigh
from analysis.grid import Floats
from analysis.judge import judge
from analysis.types import State, Verdict
from webhook.schema.data import inline_policy, inline_record

MINUTE = 60.0


def noisy(seed: int, count: int, level: float = 50.0) -> Floats:
    return level * (1 + 0.05 * np.random.default_rng(seed).standard_normal(count))


def since(*canary: float, name: str = "p99", seed: int = 1) -> Line:
    """Return a canary of a few samples against an hour before it."""
    return Line(name=name, sign=1, canary=np.array(canary), stable=noisy(seed, 60))


BAD = (150.0, 160.0, 140.0, 155.0, 150.0)


def without(line: Line, *places: int) -> Line:
    canary = line.canary.copy()
    canary[list(places)] = np.nan
    return replace(line, canary=canary)


@pytest.mark.parametrize("place", range(5))
def test_a_lost_scrape_does_not_end_what_stood(place: int):
    """Five samples abort; four of them, whichever is lost, abort as four would: the lost one is no look."""
    assert weigh([since(*BAD)], beside=False, step_seconds=MINUTE).state is State.WORSE
    found = weigh([without(since(*BAD), place)], beside=False, step_seconds=MINUTE)
    four = weigh([since(*np.delete(BAD, place))], beside=False, step_seconds=MINUTE)
    assert found.state is four.state is State.WORSE


@pytest.mark.parametrize("place", range(5))
def test_a_sample_that_one_line_lacks_does_not_end_what_stood(place: int):
    """Others have the look: the line that carries the abort could not be judged there, so it did not disagree."""
    calm = since(*noisy(9, 5), name="cpu", seed=7)
    assert weigh([without(since(*BAD), place), calm], beside=False, step_seconds=MINUTE).state is State.WORSE


@pytest.mark.parametrize("lost", [(), (0,), (3,)], ids=["none", "the first", "the last"])
def test_three_samples_still_do_not_abort(lost: tuple[int, ...]):
    """Four slots of which one was lost are three samples, and no look before the last could be judged."""
    line = without(since(*BAD[:4]), *lost) if lost else since(*BAD[:3])
    assert weigh([line], beside=False, step_seconds=MINUTE).state is State.DEGRADED
    with_another = weigh(
        [line, since(*noisy(9, len(line.canary)), name="cpu", seed=7)], beside=False, step_seconds=60.0
    )
    assert with_another.state is State.DEGRADED


def test_a_look_that_disagreed_still_counts():
    """Four calm samples and then one wild one: what was judged calm before does not let it stand."""
    line = since(50.0, 51.0, 49.0, 50.0, 4000.0)
    for found in (line, without(line, 1)):
        assert weigh([found], beside=False, step_seconds=MINUTE).state is not State.WORSE


def test_samples_that_nobody_has_leave_every_line():
    """Beside stable a look needs both sides; the request column goes with its line."""
    canary, stable = noisy(1, 6), noisy(2, 6)
    canary[2] = stable[4] = np.nan
    load = (np.arange(6.0), np.arange(6.0) + 10, np.zeros(0))
    line = Line(name="cpu", sign=1, canary=canary, stable=stable, requests=(load,))
    [kept] = told([line], beside=True)
    assert kept.requests[0][0].tolist() == [0.0, 1.0, 3.0, 5.0]
    assert kept.requests[0][1].tolist() == [10.0, 11.0, 13.0, 15.0]
    np.testing.assert_array_equal(kept.stable, stable[[0, 1, 3, 5]])
    other = Line(name="rss", sign=1, canary=noisy(3, 6), stable=noisy(4, 6))
    assert len(told([line, other], beside=True)[0].canary) == 6


def test_a_metric_that_begins_late_keeps_the_clock_of_the_others():
    """Its newest samples alone are bad: at the looks before them it was calm, so nothing has stood yet."""

    def verdict(late: int, wild: int) -> Verdict:
        canary = [None] * late + [50.0 + n % 3 for n in range(40 - late - wild)] + [5000.0] * wild
        questions = {
            "calm": {"baseline": {"values": noisy(5, 60).tolist()}, "canary": {"values": noisy(6, 40).tolist()}},
            "late": {"baseline": {"values": noisy(7, 60).tolist()}, "canary": {"values": canary}},
        }
        data = {"step_seconds": 60, "pairing": "before_after", "questions": questions}
        policy = inline_policy(data)
        record = inline_record(data, policy)
        return judge(policy, record, float(record.ends[-1])).verdict

    assert verdict(25, 4) is Verdict.HOLD
    assert verdict(25, 13) is Verdict.ABORT
