"""What every store promises, whatever it is made of."""

from __future__ import annotations

import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.webhook.stores.documents import RELEASE, attempt, look, opened, report
from webhook.errors import StoreConflict
from webhook.ports import Write

DAY = 86_400.0
OTHER_REVISION = ("", "shop", "checkout", "9f8d7c6b5")
OTHER_NAME = ("", "shop", "cart", "6c54bd4f4b")
OTHER_CLUSTER = ("eu-1", "shop", "checkout", "6c54bd4f4b")


def test_what_is_not_there_is_none_or_empty(store):
    """An empty store answers every question, with nothing."""
    assert store.attempt(RELEASE, 1) is None
    assert store.report("r_0") is None
    assert store.attempts("shop", "checkout") == store.looks(RELEASE, 1) == store.reports(RELEASE) == []
    assert store.releases() == store.overrides("shop", "checkout") == []


def test_an_attempt_comes_back_with_the_next_version(store):
    """A document is stored whole, and its version counts the writes."""
    store.write(Write(attempt=attempt(phase="progressing", history=[{"weight": 0.1, "reason": "größer ≥ 1"}])))
    kept = store.attempt(RELEASE, 1)
    assert kept == attempt(version=1, phase="progressing", history=[{"weight": 0.1, "reason": "größer ≥ 1"}])
    store.write(Write(attempt={**kept, "phase": "held"}))
    assert store.attempt(RELEASE, 1) == {**kept, "phase": "held", "version": 2}


def test_a_stored_document_is_nobodys_to_change(store):
    """Neither the dictionary that was written nor the one that was read is the stored one."""
    document = attempt(history=[])
    store.write(Write(attempt=document))
    document["history"].append("late")
    store.attempt(RELEASE, 1)["history"].append("later")
    assert store.attempt(RELEASE, 1)["history"] == []


@pytest.mark.parametrize(
    ("existing", "claimed"),
    [
        pytest.param(0, 1, id="update of what is not there"),
        pytest.param(1, 0, id="new, but it exists"),
        pytest.param(3, 2, id="somebody wrote since it was read"),
        pytest.param(2, 3, id="a version that never was"),
    ],
)
def test_a_wrong_version_writes_nothing_at_all(store, existing, claimed):
    """A conflict leaves attempt, looks and report as they were."""
    for version in range(existing):
        store.write(Write(attempt=attempt(version=version)))
    before = store.attempt(RELEASE, 1)
    change = Write(attempt=attempt(version=claimed, mine=True), looks=[(0, look(0))], report=report("r_1"))
    with pytest.raises(StoreConflict, match=rf"version {existing}, not {claimed}"):
        store.write(change)
    assert store.attempt(RELEASE, 1) == before
    assert store.looks(RELEASE, 1) == []
    assert store.report("r_1") is None


def test_a_change_that_cannot_be_written_writes_nothing_at_all(store):
    """A report that is no JSON takes its attempt and looks with it."""
    with pytest.raises(ValueError, match="JSON"):
        store.write(Write(attempt=attempt(), looks=[(0, look(0))], report=report("r_1", score=float("nan"))))
    assert store.attempt(RELEASE, 1) is None
    assert store.report("r_1") is None


def test_looks_never_change(store):
    """A row that is there stays as it is; new ones join it, in order of their numbers."""
    kept = opened(store)
    store.write(Write(attempt=kept, looks=[(10, look(10)), (2, look(2))]))
    kept = store.attempt(RELEASE, 1)
    store.write(Write(attempt=kept, looks=[(2, look(2, bad=99)), (11, look(11))]))
    assert store.looks(RELEASE, 1) == [look(2), look(10), look(11)]


def test_looks_belong_to_one_attempt(store):
    """Neither another attempt, another revision nor another cluster sees them."""
    for release, number in ((RELEASE, 1), (RELEASE, 2), (OTHER_REVISION, 1), (OTHER_CLUSTER, 1)):
        store.write(Write(attempt=attempt(release, number), looks=[(number, look(number, total=len(release[0])))]))
    assert store.looks(RELEASE, 1) == [look(1, total=0)]
    assert store.looks(RELEASE, 2) == [look(2, total=0)]
    assert store.looks(OTHER_CLUSTER, 1) == [look(1, total=4)]


