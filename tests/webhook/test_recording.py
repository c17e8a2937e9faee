"""Extending records: what comes too late, and what a wiped record is rebuilt from."""

import numpy as np
import pytest

from tests.contract.scene import BEFORE, NOW, RELEASE, STEP, Scene, counted
from webhook.errors import SourceDown


def served(source, look, pod="c-1"):
    """Return the array of requests of one canary pod, to be changed as a late scrape would."""
    return source.numbers["error-rate"]["total"]["canary"][pod], BEFORE + look


def document(scene, answer):
    """Return the whole report behind a verdict."""
    return scene.get(f"/v1/reports/{answer.json['id']}?format=json").json


def test_what_comes_after_its_look_had_closed_is_counted_and_never_used():
    """Forty requests that reach the source late are in no look; the report says how many they are."""
    source = counted(12, 1.0, 100.0)
    scene = Scene(source=source)
    scene.clock.now = NOW - 20
    before = document(scene, scene.argo())
    looks = before["window"]["looks"]
    array, _ = served(source, 0)
    array[len(array) - 12 + 2 * looks - 1] += 40
    scene.clock.now = NOW + 20
    after = document(scene, scene.argo())
    assert after["window"]["looks"] > looks
    added = 100 * 2 * (after["window"]["looks"] - looks)
    counts = [report["detail"]["evidence"][0]["counts"]["canary"]["total"] for report in (before, after)]
    assert counts[1] - counts[0] == added
    assert "error-rate: 40 events came after their look had closed and are in none" in after["detail"]["notes"]


def test_nothing_late_is_said_where_nothing_was_late():
    """A record that is read on and on without late samples carries no such note."""
    scene = Scene(source=counted(12, 1.0, 100.0))
    scene.clock.now = NOW - 40
    scene.argo()
    scene.clock.now = NOW + 20
    notes = document(scene, scene.argo())["detail"]["notes"]
    assert not any("after their look" in note for note in notes)


def test_a_record_whose_looks_were_lost_is_read_again():
    """Looks that are dropped from the store come back from the source, with the same numbers and the same verdict."""
    scene = Scene(source=counted(60, 30.0, 100.0))
    first = document(scene, scene.argo())
    key = ("", RELEASE["namespace"], RELEASE["name"], RELEASE["revision"])
    kept = scene.store.looks(key, 1)
    assert np.isclose(kept[-1]["end"] % STEP, 0)
    scene.store.forget_looks(key, 1)
    assert scene.store.looks(key, 1) == []
    assert document(scene, scene.argo())["detail"]["evidence"] == first["detail"]["evidence"]
    assert scene.store.looks(key, 1) == kept


@pytest.mark.parametrize(("lag", "closed_after"), [("1s", STEP), ("auto", STEP), ("45s", 45.0)])
def test_a_look_waits_for_at_least_one_scrape(lag, closed_after):
    """A lag that is shorter than a scrape would close looks before their last sample is there."""
    scene = Scene(source=counted(12, 1.0, 100.0))
    policy = {"apiVersion": "weighbridge/v1", "name": "lagging", "preset": "http_requests_total", "looks": {"lag": lag}}
    assert document(scene, scene.argo(policy=policy))["detail"]["grid"]["lag"] == closed_after


class Forgetful:
    """A source that does not answer in time the first time it is asked for what was before the release."""

    def __init__(self, inner, begun):
        self.inner = inner
        self.begun = begun
        self.refused = 0

    def fetch(self, asked, span, seconds):
        if span.end <= self.begun and span.end - span.start > 300 and not self.refused:
            self.refused += 1
            raise SourceDown("no answer in time")
        return self.inner.fetch(asked, span, seconds)

    def __getattr__(self, name):
        return getattr(self.inner, name)


def test_noise_that_the_source_could_not_tell_of_is_learned_at_the_next_verdict():
    """One slow answer at the start of a release does not cost it what stable's past teaches."""
    source = Forgetful(counted(60, 30.0, 100.0), NOW - 60 * STEP)
    scene = Scene(source=source)
    failed = document(scene, scene.argo())
    assert (source.refused, failed["verdict"]) == (1, "hold")
    assert failed["detail"]["noise_window"] is None
    known = document(scene, scene.argo())
    assert known["detail"]["noise_window"]["looks"] > 0
    assert known["detail"]["evidence"][0]["noise"]["source"] == "history"
