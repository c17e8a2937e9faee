"""Placebos in the background: whose turn it is, which window, and what is written of it."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from tests.webhook.placebo.scene import POLICY, T0, stable
from webhook.errors import SourceDown, StoreDown
from webhook.gate import Gate
from webhook.logs import EXTRA
from webhook.placebo.job import Placebos, newest_window, quiet, service_of
from webhook.placebo.ledger import Ledger
from webhook.placebo.metrics import PlaceboMetrics
from webhook.placebo.trial import Conduct, Window
from webhook.policies import Policies
from webhook.ports import Write
from webhook.releases import Attempt
from webhook.schema import policy as wire
from webhook.stores.memory import MemoryStore

NOW = T0 + 600.0
HOUR = 3600.0


def attempt(**changes):
    """Return a release of ``shop/checkout`` that ended well before the source begins to tell."""
    plain = Attempt(
        namespace="shop", name="checkout", cluster="", revision="b", attempt=1, caller="v1", stable_revision="a",
        opened_at=T0 - 30_000, started_at=T0 - 30_000, ended_at=T0 - 29_000, phase="promoted",
        policies={POLICY.name: wire.store(POLICY)},
    )  # fmt: skip
    return replace(plain, **changes)


class World:
    """A store with releases, a gate over a source, and the job."""

    def __init__(self, source, *attempts, every=HOUR, **conduct):
        self.store = MemoryStore()
        self.faults = []
        for one in attempts:
            self.store.write(Write(attempt=one.document()))
        self.gate = Gate(
            store=self.store,
            policies=Policies(None, clock=lambda: 0.0),
            sources={"default": source} if source else {},
            on_fault=self.faults.append,
        )
        self.ledger = Ledger(self.store)
        self.now = NOW
        self.job = Placebos(
            gate=self.gate, ledger=self.ledger, every=every, clock=lambda: self.now,
            conduct=Conduct(**{"every": 600.0, **conduct}),
        )  # fmt: skip


@pytest.fixture(autouse=True)
def no_breath(monkeypatch):
    """Nothing else runs here that would have to come first."""
    monkeypatch.setattr("webhook.placebo.job.BREATH", 0.0)


def test_a_quiet_hour_makes_one_placebo():
    """The newest whole hour that is over, one replica against the others, counted under service and policy."""
    world = World(stable(), attempt())
    entry = world.job.once(NOW)
    assert entry == world.ledger.entries()[0]
    assert (entry.service, entry.policy, entry.digest) == ("shop/checkout", POLICY.name, POLICY.digest)
    assert sum(entry.outcomes.values()) == 1
    assert entry.until == T0
    assert entry.note == ""


def test_no_second_is_judged_twice():
    """Asked again within the hour nothing is due; the next hour is another window."""
    source = stable()
    world = World(source, attempt())
    world.job.once(NOW)
    asked = len(source.asked)
    assert world.job.once(NOW + 60) is None
    assert len(source.asked) == asked
    assert world.job.once(NOW + 1800) is None
    later = world.job.once(NOW + HOUR)
    assert later.until == T0 + HOUR
    assert later.note  # the source has nothing of that hour


def test_the_service_that_waited_longest_is_next():
    """Two services take turns, one batch at a time."""
    world = World(stable(), attempt(), attempt(name="cart"))
    turns = [world.job.once(NOW + n).name for n in range(2)]
    assert sorted(turns) == ["cart", "checkout"]
    assert world.job.once(NOW + 2) is None


def test_while_another_process_works_nothing_is_done():
    """The claim is in the store, so it holds for every process."""
    world = World(stable(), attempt())
    assert Ledger(world.store).claim(NOW - 10)
    assert world.job.once(NOW) is None


@pytest.mark.parametrize(
    ("changes", "is_quiet"),
    [
        pytest.param({}, True, id="long over"),
        pytest.param({"started_at": T0 - 1800, "ended_at": None, "phase": "held"}, False, id="running"),
        pytest.param({"started_at": T0 - 9000, "ended_at": T0 - HOUR - 60}, False, id="new pods settle"),
        pytest.param({"started_at": T0 - 9000, "ended_at": T0 - HOUR - 700}, True, id="settled"),
        pytest.param({"started_at": T0 + 10, "ended_at": None}, True, id="begins later"),
        pytest.param({"started_at": T0 - 20_000, "ended_at": None, "asked": (T0 - 15_000,)}, True, id="abandoned"),
    ],
)
def test_only_quiet_hours_are_used(changes, is_quiet):
    """A release that runs, or whose pods are young, is no steady state; one that nobody asks about is over."""
    assert quiet([attempt(**changes)], Window(start=T0 - HOUR, end=T0)) is is_quiet


def test_an_hour_with_a_release_is_passed_over():
    """It is noted, and the next hour is tried in its turn."""
    source = stable()
    world = World(source, attempt(started_at=T0 - 1800, ended_at=T0 - 600))
    entry = world.job.once(NOW)
    assert entry.note == "a release was running or settling in this window"
    assert entry.until == T0
    assert not source.asked
    assert not entry.outcomes


@pytest.mark.parametrize(
    ("attempts", "expected"),
    [
        pytest.param([attempt(caller="argo")], "b", id="promoted: the canary's revision is stable"),
        pytest.param([attempt(caller="argo", phase="aborted")], "a", id="aborted: the old one is"),
        pytest.param([attempt(caller="argo", ended_at=T0)], "a", id="not over by then"),
        pytest.param([attempt(caller="flagger", stable_revision="")], "", id="Flagger's selectors need none"),
        pytest.param(
            [attempt(caller="argo"), attempt(caller="argo", revision="c", phase="aborted", stable_revision="b")],
            "b",
            id="two releases",
        ),
    ],
)
def test_stable_is_who_served_then(attempts, expected):
    """``$baseline`` names the revision that was stable in the window."""
    assert service_of(attempts, Window(start=T0 - HOUR, end=T0)).stable_revision == expected


def test_a_source_that_is_down_is_a_note():
    """Nothing is counted, and the same window is tried again when it is that service's turn."""
    source = stable()
    source.fail(SourceDown("connection refused"))
    world = World(source, attempt(), every=600.0)
    entry = world.job.once(NOW)
    assert entry.note == "metrics source down: connection refused"
    assert not entry.outcomes
    source.recover()
    assert world.job.once(NOW + 60) is None
    assert sum(world.job.once(NOW + 600).outcomes.values()) == 1


