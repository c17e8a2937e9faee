"""Scores, tails, layouts and percentiles: the parts of the kind ``latency``, each against a slow or exact answer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import chdtri, ndtr

from analysis.compare.gauge_curves import GaugeQuestion
from analysis.compare.gauges import GaugeData
from analysis.compare.latency_noise import learn
from analysis.compare.latency_sums import sums_of
from analysis.compare.layouts import Layout, Native, coarser, common_edges, native_layout, on_edges, sample_layout
from analysis.compare.percentiles import uncensored
from analysis.compare.percentiles import weigh as weigh_percentiles
from analysis.compare.score_noise import looks_per_slot
from analysis.compare.scores import midpoints
from analysis.compare.tails import (
    exceeding,
    guard_edge,
    held,
    pod_atoms,
    slopes,
    tail_noise,
    tolerated_ratio,
    usable_edges,
)
from analysis.errors import InvalidInput
from analysis.grid import POD_SDS
from tests.analysis.latency_examples import EDGES, counts

NO_SLO = np.zeros(0, dtype=np.int64)


def test_midpoints_are_geometric():
    """The middle of 100 to 400 ms is 200 ms; the open ends lie a factor of the square root of 2 outside."""
    np.testing.assert_allclose(np.exp(midpoints(np.array([0.1, 0.4]))), [0.1 / 2**0.5, 0.2, 0.4 * 2**0.5])


def test_scores_are_means_over_requests():
    """A pod's sums are those of a plain loop over its requests; a missing bucket makes the pod absent."""
    rng = np.random.default_rng(1)
    data = counts(rng, 3, 4, 50.0)[None]
    data[0, 1, 2, 5] = np.nan
    side = sums_of(data, EDGES, np.zeros((data.shape[0], data.shape[2]), dtype=bool)).side
    middle = midpoints(EDGES)
    for pod, look in ((0, 0), (2, 3)):
        requests = np.repeat(middle, data[0, pod, look].astype(int))
        assert side.total[0, pod, look] == len(requests)
        np.testing.assert_allclose(side.plain[0, pod, look], requests.sum())
    assert side.total[0, 1, 2] == 0
    every = np.concatenate([np.repeat(middle, data[0, p, 2].astype(int)) for p in (0, 2)])
    np.testing.assert_allclose(side.told[0, 2, 2], (every**2).sum())


def test_quiet_services_pool_their_looks():
    """A slot rests on 20 requests of a pod, but there are always ten slots."""
    assert looks_per_slot(np.full((1, 4, 100), 25.0)).tolist() == [1]
    assert looks_per_slot(np.full((1, 4, 100), 5.0)).tolist() == [4]
    assert looks_per_slot(np.full((1, 4, 100), 0.1)).tolist() == [10]


def test_exceedances_are_sums_from_above():
    """The last edge is passed by the last bucket only."""
    np.testing.assert_array_equal(exceeding(np.array([1.0, 2.0, 3.0, 4.0])), [9, 7, 4])


@pytest.mark.parametrize(
    "power", [pytest.param(1.0, id="flat"), pytest.param(3.4, id="p95"), pytest.param(8.0, id="steep")]
)
def test_slopes_of_a_power_law_are_its_exponent(power):
    """Exceedance u**-b has slope b at every edge, the ends included."""
    edges = np.geomspace(0.1, 1.0, 6)
    np.testing.assert_allclose(slopes((edges / 0.05)[None] ** -power, edges), power)


def test_slopes_at_the_end_of_the_data():
    """Edges that nothing passes copy the last one that can be told; a single one gets the slope of a usual p95."""
    edges = np.geomspace(0.1, 1.6, 5)
    found = slopes(np.array([[0.4, 0.1, 0.02, 0.0, 0.0], [0.4, 0.1, 0.0, 0.0, 0.0], [0.4, 0.0, 0.0, 0.0, 0.0]]), edges)
    central = np.log(0.4 / 0.02) / np.log(4)
    np.testing.assert_allclose(found[0], central)
    np.testing.assert_allclose(found[1, 1:], np.log(4) / np.log(2))
    np.testing.assert_allclose(found[2], 3.0)


def test_usable_edges_and_the_guard():
    """2 in 100,000 to 3 in 10, and an objective's edge; the guard is nearest to 5 %; none before 300 requests."""
    share = np.array([[0.9, 0.3, 0.08, 0.01, 1e-4, 1e-6]])
    many = usable_edges(np.array([1e6]), share, NO_SLO)
    assert many[0].tolist() == [False, True, True, True, True, False]
    assert guard_edge(share, many).tolist() == [2]
    assert usable_edges(np.array([1e6]), share, np.array([0]))[0, 0]
    assert not usable_edges(np.array([299.0]), share, np.array([0])).any()
    assert guard_edge(share, np.zeros((1, 6), dtype=bool)).tolist() == [-1]
    rare = np.array([[0.9, 0.004, 1e-4]])
    assert guard_edge(rare, usable_edges(np.array([1e6]), rare, NO_SLO)).tolist() == [1]


