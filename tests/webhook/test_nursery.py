"""What past births teach: through the service's own history, and what the verdict makes of it."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.closing import Closed
from analysis.policy import Gauge, Latency, Proportion
from webhook.nursery import learn_births

EDGES = (0.1, 0.25, 0.5, 1.0)
LOOK, HOURS = 30.0, 4
LOOKS = int(HOURS * 3600 / LOOK)
BIRTHS = {f"y-{n}": 1800.0 + 900.0 * n for n in range(7)}


def high(age, minutes=4.0):
    """Return by which factor a replica is high at an age in seconds."""
    return 2.0 if age < 60 * minutes else 1.0


def closed(entry, edges=None):
    """Return four hours of three old replicas and seven that were born in it."""
    rng = np.random.default_rng(5)
    rows = []
    for k in range(LOOKS):
        end = LOOK * (k + 1)
        ages = {**{f"s-{n}": np.inf for n in range(3)}, **{name: end - born for name, born in BIRTHS.items()}}
        replicas = {name: entry(high(age), rng) for name, age in ages.items() if age > 0}
        rows.append({"end": end, "questions": {"q": {"baseline": replicas, "canary": {}}}, "left_out": {}})
    return Closed(rows=tuple(rows), edges={} if edges is None else {"q": edges}, notes={})


def level(factor, rng):
    return {"values": 0.4 * factor * rng.normal(1.0, 0.01)}


def histogram(factor, rng):
    shares = [0.1, 0.2, 0.3, 0.3, 0.1] if factor > 1 else [0.5, 0.3, 0.1, 0.06, 0.04]
    return {"counts": rng.multinomial(400, shares).astype(float).tolist()}


def noted(question, looks, births=BIRTHS):
    frame = {"notes": {"q": {"births": dict(births)}}}
    learn_births(frame, looks, [question])
    return frame["notes"]["q"].get("warm_up")


@pytest.mark.parametrize(
    ("question", "entry", "edges"),
    [
        pytest.param(Gauge(name="q"), level, None, id="a level"),
        pytest.param(Latency(name="q", histogram="x{$side}"), histogram, EDGES, id="a histogram"),
    ],
)
def test_the_length_of_youth_is_learned_from_births(question, entry, edges):
    """Seven births that were high for four minutes: replicas are old after five (bins are smoothed)."""
    told = noted(question, closed(entry, edges))
    assert told == {"length": 300.0, "births": 7}


def test_four_births_teach_no_length():
    """Too few: the rule stays in force, and the record says how many there were."""
    few = dict(list(BIRTHS.items())[:4])
    looks = closed(level)
    for row in looks.rows:
        for name in set(BIRTHS) - set(few):
            row["questions"]["q"]["baseline"].pop(name, None)
    assert noted(Gauge(name="q"), looks, few) == {"length": None, "births": 4}


def test_counts_are_not_learned_of():
    """Errors are judged from the first request: a proportion needs no warm-up."""
    looks = closed(lambda factor, rng: {"bad": 1.0, "total": 100.0})
    assert noted(Proportion(name="q"), looks) is None


def test_births_that_were_seen_too_shortly_teach_nothing():
    """A replica that was born a quarter of an hour before the release has no old age to be compared with."""
    late = dict.fromkeys(BIRTHS, LOOKS * LOOK - 900.0)
    assert noted(Gauge(name="q"), closed(level), late) is None
