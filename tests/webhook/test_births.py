"""Births of an earlier roll-out against a running Prometheus that holds the day before the release."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.policy import Gauge, Latency, Policy, Proportion, Rate
from tests.contract.scene import RELEASE, Scene
from tests.prometheus_server import running
from webhook.births import LOOK_BACK, NOBODY, bursts, of_any_hash, unread
from webhook.errors import SourceDown
from webhook.expressions import select_of
from webhook.sources.prometheus import PrometheusSource

SCRAPE = 60
START = 1_763_600_400.0 + 3 * 86400
"""When the canary pod comes up."""
ROLLED = START - 26 * 3600
"""When the roll-out before this one began."""
HIGH = 240
"""Seconds for which a pod is twice as high when it comes up."""
OLD, BLUE, GREEN = "7d9c8b6f5d", RELEASE["stable_revision"], RELEASE["revision"]
EDGES = ("0.1", "0.25", "0.5", "1.0", "+Inf")


def pods(at_once):
    """Return name, birth and end of every pod: three old ones, six that replaced them, and the canary."""
    gone = ROLLED + (60 if at_once else 5400)
    lives = [(f"checkout-{OLD}-xx{n}ab", START - 32 * 3600, gone) for n in (2, 4, 6)]
    apart = 0 if at_once else 300
    lives += [(f"checkout-{BLUE}-zz{n}cd", ROLLED + apart * n, START + 7200) for n in range(2, 8)]
    return [*lives, (f"checkout-{GREEN}-kk4fg", START, START + 7200)]


def lines(pod, begin, end, rng, *, up):
    """Return the samples of one pod by metric, as OpenMetrics text."""
    times = np.arange(begin, end + 1, SCRAPE)
    high = times < begin + HIGH
    labels = f'namespace="shop",pod="{pod}",job="pods",instance="{pod}"'
    level = np.where(high, 0.8, 0.4) * rng.normal(1.0, 0.02, times.size)
    cpu = [
        f"cpu{{{labels}}} {value:.5f} {time:.0f}" for time, value in zip(times.tolist(), level.tolist(), strict=True)
    ]
    told = {"cpu": cpu, "up": [f"up{{{labels}}} 1 {time:.0f}" for time in times.tolist()] if up else []}
    shares = np.where(high[:, None], [0.1, 0.2, 0.3, 0.3, 0.1], [0.5, 0.3, 0.1, 0.06, 0.04])
    upto = np.cumsum(np.cumsum(rng.multinomial(3000, shares), axis=0), axis=1)
    told["lat_bucket"] = [
        f'lat_bucket{{{labels},le="{edge}"}} {value} {time:.0f}'
        for edge, column in zip(EDGES, upto.T.tolist(), strict=True)
        for time, value in zip(times.tolist(), column, strict=True)
    ]
    told["lat_count"] = [
        f"lat_count{{{labels}}} {value} {time:.0f}"
        for time, value in zip(times.tolist(), upto[:, -1].tolist(), strict=True)
    ]
    return told


def history(*, at_once=False, up=True):
    """Return 34 hours of a service as OpenMetrics text."""
    rng = np.random.default_rng(4)
    found = [lines(pod, begin, end, rng, up=up) for pod, begin, end in pods(at_once)]
    text = ["# TYPE cpu gauge", *(line for one in found for line in one["cpu"])]
    text += ["# TYPE lat histogram", *(line for one in found for line in one["lat_bucket"] + one["lat_count"])]
    text += ["# TYPE up gauge", *(line for one in found for line in one["up"])]
    return "\n".join([*text, "# EOF", ""])


CPU = {"name": "cpu", "kind": "gauge", "query": "cpu{$side}"}
LATENCY = {"name": "latency", "kind": "latency", "histogram": "lat{$side}"}
POLICY = {
    "apiVersion": "weighbridge/v1", "name": "young", "controller": "argo",
    "looks": {"scrape": "60s"}, "noise": {"history": "1h"}, "questions": [CPU, LATENCY],
}  # fmt: skip


@pytest.fixture(scope="module")
def yesterday():
    with running(openmetrics=history()) as server:
        yield server.url


def asked(url, at=START + 1200, policy=POLICY, spoil=lambda fields: None):
    """Ask once; return the scene, the report's evidence by question, its notes, and all fields that were asked for."""
    scene = Scene(source=PrometheusSource(url))
    fields = []
    fetch = scene.source.fetch

    def heard(queries, span, timeout):
        now = [query.field for query in queries]
        fields.extend(now)
        spoil(now)
        return fetch(queries, span, timeout)

    scene.source.fetch = heard
    return (scene, *again(scene, at, policy), fields)


def again(scene, at, policy=POLICY):
    scene.clock.now = at
    answer = scene.argo(policy=policy)
    detail = scene.get(f"/v1/reports/{answer.json['id']}?format=json").json["detail"]
    return {found["name"]: found for found in detail["evidence"]}, detail["notes"]


def test_yesterdays_roll_out_teaches_how_long_pods_are_young(yesterday):
    """Six births 26 hours ago were high for four minutes: pods count from five or six on, not from twenty on."""
    scene, evidence, notes, _ = asked(yesterday)
    newest = START - (ROLLED + 300 * 7)
    for name in ("cpu", "latency"):
        found = evidence[name]["details"]["warm_up"]
        assert found["hold"] in (300.0, 360.0)  # looks are two minutes long
        assert (found["abort"], found["births"]) == (found["hold"], 6)
        assert found["ago"] == pytest.approx(newest, abs=600)
        assert "warm-up unknown" not in evidence[name]["flags"]
        assert evidence[name]["state"] not in ("worse", "degraded")
    assert notes == []
    text = scene.get(f"/v1/reports/{scene.argo(policy=POLICY).json['id']}", headers={"Accept": "text/plain"}).text
    assert "learned from 6 births, the newest 25 h" in text