def test_fine_histograms_are_thinned_around_the_guard():
    """Of 40 edges at most 12 remain, evenly, the guard among them."""
    share = np.geomspace(0.29, 3e-5, 40)[None]
    usable = usable_edges(np.array([1e7]), share, NO_SLO)
    places = np.flatnonzero(usable[0])
    assert 8 <= len(places) <= 12
    assert len(set(np.diff(places))) == 1
    assert guard_edge(share, np.ones((1, 40), dtype=bool))[0] in places


def test_a_tolerated_shift_is_tolerated_at_a_steep_edge():
    """At least the exceedance; the shift to the power of the slope, but no more than four times."""
    found = tolerated_ratio(np.array([1.0, 4.0, 12.0]), 1.25, 2.0)
    np.testing.assert_allclose(found, [2.0, 1.25**4, 4.0])


@pytest.mark.parametrize("nu", [9.0, 12.0, 27.0, 200.0])
def test_pod_atoms_are_students_law(nu):
    """Weights sum to 1, their variance is that of Student's law or a little more, their tail as heavy."""
    weights = pod_atoms(np.array(nu))
    assert weights.sum() == pytest.approx(1.0)
    scale = POD_SDS / 0.10
    assert nu / (nu - 2) * 0.9 <= weights @ scale**2 <= nu / (nu - 2) * 1.25
    median = np.sqrt(nu / chdtri(nu, 0.5))
    assert scale[np.searchsorted(np.cumsum(weights), 0.5)] == pytest.approx(median, rel=0.35)


def test_a_pod_factor_that_hardly_moves_stands_still():
    """Changes below 2 % are not followed, larger ones are; nothing of the future enters."""
    factor = np.array([[1.0, 1.01, 1.015, 1.05, 1.06, 0.5]])
    np.testing.assert_allclose(held(factor), [[1.0, 1.0, 1.0, 1.05, 1.05, 0.5]])
    np.testing.assert_allclose(held(factor[:, :4]), held(factor)[:, :4])


def test_dispersion_of_tails():
    """Independent requests: 1; clumps of 5: about 5; rare edges take that of the edge below."""
    rng = np.random.default_rng(2)
    plain = counts(rng, 10, 200, 400.0)[None]
    for data, low, high in ((plain, 1.0, 1.0), (5 * counts(rng, 10, 200, 80.0)[None], 4.5, 6.8)):
        noise = tail_noise(exceeding(data), data.sum(axis=-1), EDGES, True)
        assert low <= noise.phi[0, 5] <= high
        assert noise.phi[0, 9] == noise.phi[0, 8]


def test_how_pods_differ_in_their_tails():
    """Pods alike leave the shrunk prior; pods that differ by 0.5 show it; rare edges are no surer than those below."""
    rng = np.random.default_rng(4)
    alike = counts(rng, 10, 100, 2000.0)[None]
    noise = tail_noise(exceeding(alike), alike.sum(axis=-1), EDGES, True)
    assert noise.between[0, 5] < 8 / 17 * 0.15**2 * 1.2
    assert noise.between[0, 8] >= 0.15**2
    shares = np.exp(rng.normal(0, 0.5, 10))
    other = np.concatenate([counts(rng, 1, 100, 2000.0, slow=0.01 * s) for s in shares])[None]
    spread = tail_noise(exceeding(other), other.sum(axis=-1), EDGES, True).between[0, 7]
    assert 0.05 < spread < 0.5


def test_learned_spread_of_scores():
    """Pods that differ by 10 % are learned between the prior of 6 % and themselves."""
    rng = np.random.default_rng(5)
    pods = np.exp(rng.normal(0, 0.1, 19))
    data = np.concatenate([counts(rng, 1, 60, 500.0, shift=p) for p in pods])[None]
    noise = learn(data, EDGES, np.full(60, 15.0), True)
    assert 0.06 < np.sqrt(noise.spread[0, 0]) < 0.13
    assert noise.score_known.all()
    assert noise.tail_known.all()
    assert noise.requests_per_second[0] == pytest.approx(19 * 500 / 15, rel=0.01)


# ------------------------------------------------------------------------------------------- layouts


def test_common_edges_lose_no_request():
    """Two versions with other buckets are compared on what both have; all requests stay."""
    first = Layout(edges=np.array([0.1, 0.25, 0.5, 1.0]), counts=np.array([[5.0, 4, 3, 2, 1]]))
    second = Layout(edges=np.array([0.1, 0.3, 0.5]), counts=np.array([[5.0, 4, 3, 3]]))
    edges = common_edges(first.edges, second.edges)
    assert edges.tolist() == [0.1, 0.5]
    assert on_edges(first, edges).counts.tolist() == [[5.0, 7.0, 3.0]]
    assert on_edges(second, edges).counts.tolist() == [[5.0, 7.0, 3.0]]
    assert common_edges(first.edges, np.array([0.2])).size == 0
    with pytest.raises(InvalidInput):
        on_edges(first, np.array([0.2]))


native = st.dictionaries(st.integers(-40, 40), st.integers(1, 50).map(float), min_size=1, max_size=20)


