"""Native histograms as Prometheus keeps them: every rule of classic ones, on bounds that the record fixes."""

from __future__ import annotations

import itertools
import json
import urllib.parse
import urllib.request
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from analysis.policy import Latency, Looks, Select
from tests.native_histograms import Histogram, time_series
from tests.prometheus_server import running
from tests.webhook.sources.scene import BASELINE, CANARY, LOOK, NEW, SCRAPE, STABLE, STABLE2, T0, Scene, codes, policy
from webhook import queries
from webhook.policies import Policies
from webhook.ports import Span
from webhook.readings import readings
from webhook.recording import Recorder
from webhook.releases import Attempt
from webhook.schema.request import Ask
from webhook.sources.prometheus import PrometheusSource
from webhook.stores.memory import MemoryStore

ROOT = Path(__file__).parents[3]
THREE = ROOT / ".e2e" / "bin" / "prometheus"
BINARIES = [pytest.param("prometheus", id="debian")] + ([pytest.param(THREE, id="newer")] if THREE.exists() else [])
LATENCY = Latency(name="latency", histogram="latency_seconds{$side}")
_numbers = itertools.count()


@pytest.fixture(scope="module", params=BINARIES)
def prometheus(request):
    """A Prometheus that keeps native histograms."""
    with running(features=["native-histograms"], binary=request.param) as server:
        yield server


@pytest.fixture(scope="module")
def source(prometheus):
    adapter = PrometheusSource(prometheus.url)
    yield adapter
    adapter.close()


class NativeScene(Scene):
    """A namespace whose pods publish native histograms."""

    def native(self, pod, samples, **labels):
        """Return the series of one pod; entry ``k`` was scraped 5 s before step ``k``, None is no sample."""
        target = {"namespace": self.namespace, "pod": pod, "job": "shop", "instance": f"{pod}:8080"}
        moments = {T0 + SCRAPE * k - 5.0: found for k, found in enumerate(samples) if found is not None}
        return time_series({"__name__": "latency_seconds", **target, **labels}, moments)

    def publish(self, *series):
        """Push histograms."""
        self.server.write_raw(series)

    def grown(self, steps, question=LATENCY, **options):
        """Return by pod the increments of every step: ``{bound: count}``."""
        answer = self.fetch(policy(question), steps, native=[question.name], **options)
        found = readings(policy(question), self.names, answer)["latency"].fields["counts"]
        rows: dict[str, list[dict[float, float]]] = {}
        for one in found:
            row = rows.setdefault(one.labels["pod"], [{} for _ in range(steps)])
            for moment, value in zip(one.times, one.values, strict=True):
                row[round((moment - T0) / SCRAPE) - 1][float(one.labels["le"])] = float(value)
        return rows

    def looks(self, count, **options):
        return self.closed(policy(LATENCY), count, native=["latency"], **options)


@pytest.fixture
def scene(prometheus, source):
    """A namespace that no other test writes to."""
    return NativeScene(server=prometheus, source=source, namespace=f"ns-{next(_numbers)}")


def joins(scene, at):
    """Return whether a Prometheus can label native histograms by a join; those before 2.44 lose them on the way."""
    series = f'latency_seconds{{job="{scene.namespace}/cart"}}'
    asked = {"query": f"{series} * on (job, instance) group_left (k8s_pod_name) target_info", "time": at}
    with urllib.request.urlopen(
        f"{scene.server.url}/api/v1/query?{urllib.parse.urlencode(asked)}", timeout=5
    ) as answer:
        return any("histogram" in one for one in json.load(answer)["data"]["result"])


def steady(n, schema=0, **buckets):
    """Return ``n + 1`` samples that grow by as much in each step."""
    grows = {int(name[1:]): by for name, by in buckets.items()}
    return [Histogram(schema=schema, buckets={i: 100 + by * k for i, by in grows.items()}) for k in range(n + 1)]


def test_looks_hold_what_was_observed_in_them(scene):
    """Bounds are powers of two, counts exact, and what a pod had observed before is not in them."""
    scene.publish(scene.native(STABLE, steady(8, b0=10, b1=4, b3=1)), scene.native(NEW, steady(8, b0=2, b2=1)))
    closed = scene.looks(4)
    edges = closed.edges["latency"]
    assert codes(closed, "latency") == [None] * 4
    assert edges[:4] == (1.0, 2.0, 4.0, 8.0)
    counts = [row["questions"]["latency"] for row in closed.rows]
    # The first step has nothing before it to grow from.
    whole = 2 * np.array([10, 4, 0, 1])
    assert [np.array(look["baseline"][STABLE]["counts"])[:4].tolist() for look in counts[1:]] == [whole.tolist()] * 3
    assert counts[2]["canary"][NEW]["counts"][:4] == [4, 0, 2, 0]
    assert sum(counts[2]["canary"][NEW]["counts"]) == 6