def test_without_a_source_nothing_can_be_made():
    """The note says what is missing."""
    assert "no source called 'default'" in World(None, attempt()).job.once(NOW).note


def test_a_store_that_is_down_is_told():
    """It is a fault like any other, and the claim is not lost for ever."""
    world = World(stable(), attempt())
    world.gate.store = type("Down", (), {"releases": lambda self, limit: (_ for _ in ()).throw(StoreDown("gone"))})()
    with pytest.raises(StoreDown):
        world.job.once(NOW)


def test_a_bad_replica_drops_the_service(caplog):
    """Every replica in turn: the bad one breaks the promise within hours, which is logged and measured."""
    caplog.set_level("WARNING", logger="weighbridge")
    world = World(stable(hours=6, worse={"checkout-a-2": 6.0}), attempt(), splits=6)
    for hour in range(-2, 1):
        entry = world.job.once(NOW + hour * HOUR)
    assert entry.dropped
    assert any("placebos were aborted" in getattr(line, EXTRA)["reason"] for line in caplog.records)
    registry = CollectorRegistry()
    registry.register(PlaceboMetrics(world.ledger.entries))
    labels = {"service": "shop/checkout", "policy": POLICY.name}
    value = registry.get_sample_value
    assert value("weighbridge_placebo_dropped", labels) == 1
    assert value("weighbridge_placebo_promised_abort_ratio", labels) == 0.001
    assert value("weighbridge_placebo_log_e", labels) > 6.9
    aborted = value("weighbridge_placebo_releases_total", {**labels, "outcome": "aborted"})
    every = sum(
        value("weighbridge_placebo_releases_total", {**labels, "outcome": word})
        for word in ("aborted", "frozen", "held", "promoted")
    )
    assert value("weighbridge_placebo_false_abort_ratio", labels) == aborted / every == pytest.approx(1 / 6)


def test_metrics_survive_a_store_that_is_down():
    """A scrape without a store shows nothing of placebos, and does not fail."""

    def gone():
        raise StoreDown("gone")

    registry = CollectorRegistry()
    registry.register(PlaceboMetrics(gone))
    assert registry.get_sample_value("weighbridge_placebo_dropped", {"service": "a/b", "policy": "c"}) is None


def test_the_thread_works_and_ends():
    """Started, it makes placebos of its own accord; stopped, it is gone."""
    world = World(stable(), attempt(), every=0.05)
    written = threading.Event()
    finish = world.ledger.finish

    def told(entry):
        finish(entry)
        written.set()

    world.ledger.finish = told
    world.job.start()
    assert written.wait(30)
    world.job.stop()
    assert not [thread for thread in threading.enumerate() if thread.name == "placebos"]
    assert sum(world.ledger.entries()[0].outcomes.values()) == 1


def test_windows_are_cut_in_the_same_places_everywhere():
    """On whole hours, whenever it is asked."""
    assert newest_window(T0 + 1) == newest_window(T0 + 3599) == Window(start=T0 - HOUR, end=T0)
