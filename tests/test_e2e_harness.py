"""What the scenarios with the real controllers stand on, as far as it can be tried without them."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from e2e.harness.figures import Figures
from e2e.harness.kubelet import Pod
from e2e.harness.pods import Counters, Version, past, shares_of_buckets
from e2e.harness.routing import _backends, _destinations, _rules
from e2e.harness.stage import Scenario, Stage, TooLong


def scenario(call, limit=5.0):
    return Scenario(name="one", limit=limit, call=call)


def test_a_scenario_that_is_as_promised_ends_without_a_word():
    """It is played in a thread of the stage, and its seconds are known."""
    played = []
    one = scenario(lambda: played.append(threading.current_thread().name))
    Stage(1).begin([one])
    one.outcome()
    assert played == ["scenario-0"]
    assert 0 < one.seconds < 5


def test_what_a_scenario_raises_is_raised_where_it_is_waited_for():
    """An assertion that fails in a thread fails the test."""
    one = scenario(lambda: pytest.fail("not as promised"))
    Stage(1).begin([one])
    with pytest.raises(pytest.fail.Exception, match="not as promised"):
        one.outcome()


@pytest.mark.parametrize("hangs", [True, False], ids=["hangs", "ends late"])
def test_a_scenario_beyond_its_limit_fails(hangs):
    """It fails also if it is over, and all was well, but too late."""
    release = threading.Event()
    one = scenario(lambda: release.wait(10), limit=0.05)
    Stage(1).begin([one])
    if not hangs:
        assert not one.done.wait(0.1)
        release.set()
        assert one.done.wait(5)
    with pytest.raises(TooLong, match=r"0\.05 s"):
        one.outcome()
    release.set()


def test_the_longest_scenarios_begin_first_and_places_are_given_on():
    """Two play at a time, three are played."""
    order = []
    names = {name: Scenario(name=name, limit=limit, call=lambda name=name: order.append(name))
             for name, limit in (("short", 1.0), ("long", 9.0), ("middle", 5.0))}  # fmt: skip
    Stage(1).begin(list(names.values()))
    for one in names.values():
        one.outcome()
    assert order == ["long", "middle", "short"]


def test_figures_stand_side_by_side():
    """Rows by what was measured, columns by whose it is, and a dash where nothing was."""
    figures = Figures()
    figures.note("b", "ours", 12.4)
    figures.note("a", "theirs", "never")
    figures.note("a", "ours", 3.0)
    assert figures.table() == "|  | ours | theirs |\n| --- | --- | --- |\n| a | 3 s | never |\n| b | 12 s | – |\n"
    assert Figures().table() == ""


@pytest.mark.parametrize(
    ("rules", "weights", "expected"),
    [
        pytest.param(
            [{"route": [{"destination": {"host": "a"}, "weight": 90}, {"destination": {"host": "b"}, "weight": 10}]}],
            _destinations,
            {"a": 0.9, "b": 0.1},
            id="Istio weights",
        ),
        pytest.param(
            [
                {"match": [{"headers": {"x": {"exact": "y"}}}], "route": [{"destination": {"host": "b.ns.svc"}}]},
                {"route": [{"destination": {"host": "a"}, "weight": 100}, {"destination": {"host": "b"}, "weight": 0}]},
            ],
            _destinations,
            {"a": 0.8, "b": 0.2},
            id="Istio header route",
        ),
        pytest.param(
            [
                {
                    "match": [{"headers": {"x": {"exact": "y"}}}],
                    "route": [{"destination": {"host": "a"}}, {"destination": {"host": "b"}, "weight": 100}],
                },
                {"route": [{"destination": {"host": "a"}, "weight": 0}]},
            ],
            _destinations,
            {"a": 0.8, "b": 0.2},
            id="A/B test of Flagger in Istio",
        ),
        pytest.param(
            [{"backendRefs": [{"name": "a", "weight": 3}, {"name": "b", "weight": 1}]}],
            _backends,
            {"a": 0.75, "b": 0.25},
            id="Gateway API weights",
        ),
    ],
)
def test_requests_go_where_the_rules_send_them(rules, weights, expected):
    """A fifth of the requests carries the header that a rule asks for."""
    split = {}
    for service, share in _rules(rules, 0.2, weights):
        split[service] = split.get(service, 0.0) + share
    assert {name: share for name, share in split.items() if share} == pytest.approx(expected)


def test_the_past_of_a_pod_leads_to_what_it_shows_now():
    """Counters go on from the last sample that was written for the time before, and never go down."""
    pod = Pod(namespace="shop", name="checkout-1", ip="10.244.0.1", image="checkout:1", labels={}, ready=True)
    counters = Counters()
    rng = np.random.default_rng(7)
    series = past(pod, counters, Version(errors=0.1), end=1000.0, seconds=60.0, step=2.0, rate=50.0, rng=rng)
    bad = next(pairs for labels, pairs in series if labels.get("code") == "500")
    assert bad[-1] == (1000.0, float(counters.bad))
    assert [value for _, value in bad] == sorted(value for _, value in bad)
    assert f'http_requests_total{{code="500",path="/"}} {counters.bad}' in counters.text()
    assert shares_of_buckets(0.08).sum() == pytest.approx(1.0)
