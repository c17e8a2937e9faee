"""What a record keeps of stable's past, by kind of question, and which replicas it saw being born."""

from __future__ import annotations

import json

import numpy as np
import pytest

from analysis.closing import Closed
from analysis.compare.latency import history_of
from analysis.compare.latency_summary import from_summary
from analysis.policy import Gauge, Latency, Proportion, Rate, Ratio
from analysis.types import Side
from tests.contract.scene import BEFORE, NOW, STEP, Scene
from webhook.errors import SourceDown
from webhook.histories import MOST_LOOKS, MOST_NUMBERS, first_sights, learned_of
from webhook.schema.history import read_history
from webhook.sources.memory import MemorySource

EDGES = (0.1, 0.25, 0.5, 1.0)
STABLE = tuple(f"s-{n}" for n in range(4))
LATE = "s-late"
QUESTIONS = [
    {"name": "cpu", "kind": "gauge", "query": "cpu{$side}"},
    {"name": "p99", "kind": "quantile", "query": "p99{$side}"},
    {"name": "jobs", "kind": "rate", "events": "failed{$side}", "exposure": "done{$side}"},
    {"name": "orders", "kind": "ratio", "numerator": "value{$side}", "denominator": "orders{$side}"},
    {"name": "latency", "kind": "latency", "histogram": "lat{$side}"},
]
POLICY = {"apiVersion": "weighbridge/v1", "name": "kinds", "questions": QUESTIONS}


def closed(looks, replicas, entry, *, edges=None):
    """Return looks in which each replica of the baseline said ``entry(look, replica)`` of the question ``q``."""
    rows = [
        {"end": 30.0 * (k + 1), "questions": {"q": {"baseline": {r: entry(k, r) for r in replicas}, "canary": {}}}}
        for k in range(looks)
    ]
    return Closed(rows=tuple(rows), edges={} if edges is None else {"q": edges}, notes={})