@given(native, st.integers(0, 3), st.integers(0, 3))
def test_two_coarsenings_are_one(buckets, once, twice):
    """Going down in schema by steps or at once is the same, and every request stays in a bucket that holds its own."""
    histogram = Native(schema=6, zero=0.0, buckets=buckets)
    both = coarser(coarser(histogram, 6 - once), 6 - once - twice)
    assert both == coarser(histogram, 6 - once - twice)
    assert sum(both.buckets.values()) == pytest.approx(sum(buckets.values()))
    for index in buckets:
        upper = 2.0 ** (index * 2.0**-6)
        bounds = [2.0 ** (i * 2.0**-both.schema) for i in both.buckets]
        assert any(u * 2.0 ** -(2.0**-both.schema) < upper * (1 + 1e-9) and upper <= u * (1 + 1e-9) for u in bounds)


def test_native_histograms_meet_at_the_lowest_schema():
    """Both arms on one set of edges, the zero bucket in the lowest, a missing one stays missing."""
    found = native_layout(
        [Native(schema=1, zero=2.0, buckets={1: 3.0, 2: 4.0}), None, Native(schema=0, zero=0.0, buckets={2: 1.0})]
    )
    assert found.edges.tolist() == [2.0, 4.0]
    assert found.counts[0].tolist() == [9.0, 0.0, 0.0]
    assert np.isnan(found.counts[1]).all()
    assert found.counts[2].tolist() == [0.0, 1.0, 0.0]
    with pytest.raises(InvalidInput):
        native_layout([None, Native(schema=1, zero=1.0, buckets={})])
    with pytest.raises(InvalidInput):
        Native(schema=-53, zero=0.0, buckets={})


def test_raw_samples_become_buckets():
    """Every positive sample lies in the bucket that holds it; what is not a latency is dropped."""
    samples = [[0.1, 0.2, 0.2, np.nan, -1.0], [], [3.0]]
    found = sample_layout(samples)
    assert found.counts.sum(axis=1).tolist() == [3.0, 0.0, 1.0]
    place = np.searchsorted(found.edges, 0.2 * (1 - 1e-9))
    assert found.counts[0, place] == 2
    assert found.edges[place] / 0.2 < 2 ** (1 / 8) * 1.001


# --------------------------------------------------------------------------------------- percentiles


def percentiles(
    seed: int = 1, *, shift: float = 1.0, history: int = 120, looks: int = 60, level: float = 0.1
) -> GaugeData:
    """Return a published percentile of ten stable pods and two of the canary."""
    rng = np.random.default_rng(seed)

    def noise(pods: int, count: int) -> np.ndarray:
        return np.asarray(level * np.exp(rng.normal(0, 0.1, (pods, count))))

    return GaugeData(
        baseline=noise(10, looks),
        canary=noise(2, looks) * shift,
        ends=1e9 + np.cumsum(np.full(looks, 15.0)),
        history=noise(10, history),
    )


LOG = GaugeQuestion(ratio=1.25, scale="log")


def test_summaries_are_weighed():
    """Equal percentiles are proved; one that doubles is found and named, and nothing is promoted then."""
    equal = weigh_percentiles({"p50": percentiles(1), "p99": percentiles(2, level=0.8)}, LOG)
    assert equal is not None
    assert equal.promote[-1] >= np.log(20)
    assert equal.warn.max() < np.log(20)
    assert "low_power" in equal.flags
    slow = weigh_percentiles({"p50": percentiles(1), "p99": percentiles(2, level=0.8, shift=2.0)}, LOG)
    assert slow is not None
    assert slow.abort[-1] >= np.log(1000)
    assert slow.guilty() == "p99"
    assert slow.promote[-1] < 0
    assert slow.without_looks([slow.loudest_look(59)]).abort[-1] >= np.log(10)


def test_censored_percentiles_are_no_measurement():
    """A p99 in the last bucket is dropped; over a third of them and it is not judged."""
    kept, share = uncensored(np.array([[0.1, 10.0, np.inf, np.nan]]), 10.0)
    assert share == pytest.approx(2 / 3)
    assert np.isnan(kept[0, 1:]).all()
    high = percentiles(3, level=20.0)
    assert weigh_percentiles({"p99": high}, LOG, last_edge=10.0) is None
    both = weigh_percentiles({"p50": percentiles(1), "p99": high}, LOG, last_edge=10.0)
    assert both is not None
    assert list(both.by_name) == ["p50"]
    assert "censored" in both.flags
    with pytest.raises(InvalidInput):
        weigh_percentiles({}, LOG)
    with pytest.raises(InvalidInput):
        weigh_percentiles({"p50": high}, GaugeQuestion())


def test_default_buckets_of_the_examples():
    """The invented service is what it says: 6 % over 250 ms, 0.4 % over 500 ms."""
    found = exceeding(counts(np.random.default_rng(0), 1, 1, 1e7))[0, 0] / 1e7
    np.testing.assert_allclose(found[[5, 6]], ndtr(-np.log(np.array([2.5, 5.0])) / 0.6), rtol=0.02)