def test_births_are_read_once(yesterday):
    """Later verdicts of the attempt ask for no birth again."""
    scene, _, _, fields = asked(yesterday)
    assert fields.count("born") == 1
    del fields[:]
    evidence, _ = again(scene, START + 1800)
    assert evidence["cpu"]["details"]["warm_up"]["births"] == 6
    assert "counts" in fields
    assert "born" not in fields


def test_a_fault_teaches_nothing_and_is_said(yesterday):
    """The rule stays in force with a note; the next verdict asks again, and after three tries nobody does."""
    down = [True]

    def spoil(fields):
        if down[0] and "born" in fields:
            raise SourceDown("it went away")

    scene, evidence, notes, fields = asked(yesterday, spoil=spoil)
    assert notes == ["births of earlier days could not be read: it went away"]
    assert "warm-up unknown" in evidence["cpu"]["flags"]
    down[0] = False
    evidence, notes = again(scene, START + 1320)
    assert (evidence["cpu"]["details"]["warm_up"]["births"], notes) == (6, [])
    down[0] = True
    scene, _, _, fields = asked(yesterday, spoil=spoil)
    for minute in range(4):
        _, notes = again(scene, START + 1320 + 120 * minute)
    assert fields.count("born") == 3
    assert notes == ["births of earlier days could not be read: it went away"]


def test_a_named_warm_up_needs_no_births(yesterday):
    """What policy or question say is not learned."""
    _, _, _, fields = asked(yesterday, policy={**POLICY, "looks": {"scrape": "60s", "warm_up": "2m"}})
    assert "born" not in fields
    _, _, _, fields = asked(yesterday, policy={**POLICY, "questions": [{**CPU, "warm_up": "30m"}]})
    assert "born" not in fields


def test_an_update_of_all_pods_at_once_teaches_nothing():
    """Nobody old was left to compare with: that is no proof that young pods are like old ones."""
    with running(openmetrics=history(at_once=True)) as server:
        _, evidence, _, _ = asked(server.url, policy={**POLICY, "questions": [CPU]})
    assert "warm-up unknown" in evidence["cpu"]["flags"]


def test_where_no_target_is_known_what_is_counted_shows_births():
    """Without ``up``, as where metrics are pushed, the question's own series say when pods were born."""
    with running(openmetrics=history(up=False)) as server:
        _, evidence, _, fields = asked(server.url, policy={**POLICY, "questions": [CPU]})
    assert fields.count("born") == 2
    assert evidence["cpu"]["details"]["warm_up"]["births"] == 6


# which births are read


def test_bursts_are_the_newest_births_before_an_hour_is_missing():
    """Groups of an hour, newest first, at most three; who was there at the first glance was not born."""
    day = 86400.0
    born = {f"elder-{n}": START - 3 * day for n in range(3)}
    born |= {f"a-{n}": START - 2.0 * day + 60 * n for n in range(5)}
    born |= {f"b-{n}": START - 1.0 * day + 60 * n for n in range(8)}
    born |= {f"late-{n}": START - 3000.0 for n in range(9)}
    found = bursts(born, START)
    assert [sorted({name[0] for name in burst}) for burst in found] == [["b"], ["a"]]
    assert sum(len(burst) for burst in found) == 13
    assert bursts({name: when for name, when in born.items() if name[0] in "el"}, START) == []
    assert bursts({}, START) == []
    every = {f"p-{n}": START - LOOK_BACK + 7200 + 4000.0 * n for n in range(100)}
    assert [len(burst) for burst in bursts(every, START)] == [1, 1, 1]


@pytest.mark.parametrize(
    ("controller", "baseline", "canary"),
    [
        ("argo", "$name-[4-9bcdf]{1,10}-[a-z0-9]{5}", NOBODY),
        ("flagger", "$target-primary-[4-9bcdf]{1,10}", 'pod=~"$target-[4-9bcdf]{1,10}-'),
    ],
)
def test_pods_of_any_hash_are_of_the_workload(controller, baseline, canary):
    """Both controllers' selectors: a canary that is told apart by its hash was a baseline before."""
    question = Gauge(name="cpu", query="cpu{$side}")
    chosen = of_any_hash(Policy(name="x", controller=controller, questions=(question,)), [question])
    _, matched, replica = select_of(chosen, chosen.questions[0])
    assert baseline in matched["baseline"]
    assert canary in matched["canary"]
    assert replica == ("pod",)


def test_only_levels_and_latencies_without_a_lesson_are_asked():
    """Counts are judged from the first request; buckets wait for their bounds; a lesson from the history is enough."""
    policy = Policy(
        name="x",
        questions=(
            Gauge(name="cpu", query="cpu{$side}"),
            Latency(name="latency", histogram="lat{$side}"),
            Proportion(name="errors", bad=("bad{$side}",), total="all{$side}"),
            Rate(name="jobs", events="e{$side}", exposure="time"),
        ),
    )
    assert [q.name for q in unread(policy, {})] == ["cpu"]
    learned = {"notes": {"cpu": {"warm_up": {"length": 60.0, "births": 7}}}, "edges": {"latency": [1.0]}}
    assert [q.name for q in unread(policy, learned)] == ["latency"]
    assert unread(policy, {**learned, "nursed": ["latency"]}) == []