def test_an_info_series_names_the_pods_of_native_histograms(scene):
    """What is pushed by processes without a pod is joined to the series that names it, on both sides."""
    info = {"series": "target_info", "match": ["job", "instance"], "label": "k8s_pod_name"}
    question = {"name": "latency", "kind": "latency", "histogram": "latency_seconds{$side}", "replica_from": info}
    asked = Policies.inline({"controller": "argo", "select": {"by": "k8s-pod"}, "questions": [question]})
    job = f"{scene.namespace}/cart"
    moments = [T0 + SCRAPE * k - 5.0 for k in range(9)]
    for instance, pod, growth in (("a1", STABLE, 10), ("b1", NEW, 3)):
        target = {"job": job, "instance": instance}
        named = {"__name__": "target_info", **target, "k8s_namespace_name": scene.namespace, "k8s_pod_name": pod}
        scene.write((named, [(moment, 1.0) for moment in moments]))
        grown = dict(zip(moments, steady(8, b0=growth, b2=1), strict=True))
        scene.publish(time_series({"__name__": "latency_seconds", **target}, grown))
    closed = scene.closed(asked, 4, native=["latency"])
    if not joins(scene, moments[-1]):
        assert codes(closed, "latency") == ["renamed"] * 4
        return
    assert codes(closed, "latency") == [None] * 4
    last = closed.rows[-1]["questions"]["latency"]
    assert [last["baseline"][STABLE]["counts"][:3], last["canary"][NEW]["counts"][:3]] == [[20, 0, 2], [6, 0, 2]]


def test_label_sets_of_one_pod_are_added_up_and_may_be_born(scene):
    """A histogram that appears under a pod which was there counts from 0; unlike schemas meet at the coarser one."""
    scene.publish(
        scene.native(STABLE, steady(4, b0=10), code="200"),
        scene.native(STABLE, [None, None, *(Histogram(schema=1, buckets={3: 5 * k}) for k in (1, 2, 3))], code="500"),
        scene.native(NEW, steady(4, b0=10), code="200"),
    )
    rows = scene.grown(4)[STABLE]
    assert [row[float("inf")] for row in rows] == [10, 15, 15, 15]
    assert rows[2][1.0] == 10
    assert rows[2][4.0] == 15


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        pytest.param([100, 110, 4, 6], [10, 4, 2], id="a restart counts from 0"),
        pytest.param([100, 110, 110, 115], [10, 0, 5], id="nothing new"),
        pytest.param([100, 110, None, 130], [10, None, 20], id="a late scrape: growth is seen when it comes"),
    ],
)
def test_growth_of_one_histogram(scene, counts, expected):
    """A step holds what was observed since the sample before it."""
    samples = [None if n is None else Histogram(buckets={0: n}) for n in counts]
    scene.publish(scene.native(STABLE, samples), scene.native(NEW, steady(3, b0=1)))
    grown = [row.get(float("inf")) for row in scene.grown(3)[STABLE]]
    assert [a for a, b in zip(grown, expected, strict=True) if b is not None] == [b for b in expected if b is not None]


def test_a_pod_found_late_does_not_bring_its_past(scene):
    """A histogram of a target that was never scraped before has no growth at its first sample."""
    scene.publish(
        scene.native(STABLE, steady(4, b0=1)),
        scene.native(NEW, [None, None, *(Histogram(buckets={0: 7000 + k}) for k in range(3))]),
    )
    scene.write(scene.up(NEW, {2: 1.0, 3: 1.0, 4: 1.0}))
    assert [row.get(float("inf")) for row in scene.grown(4)[NEW]] == [None, None, 1, 1]


def test_a_pod_born_under_observation_counts_from_zero(scene):
    """A target that was scraped before its first request: its first histogram is growth."""
    scene.publish(
        scene.native(STABLE, steady(4, b0=1)),
        scene.native(NEW, [None, None, *(Histogram(buckets={0: 7 + k}) for k in range(3))]),
    )
    scene.write(scene.up(NEW, [1.0] * 5))
    assert [row.get(float("inf")) for row in scene.grown(4)[NEW]] == [None, 7, 1, 1]


def test_a_coarser_histogram_in_the_middle_is_left_out(scene):
    """A pinned bound that falls into a bucket has no count: guessed numbers are no evidence."""
    fine = steady(8, schema=1, b1=10, b2=6, b3=2)
    coarse = [Histogram(schema=0, buckets={1: 50 * k, 2: 9 * k}) for k in range(9)]
    scene.publish(
        scene.native(STABLE, fine),
        scene.native(NEW, [*steady(4, schema=1, b1=1, b2=1)[:5], *coarse[5:]]),
    )
    closed = scene.looks(4)
    assert codes(closed, "latency")[1] is None
    assert codes(closed, "latency")[3] == "missing"