def source(looks=30):
    """Return every kind of number: four stable pods all along, one born half way through history, one canary pod."""
    rng = np.random.default_rng(7)
    everything = BEFORE + looks

    def sides(draw):
        late = np.where(np.arange(everything) < BEFORE // 2, np.nan, draw().astype(float))
        young = np.where(np.arange(everything) < BEFORE, np.nan, draw().astype(float))
        return {"baseline": {**{pod: draw().astype(float) for pod in STABLE}, LATE: late}, "canary": {"c-1": young}}

    def counts():
        shares = [0.5, 0.3, 0.1, 0.06, 0.04]
        return rng.multinomial(200, shares, size=everything).astype(float)

    def histograms():
        found = {"baseline": {pod: counts() for pod in (*STABLE, LATE)}, "canary": {"c-1": counts()}}
        found["baseline"][LATE][: BEFORE // 2] = np.nan
        found["canary"]["c-1"][:BEFORE] = np.nan
        return found

    level = lambda: rng.normal(0.4, 0.02, everything)  # noqa: E731
    count = lambda: rng.poisson(5, everything)  # noqa: E731
    many = lambda: rng.poisson(100, everything)  # noqa: E731
    return MemorySource(
        start=NOW - STEP * everything,
        step=STEP,
        numbers={
            "cpu": {"values": sides(level)},
            "p99": {"values": sides(level)},
            "jobs": {"events": sides(count), "exposure": sides(many)},
            "orders": {"numerator": sides(many), "denominator": sides(count)},
            "latency": {"counts": histograms()},
        },
        edges={"latency": EDGES},
    )


def record(scene, at=None):
    """Return the exported record of a verdict, and the status that it came with."""
    if at is not None:
        scene.clock.now = at
    answer = scene.argo(policy=POLICY)
    return scene.get(f"/v1/reports/{answer.json['id']}/record").json


# what is kept


@pytest.mark.parametrize(
    ("question", "entry"),
    [
        pytest.param(Gauge(name="q"), lambda k, r: {"values": 0.25 + k}, id="gauge"),
        pytest.param(Proportion(name="q"), lambda k, r: {"values": 0.01}, id="recorded share"),
        pytest.param(Latency(name="q"), lambda k, r: {"values": 0.2}, id="published quantile"),
        pytest.param(Rate(name="q"), lambda k, r: {"events": 3.0, "exposure": 2.5}, id="rate"),
        pytest.param(Ratio(name="q"), lambda k, r: {"numerator": 7.0, "denominator": 2.0}, id="ratio"),
    ],
)
def test_looks_are_kept_where_no_summary_says_it_all(question, entry):
    """One column per look, oldest first, as a document that a frame can hold."""
    noise, history, notes = learned_of(closed(100, STABLE, entry), [question], 30.0)
    assert (noise, notes) == ({}, {})
    found = read_history(json.loads(json.dumps(history["q"])), "")
    assert found.replicas == STABLE
    for name, values in found.fields.items():
        assert values[0].tolist() == [entry(k, "s-0")[name] for k in range(100)]


def test_the_newest_looks_are_kept_to_six_digits():
    """A frame is written with every verdict: 480 looks, fewer of many replicas, and no needless digits."""
    _, history, _ = learned_of(closed(500, STABLE, lambda k, r: {"values": k + 1 / 3}), [Gauge(name="q")], 30.0)
    kept = history["q"]["fields"]["values"]
    assert len(kept[0]) == MOST_LOOKS
    assert kept[0][-1] == 499.333
    pods = [f"s-{n:03}" for n in range(200)]
    _, history, _ = learned_of(closed(300, pods, lambda k, r: {"values": 0.5}), [Gauge(name="q")], 30.0)
    assert len(history["q"]["fields"]["values"][0]) == MOST_NUMBERS // 200
    pods += [f"t-{n:03}" for n in range(400)]
    _, history, _ = learned_of(closed(300, pods, lambda k, r: {"values": 0.5}), [Gauge(name="q")], 30.0)
    assert len(history["q"]["fields"]["values"][0]) == 60


def test_replicas_that_left_before_what_is_kept_are_dropped():
    """A pod that was gone before the newest looks has no row."""
    gone = closed(500, STABLE, lambda k, r: {"values": None if r == "s-1" and k >= 10 else 1.0})
    _, history, _ = learned_of(gone, [Gauge(name="q")], 30.0)
    assert history["q"]["replicas"] == ["s-0", "s-2", "s-3"]


@pytest.mark.parametrize(("unit", "scale"), [("s", 1.0), ("ms", 1000.0)])
def test_a_long_history_of_buckets_is_summed_up(unit, scale):
    """The summary is that of the arithmetic, with edges in seconds whatever the unit of the histogram."""
    rng = np.random.default_rng(3)
    table = {r: rng.multinomial(300, [0.5, 0.3, 0.1, 0.06, 0.04], size=120).astype(float) for r in STABLE}
    looks = closed(120, STABLE, lambda k, r: {"counts": table[r][k].tolist()}, edges=tuple(e * scale for e in EDGES))
    _, history, notes = learned_of(looks, [Latency(name="q", histogram="x{$side}", unit=unit)], 30.0)
    noise, short = history_of(np.stack([table[r] for r in STABLE]), np.array(EDGES), np.full(120, 30.0), True)
    assert short is None
    assert history == {}
    told = from_summary(notes["q"]["latency_noise"], len(EDGES))
    assert told.looks[0] == 120
    np.testing.assert_allclose(told.tail.exceedance, noise.tail.exceedance)
    np.testing.assert_allclose(told.tail.slope, noise.tail.slope)
    np.testing.assert_allclose(told.score.pods.between, noise.score.pods.between[:, -1:])


def test_a_short_history_of_buckets_is_kept_as_it_is():
    """Where a summary would say too little the looks themselves are kept."""
    looks = closed(5, STABLE, lambda k, r: {"counts": [5.0, 3.0, 1.0, 0.0, 0.0]}, edges=EDGES)
    _, history, notes = learned_of(looks, [Latency(name="q", histogram="x{$side}")], 30.0)
    assert notes == {}
    assert read_history(history["q"], "").fields["counts"].shape == (4, 5, 5)


# through the service


def test_every_kind_has_its_past_in_the_record():
    """Levels, rates and ratios look by look, histograms as a summary or looks, on the bounds that both sides share."""
    found = record(Scene(source=source()))["questions"]
    for name, fields in (
        ("cpu", {"values"}),
        ("p99", {"values"}),
        ("jobs", {"events", "exposure"}),
        ("orders", {"numerator", "denominator"}),
    ):
        assert found[name]["history"]["fields"].keys() == fields
        assert found[name]["history"]["replicas"] == sorted([*STABLE, LATE])
    latency = found["latency"]
    assert latency["edges"] == list(EDGES)
    assert ("latency_noise" in latency["notes"]) != ("history" in latency)


def test_births_are_those_of_replicas_that_were_not_there_when_watching_began():
    """Pods that history begins with are old; one that joined them and the canary's have a time."""
    for found in record(Scene(source=source()))["questions"].values():
        assert set(found["notes"]["births"]) == {LATE, "c-1"}
        begun = NOW - STEP * (BEFORE + 30)
        assert found["notes"]["births"][LATE] == pytest.approx(begun + STEP * BEFORE // 2, abs=2 * STEP)
        assert found["notes"]["births"]["c-1"] == pytest.approx(begun + STEP * BEFORE, abs=2 * STEP)


def test_asking_more_often_changes_nothing_that_is_kept():
    """One question at the end and many on the way leave the same record: looks, history, bounds, births."""
    once, often = Scene(source=source()), Scene(source=source())
    for seconds in range(240, 0, -30):
        record(often, NOW - seconds)
    one, other = record(once, NOW), record(often, NOW)
    assert len(one["looks"]) > 10
    assert one["looks"] == other["looks"]
    assert one["questions"] == other["questions"]


def test_a_wiped_record_is_found_again():
    """What is kept is a function of the start: another service with an empty store finds the same."""
    assert record(Scene(source=source()), NOW)["questions"] == record(Scene(source=source()), NOW)["questions"]


def test_a_past_that_cannot_be_read_closes_no_look_and_is_asked_for_less():
    """Buckets' past is read once their bounds are known; while it fails the verdict holds, then less of it is read."""
    inner = source()
    spans = []

    class Failing:
        """The same source, but the first time that nothing but buckets is asked for it is too slow."""

        def fetch(self, queries, span, timeout):
            if {query.field for query in queries} == {"presence", "counts"}:
                spans.append(round((span.end - span.start) / span.step))
                if len(spans) == 1:
                    raise SourceDown("too slow")
            return inner.fetch(queries, span, timeout)

        def ping(self, timeout):
            inner.ping(timeout)

    scene = Scene(source=Failing())
    first = scene.argo(policy=POLICY)
    assert first.json["verdict"] == "hold"
    assert "too slow" in first.json["reason"]
    found = record(scene)
    assert len(found["looks"]) > 10
    assert spans[1] < spans[0]
    assert "latency_noise" in found["questions"]["latency"]["notes"] or "history" in found["questions"]["latency"]


# births, piece by piece


def sighted(**sides):
    """Return closed looks in which these replicas were first seen."""
    seen = {"q": {Side.BASELINE: sides.get("baseline", {}), Side.CANARY: sides.get("canary", {})}}
    return Closed(rows=(), edges={}, notes={}, seen=seen)


def test_without_history_the_baseline_of_the_first_minutes_is_old():
    """Nothing is known of its age; the canary's pods are born when they are seen, later ones of stable too."""
    frame = {"start": 1000.0}
    first = sighted(baseline={"a": 1015.0, "b": 1090.0}, canary={"c": 1015.0})
    first_sights(frame, first, history=False)
    first_sights(frame, sighted(baseline={"a": 1200.0, "d": 1215.0}, canary={"c": 1200.0}), history=False)
    assert frame["notes"]["q"]["births"] == {"c": 1015.0, "d": 1215.0}
    assert frame["old"] == {"q": ["a", "b"]}


def test_after_a_history_every_new_replica_is_a_birth():
    """Watching began with history: a stable pod that appears with the canary is young."""
    frame = {"start": 1000.0, "noise_window": {"start": 0.0}}
    first_sights(frame, sighted(baseline={"a": 30.0, "b": 600.0}), history=True)
    first_sights(frame, sighted(baseline={"a": 1015.0, "d": 1030.0}, canary={"c": 1015.0}), history=False)
    assert frame["notes"]["q"]["births"] == {"b": 600.0, "c": 1015.0, "d": 1030.0}


def test_a_frame_is_never_changed_beneath_its_owner():
    """What was noted before stays as it was: frames are kept by others."""
    before = {"q": {"births": {"c": 5.0}}}
    frame = {"start": 0.0, "notes": before}
    first_sights(frame, sighted(canary={"d": 500.0}), history=False)
    assert before == {"q": {"births": {"c": 5.0}}}
    assert frame["notes"]["q"]["births"] == {"c": 5.0, "d": 500.0}