def test_looks_without_an_attempt_are_refused(store):
    """Rows of nobody would never be found again."""
    with pytest.raises(ValueError, match="attempt"):
        store.write(Write(looks=[(0, look(0))]))


def test_forgotten_looks_can_be_written_anew(store):
    """Forgetting drops the rows of one attempt only, and leaves room for the rebuilt ones."""
    store.write(Write(attempt=attempt(), looks=[(0, look(0)), (1, look(1))]))
    store.write(Write(attempt=attempt(number=2), looks=[(0, look(0))]))
    store.forget_looks(RELEASE, 1)
    assert store.looks(RELEASE, 1) == []
    assert store.looks(RELEASE, 2) == [look(0)]
    store.write(Write(attempt=store.attempt(RELEASE, 1), looks=[(0, look(0, bad=7))]))
    assert store.looks(RELEASE, 1) == [look(0, bad=7)]


def test_attempts_are_listed_as_they_were_opened(store):
    """Every revision and attempt of one release, oldest first, and of no other release."""
    for release, number in ((RELEASE, 1), (OTHER_NAME, 1), (OTHER_REVISION, 1), (RELEASE, 2)):
        opened(store, release, number)
    store.write(Write(attempt=store.attempt(RELEASE, 1)))
    found = [(a["revision"], a["attempt"]) for a in store.attempts("shop", "checkout")]
    assert found == [(RELEASE[3], 1), (OTHER_REVISION[3], 1), (RELEASE[3], 2)]


def test_releases_are_listed_by_their_last_change(store):
    """The attempt that was written last comes first, and the limit cuts the oldest."""
    for release in (RELEASE, OTHER_REVISION, OTHER_NAME):
        opened(store, release)
    store.write(Write(attempt=store.attempt(RELEASE, 1)))
    found = [(a["name"], a["revision"]) for a in store.releases()]
    assert found == [RELEASE[2:], OTHER_NAME[2:], OTHER_REVISION[2:]]
    assert [a["name"] for a in store.releases(limit=1)] == ["checkout"]


def test_a_report_stays_as_it_was_first_written(store):
    """The same id is the same question: the second writer changes nothing."""
    store.write(Write(report=report("r_1", score=71.4)))
    store.write(Write(report=report("r_1", score=0.0)))
    assert store.report("r_1") == report("r_1", score=71.4)


def test_reports_are_listed_newest_first(store):
    """By release, by attempt, and cut at the limit."""
    store.write(Write(report=report("r_1")))
    store.write(Write(attempt=attempt(number=2), report=report("r_2", number=2)))
    store.write(Write(report=report("r_3", OTHER_REVISION)))
    store.write(Write(report=report("r_4")))
    assert [r["id"] for r in store.reports(RELEASE)] == ["r_4", "r_2", "r_1"]
    assert [r["id"] for r in store.reports(RELEASE, 1)] == ["r_4", "r_1"]
    assert [r["id"] for r in store.reports(RELEASE, limit=2)] == ["r_4", "r_2"]


def test_a_report_that_names_no_release_is_listed_under_its_attempt(store):
    """What the report leaves out is read from the attempt written with it; with neither, it is still kept."""
    store.write(Write(attempt=attempt(), report={"id": "r_1"}))
    store.write(Write(report={"id": "r_2", "release": None}))
    assert [r["id"] for r in store.reports(RELEASE, 1)] == ["r_1"]
    assert store.report("r_2") == {"id": "r_2", "release": None}


def test_old_reports_go_and_closing_ones_stay(store, clock):
    """After 90 days a report goes with the next write, unless it closed its attempt."""
    store.write(Write(report=report("r_old")))
    store.write(Write(report=report("r_promoted", phase="promoted")))
    store.write(Write(report=report("r_marked", closing=True)))
    clock.now += 89 * DAY
    store.write(Write(report=report("r_young")))
    assert store.report("r_old") is not None
    clock.now += 2 * DAY
    store.write(Write(report=report("r_new")))
    assert [r["id"] for r in store.reports(RELEASE)] == ["r_new", "r_young", "r_marked", "r_promoted"]