def test_how_a_histogram_is_published_is_looked_for(scene):
    """Only what has no buckets of its own is native; a summary of the same name is none, nothing is not known yet."""
    asked = policy(LATENCY)
    query = queries.layout_query(asked, scene.names, "latency")
    moment = Span(start=T0 + 30, end=T0 + 30, step=1.0)

    def found():
        return queries.is_native(scene.source.fetch([query], moment, 10.0).points[query])

    assert found() is None
    scene.write(scene.series("latency_seconds", STABLE, [1.0] * 4, quantile="0.9"))
    assert found() is None
    scene.publish(scene.native(STABLE, steady(4, b0=1)))
    assert found() is True
    scene.write(scene.series("latency_seconds_bucket", STABLE, [1.0] * 4, le="+Inf"))
    assert found() is False


def test_hidden_replicas_are_one_histogram_a_side(scene):
    """Where replicas are not visible each side is one line, and shared series are seen."""
    hidden = Latency(name="latency", histogram="latency_seconds{$side}", select=Select(replica=()))
    scene.publish(
        scene.native(STABLE, steady(4, b0=10)),
        scene.native(STABLE2, steady(4, b0=5)),
        scene.native(NEW, steady(4, b0=1)),
    )
    answer = scene.fetch(policy(hidden), 4, native=["latency"])
    fields = {query.field for query in answer.points}
    assert fields == {"presence", "overlap", "held", "kept"}
    closed = scene.closed(policy(hidden), 2, native=["latency"])
    assert sum(closed.rows[1]["questions"]["latency"]["baseline"][""]["counts"]) == 30
    assert codes(closed, "latency")[1] is None


def test_the_service_reads_a_native_histogram_by_itself(scene):
    """Layout, bounds and past are found at the start and kept: the record has looks and what stable taught before."""
    stable = [steady(140, schema=1, b0=60, b1=30, b3=6), steady(140, schema=1, b0=58, b1=33, b3=7)]
    for k, samples in itertools.product(range(141), stable):  # without any scatter nothing could be learned of it
        samples[k] = replace(samples[k], buckets={**samples[k].buckets, 1: samples[k].buckets[1] + (0, 9, 4, 7)[k % 4]})
    young = [None] * 100 + steady(140, schema=1, b0=30, b1=15, b3=3)[:41]
    pods = (STABLE, STABLE2)
    scene.publish(*(scene.native(p, s) for p, s in zip(pods, stable, strict=True)), scene.native(NEW, young))
    scene.write(*(scene.up(p, [1.0] * 141) for p in pods), scene.up(NEW, dict.fromkeys(range(98, 141), 1.0)))
    asked = replace(policy(LATENCY, looks=Looks(scrape=SCRAPE)), digest="d" * 64)
    attempt = Attempt(
        cluster="", namespace=scene.namespace, name="shop", revision=CANARY, attempt=1, caller="argo",
        stable_revision=BASELINE,
    )  # fmt: skip
    found = Recorder(scene.source, MemoryStore()).extend(attempt, asked, Ask(), T0 + 140 * SCRAPE, lambda: 20.0)
    assert (found.fault, found.hold) == ("", "")
    assert found.frame["native"] == {"latency": True}
    latency = found.record.questions["latency"]
    assert latency.left_out[1:] == (None,) * (len(found.record.ends) - 1)
    # Born with 300 under a target that was scraped before, then 48 in each step but those of the look that is open.
    assert latency.canary.total("counts").sum() == 300 + 48 * 38
    learned = latency.notes["latency_noise"]
    assert (learned["looks"], learned["tail"]["pods"]) == (47, 2)
    assert learned["tail"]["requests"] == pytest.approx(47 * 2 * (96 + 98), rel=0.01)
    assert latency.notes["births"].keys() == {NEW}


def test_looks_closed_together_are_those_closed_apart(scene):
    """Bounds are pinned by the first look of both sides, whatever else was read with it."""
    late = [None, None, None, None, *steady(8, b0=2, b4=1)[4:]]
    scene.publish(scene.native(STABLE, steady(8, b0=10, b1=4, b3=1)), scene.native(NEW, late))
    together = scene.looks(4)
    apart, edges = [], None
    for look in range(4):
        closed = scene.looks(look + 1, first=look, edges=edges)
        edges = edges or ({"latency": closed.edges["latency"]} if closed.edges else None)
        apart.append(closed.rows[0])
    assert [row["questions"] for row in apart] == [row["questions"] for row in together.rows]
    assert edges == {"latency": together.edges["latency"]}
    assert LOOK == 2 * SCRAPE
