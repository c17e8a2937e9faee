"""What replicas add up to goes on from look to look, whatever a look is like."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from analysis import resumed, watched
from analysis.compare.arms import Arms, History
from analysis.compare.tallies import Tallies, tallies
from analysis.grid import POD_PRIOR
from analysis.noise_over_run import NoiseOverRun

LOOKS = 40


@pytest.fixture(autouse=True)
def forgetful():
    resumed.forget()


def arms(looks: int, **changes: Any) -> Arms:
    """Return one release whose replicas come late, go, miss scrapes, count too many bad events and are left out."""
    rng = np.random.default_rng(20_261_129)
    canary, stable = rng.poisson(40.0, (1, 2, LOOKS)).astype(float), rng.poisson(50.0, (1, 5, LOOKS)).astype(float)
    stable[0, 3, :17] = np.nan
    stable[0, 1, 28:] = 0.0
    canary[0, 1, :5] = 0.0
    bad_canary, bad_stable = rng.binomial(40, 0.1, canary.shape) * 1.0, rng.binomial(50, 0.1, stable.shape) * 1.0
    bad_stable[0, 2, 11] = np.nan
    bad_stable[0, :, 23] = 900.0
    left_out = np.zeros((1, LOOKS), dtype=bool)
    left_out[0, [7, 31]] = True
    given = {
        "canary_bad": bad_canary, "canary_total": canary, "baseline_bad": bad_stable, "baseline_total": stable,
        "left_out": left_out,
    }  # fmt: skip
    cut: dict[str, Any] = {name: array[..., :looks].copy() for name, array in given.items()}
    return Arms(**cut, seconds=np.full(looks, 10.0), **changes)


def figures(found: Tallies | NoiseOverRun) -> list[bytes]:
    """Return every number, to the bit."""
    parts = [getattr(found, each.name) for each in fields(found) if each.name != "trail"]
    return [byte for part in parts for byte in (figures(part) if isinstance(part, NoiseOverRun) else [part.tobytes()])]


@pytest.mark.parametrize("back", [1, 3])
@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="noise of the run"),
        pytest.param({"visible": False}, id="pods that cannot be seen"),
        pytest.param({"exposure": "units"}, id="events per unit"),
        pytest.param({"history": History(learned=(np.array([1.1]), POD_PRIOR[None]), looks=60)}, id="noise of history"),
        pytest.param({"history": History(looks=5)}, id="too little history"),
    ],
)
def test_one_look_more_is_what_all_looks_say(changes, back):
    """Watched look by look or judged at once: the same digits, where noise is learned anew too (looks 8, 16, 32)."""
    for looks in range(17, LOOKS + 1, back):
        going_on = figures(tallies(arms(looks, **changes)))
        resumed.forget()
        at_once = figures(tallies(arms(looks, **changes)))
        assert going_on == at_once
        tallies(arms(looks, **changes))


def test_a_past_that_changed_is_added_up_anew():
    """One request more ten looks ago: nothing of what was remembered is used."""
    tallies(arms(LOOKS - 1))
    changed = arms(LOOKS)
    changed.baseline_total[0, 0, LOOKS - 10] += 1
    found = figures(tallies(changed))
    resumed.forget()
    assert found == figures(tallies(changed))


def test_what_is_watched_has_an_end(monkeypatch):
    """Runs beyond the bytes that may be kept are forgotten, the oldest first, and nothing else changes."""
    whole = figures(tallies(arms(LOOKS)))
    monkeypatch.setattr(watched, "KEPT_BYTES", 15_000)
    for number in range(6):
        each = arms(LOOKS)
        each.canary_total[0, 0, 0] += number
        tallies(each)
    kept = [past for alike in watched.PASTS.value(b"", (), dict).values() for past in alike]
    assert 0 < len(kept) < 6
    assert sum(past.nbytes for past in kept) <= 15_000
    assert figures(tallies(arms(LOOKS))) == whole