def test_overrides_are_only_ever_added(store):
    """Each release has its own list, oldest first; the same id twice is one word, the first."""
    words = [{"id": f"o_{n}", "namespace": "shop", "name": name, "verdict": "hold"}
             for n, name in enumerate(("checkout", "cart", "checkout"))]  # fmt: skip
    for word in words:
        store.add_override(word)
    store.add_override({**words[0], "verdict": "promote"})
    assert store.overrides("shop", "checkout") == [words[0], words[2]]
    assert store.overrides("shop", "cart") == [words[1]]


def gates(name="checkout", version=0, cluster="", **rest):
    return {"cluster": cluster, "namespace": "shop", "name": name, "version": version, **rest}


def test_gates_come_back_with_the_next_version(store):
    """Each canary of each cluster has its own, and its version counts the writes."""
    assert store.gates(("", "shop", "checkout")) is None
    store.write_gates(gates(doors={"rollout": "open"}))
    store.write_gates(gates(cluster="eu-1"))
    kept = store.gates(("", "shop", "checkout"))
    assert kept == gates(version=1, doors={"rollout": "open"})
    store.write_gates({**kept, "doors": {}})
    assert store.gates(("", "shop", "checkout")) == gates(version=2, doors={})
    assert store.gates(("eu-1", "shop", "checkout")) == gates(version=1, cluster="eu-1")


@pytest.mark.parametrize(
    ("existing", "claimed"),
    [
        pytest.param(0, 1, id="update of what is not there"),
        pytest.param(1, 0, id="new, but they exist"),
        pytest.param(3, 2, id="somebody wrote since they were read"),
    ],
)
def test_gates_of_a_wrong_version_are_not_written(store, existing, claimed):
    """A conflict leaves them as they were."""
    for version in range(existing):
        store.write_gates(gates(version=version))
    before = store.gates(("", "shop", "checkout"))
    with pytest.raises(StoreConflict, match=rf"version {existing}, not {claimed}"):
        store.write_gates(gates(version=claimed, mine=True))
    assert store.gates(("", "shop", "checkout")) == before


def test_gates_are_listed_by_their_last_change(store):
    """The canary whose gates moved last comes first, and the limit cuts the oldest."""
    for name in ("checkout", "cart", "search"):
        store.write_gates(gates(name))
    store.write_gates(gates("checkout", version=1))
    assert [found["name"] for found in store.all_gates()] == ["checkout", "search", "cart"]
    assert [found["name"] for found in store.all_gates(limit=1)] == ["checkout"]


def test_ping_returns_when_the_store_can_write(store):
    """A healthy store answers a probe, as often as it is asked."""
    store.ping()
    store.ping()


def test_a_closed_store_opens_again(store):
    """Closing lets go of connections, not of data."""
    opened(store)
    store.close()
    assert store.attempt(RELEASE, 1)["version"] == 1


def test_threads_lose_no_update(store):
    """Writers that read again after a conflict count to the exact sum."""
    opened(store, count=0)
    failures = []

    def add(times):
        done = 0
        while done < times:
            kept = store.attempt(RELEASE, 1)
            try:
                store.write(Write(attempt={**kept, "count": kept["count"] + 1}))
                done += 1
            except StoreConflict:
                continue
            except Exception as error:  # noqa: BLE001 - a thread's error must reach the test
                failures.append(error)
                return

    threads = [threading.Thread(target=add, args=(10,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert store.attempt(RELEASE, 1) == attempt(version=41, count=40)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
names = st.text(min_size=1, max_size=20)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names, names, names, names, st.integers(1, 9), json_values)
def test_any_name_and_any_document_come_back(store, cluster, namespace, name, revision, number, value):
    """Quotes, control characters, unicode: a name is a name, and no SQL."""
    release = (cluster, namespace, name, revision)
    kept = store.attempt(release, number)
    store.write(Write(attempt=attempt(release, number, version=kept["version"] if kept else 0, value=value)))
    assert store.attempt(release, number)["value"] == value
