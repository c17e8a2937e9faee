"""The traffic split over HTTP: weights that callers name, that Flagger tells, and that inline data brings."""

from __future__ import annotations

import numpy as np
import pytest

from tests.contract.scene import NOW, RELEASE, STEP, Scene, counted
from tests.webhook.data_documents import counted as counts
from webhook.errors import BadRequest
from webhook.policies import presets
from webhook.schema import policy as wire
from webhook.schema.data import inline_policy, inline_record
from webhook.schema.problems import PolicyProblems

LOOKS = 180
NINE = 100 / 1100
"""Share of the canary in the scene."""


def asked(scene, weight, until=NOW, every=150.0, **more):
    """Ask every minute from the beginning of the canary on, naming a weight; return the last report."""
    scene.clock.now = NOW - STEP * LOOKS + 30
    while scene.clock.now < until:
        answer = scene.argo(release={**RELEASE, "weight": weight}, **more)
        scene.clock.advance(every)
    return scene.get(f"/v1/reports/{answer.json['id']}?format=json").json


def rows(scene):
    return scene.store.looks(("", RELEASE["namespace"], RELEASE["name"], RELEASE["revision"]), 1)


def test_a_weight_that_is_named_is_held_against_the_requests():
    """A quarter is named and a tenth comes: held, with the figures, in every form of the report."""
    scene = Scene(source=counted(LOOKS, 1.0, 100.0))
    report = asked(scene, 0.25)
    assert report["would"] == "hold"
    assert report["reason"].startswith("canary got 9.1 % of the requests, 25 % is configured")
    assert report["detail"]["split"]["flag"] == "split_mismatch"
    assert report["detail"]["split"]["expected"] == pytest.approx(0.25)
    assert "split_mismatch" in report["detail"]["flags"]
    text = scene.get(f"/v1/reports/{report['id']}?format=text").text
    assert "split     canary got 9.1 % of the requests, 25 % is configured" in text
    page = scene.get(f"/v1/reports/{report['id']}", headers={"Accept": "text/html"}).text
    assert "25 % is configured" in page


def test_the_weight_that_comes_is_told_and_holds_nothing():
    """The canary gets what is named: promoted, and the report says that the split was checked."""
    report = asked(Scene(source=counted(LOOKS, 1.0, 100.0)), NINE)
    assert report["would"] == "promote"
    assert report["detail"]["split"]["flag"] == "ok"
    assert report["detail"]["split"]["judged"] > 50


def test_looks_carry_a_weight_from_when_it_was_first_named():
    """A look that began before its weight was named may have had another one: it is left without."""
    scene = Scene(source=counted(LOOKS, 1.0, 100.0))
    asked(scene, 0.1, until=NOW - 1000)
    change = scene.clock.now
    scene.argo(release={**RELEASE, "weight": 0.3})
    scene.clock.advance(120)
    scene.argo(release={**RELEASE, "weight": 0.3})
    named = [(row["end"] - STEP * 2, row["weight"]) for row in rows(scene)]
    late = [weight for begun, weight in named if begun >= change]
    assert set(late) == {0.3}
    assert [weight for begun, weight in named if change - 80 <= begun < change - STEP][-2:] == [None, None]
    assert {weight for begun, weight in named if begun < change - 120} == {None, 0.1}


def test_a_background_analysis_names_no_weight():
    """It repeats what it was born with, long after the weight has moved."""
    scene = Scene(source=counted(LOOKS, 1.0, 100.0))
    asked(scene, 0.25, stage="background")
    assert {row["weight"] for row in rows(scene)} == {None}


def test_a_policy_may_want_to_know_only():
    """``split: report``: sticky sessions and mirrors are told of and hold nothing."""
    policy = {"apiVersion": "weighbridge/v1", "name": "sticky", "preset": "http_requests_total", "split": "report"}
    report = asked(Scene(source=counted(LOOKS, 1.0, 100.0)), 0.25, policy=policy)
    assert report["would"] == "promote"
    assert report["detail"]["split"]["flag"] == "split_mismatch"


@pytest.mark.parametrize(("told", "flag"), [(9, "ok"), (40, "split_mismatch")])
def test_weights_that_flagger_tells_are_checked(told, flag):
    """Flagger's body has no weight, its events have."""
    scene = Scene(source=counted(LOOKS, 1.0, 100.0))
    scene.clock.now = NOW - STEP * (LOOKS - 4)
    scene.hook("confirm-promotion")
    scene.hook("event", metadata={"eventMessage": f"Advance web.shop canary weight {told}", "eventType": "Normal"})
    while scene.clock.now < NOW:
        scene.clock.advance(150)
        scene.hook("confirm-promotion")
    report = scene.get("/v1/releases/shop/web").json["reports"][0]
    found = scene.get(f"/v1/reports/{report['id']}?format=json").json
    assert found["detail"]["split"]["flag"] == flag
    assert found["would"] == ("promote" if flag == "ok" else "hold")


def data(looks=60, **more):
    """Return inline data of a canary that gets a tenth."""
    stable, canary = counts([9] * looks, [900] * looks), counts([1] * looks, [100] * looks)
    return {"step_seconds": 10, "questions": {"error-rate": {"baseline": stable, "canary": canary}}, **more}


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        pytest.param(0.1, [0.1] * 3, id="one for all"),
        pytest.param([0.1, None, 0.2], [0.1, np.nan, 0.2], id="one a look"),
        pytest.param(None, [np.nan] * 3, id="none"),
    ],
)
def test_inline_data_may_name_weights(weights, expected):
    """One number, or one for each look."""
    body = data(3, weights=weights) if weights is not None else data(3)
    np.testing.assert_array_equal(inline_record(body, inline_policy(body)).weights, expected)


@pytest.mark.parametrize(
    ("weights", "place", "rule"),
    [
        pytest.param([0.1], "/data/weights", "one for each of 3 looks, got 1", id="too few"),
        pytest.param([0.1, 0.1, 5], "/data/weights/2", "share between 0 and 1", id="percents"),
        pytest.param("much", "/data/weights", "number", id="a word"),
    ],
)
def test_wrong_weights_are_named(weights, place, rule):
    """Place, rule and value."""
    body = data(3, weights=weights)
    with pytest.raises(BadRequest) as error:
        inline_record(body, inline_policy(body))
    assert error.value.place == place
    assert rule in error.value.message


def test_a_split_policy_is_a_word():
    """Anything else is an error that names the place."""
    content = {"apiVersion": "weighbridge/v1", "name": "x", "preset": "http_requests_total", "split": "ignore"}
    with pytest.raises(PolicyProblems, match="/split"):
        wire.read(content, presets())


def test_inline_weights_are_held_against_inline_requests():
    """The same check without any source."""
    scene = Scene(source=counted(6, 0.0, 5.0))
    answer = scene.post("/v1/analysis", {"data": data(weights=0.3)})
    assert answer.json["verdict"] == "hold"
    assert "30 % is configured" in answer.json["reason"]
