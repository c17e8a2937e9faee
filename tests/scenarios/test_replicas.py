"""Replicas of the service on one Redis: whoever is asked says the same, and one that dies takes nothing with it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.redis_server import running
from tests.scenarios.asked import NEW, TO, world
from tests.scenarios.turns import answer, replica
from tests.scenarios.world import T0

ROOT = Path(__file__).parents[2]
TIMES = range(0, int(TO) + 1, 20)
KEY = ("", "shop", "web", NEW)
REVISION = {"revision": NEW}


@pytest.fixture(scope="module")
def shared():
    with running() as server:
        yield server


@pytest.fixture
def server(shared):
    shared.client.flushall()
    return shared


@pytest.fixture(scope="module")
def alone():
    """Return the answers of one service that nobody kills, by time, and what it has kept in the end."""
    made = world()
    return {second: answer(made, second) for second in TIMES}, kept(made)


def kept(made):
    """Return all looks, and every report without the time that it took."""
    reports = {}
    for report in made.store.reports(KEY, limit=1000):
        detail = {name: value for name, value in report["detail"].items() if name != "timing"}
        reports[report["id"]] = {**report, "detail": detail}
    return made.store.looks(KEY, 1), reports


class Process:
    """A replica that is a process of its own."""

    def __init__(self, url):
        self.url = url
        self.process = None

    def start(self):
        command = [sys.executable, "-m", "tests.scenarios.turns", self.url]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        assert self.process.stdout.readline() == "ready\n"

    def ask(self, second):
        self.process.stdin.write(f"{second}\n")

    def hear(self):
        return self.process.stdout.readline().strip()

    def kill(self):
        self.process.kill()
        self.process.communicate()


@contextmanager
def processes(url, number):
    made = [Process(url) for _ in range(number)]
    try:
        for one in made:
            one.start()
        yield made
    finally:
        for one in made:
            one.kill()


@pytest.mark.timeout(300)
def test_a_replica_killed_in_mid_release_changes_no_verdict(server, alone):
    """Killed again and again while it works one out, the other answers instead: ids and bytes of an unkilled run."""
    expected, looks_and_reports = alone
    with processes(server.url, 2) as (one, other):
        begun = time.monotonic()
        one.ask(0)
        assert one.hear() == expected[0]
        takes = time.monotonic() - begun
        for number, second in enumerate(TIMES[1:]):
            asked, second_best = (one, other) if number % 2 else (other, one)
            asked.ask(second)
            if number % 4 == 1:
                # At a different moment of its work each time: before it has read, before and after it has written.
                time.sleep(takes * number / len(TIMES))
                asked.kill()
                second_best.ask(second)
                assert second_best.hear() == expected[second]
                asked.start()
            else:
                assert asked.hear() == expected[second]
    assert kept(replica(server.url)) == looks_and_reports


def test_replicas_asked_at_the_same_moment_say_the_same(server, alone):
    """Of two writers of one look one works its verdict out again; both answer with the same bytes."""
    expected, looks_and_reports = alone
    several = [replica(server.url) for _ in range(2)]
    with ThreadPoolExecutor(len(several)) as pool:
        for second in TIMES[::2]:
            said = list(pool.map(lambda made, at=second: answer(made, at), several))
            assert set(said) == {expected[second]}
    looks, reports = kept(several[0])
    assert looks == looks_and_reports[0]
    assert len(reports) == len(TIMES[::2])
    for name, report in reports.items():
        # What was read and told in between belongs to those who asked in between; what was found does not.
        assert report["detail"]["evidence"] == looks_and_reports[1][name]["detail"]["evidence"]


def test_a_wiped_redis_is_filled_from_the_source(server, alone):
    """Everything that was kept is gone in mid-release: looks and verdicts are the same again."""
    expected, _ = alone
    made = replica(server.url)
    for second in TIMES:
        if second in (60, 160):
            server.client.flushall()
        assert answer(made, second) == expected[second]


def test_what_a_person_says_to_one_the_other_obeys(server):
    """An override is in force at once on every replica, runs out at the same second, and stands in one history."""
    one, other = replica(server.url, factor=3.0), replica(server.url, factor=3.0)
    answer(one, 10)
    one.override("web", "hold", expires_in="60s", **REVISION)
    held = json.loads(answer(other, 20))
    assert (held["verdict"], held["reason"]) == ("hold", "override by ada: seen on the dashboard")
    other.override("web", "promote", expires_in="20s", **REVISION)
    assert json.loads(answer(one, 30))["verdict"] == "promote"
    assert "override" in json.loads(answer(one, 39))["reason"]
    # The newer word has run out, the older one stands again until its own end.
    assert "override" in json.loads(answer(other, 45))["reason"]
    weighed = json.loads(answer(other, 100))
    assert weighed["verdict"] == "abort"
    assert "override" not in weighed["reason"]
    assert one.release() == other.release()
    assert [word["verdict"] for word in one.release()["overrides"]] == ["hold", "promote"]
    actions = {line["action"] for line in one.release()["history"]}
    assert {"override: hold", "override: promote", "abort"} <= actions


def test_a_retry_said_to_one_opens_an_attempt_at_the_other(server):
    """The word ends the attempt for every replica."""
    one, other = replica(server.url, factor=3.0), replica(server.url, factor=3.0)
    for second in TIMES:
        said = json.loads(answer(one, second))
        if said["verdict"] == "abort":
            break
    assert (said["verdict"], said["release"]["attempt"]) == ("abort", 1)
    one.clock.now = T0 + second + 30
    one.override("web", "retry", **REVISION)
    again = json.loads(answer(other, second + 40))
    assert again["release"]["attempt"] == 2


def test_gates_are_one_for_all_replicas(server):
    """Opened at one, passed once at another, closed for all."""
    one, other = replica(server.url), replica(server.url)
    body = {"name": "web", "namespace": "shop"}

    def send(made, path):
        status, _, content = made.call("POST", f"http://weighbridge.test{path}", body)
        return status, content.decode()

    assert send(one, "/gate/check") == (403, "Forbidden")
    assert send(one, "/gate/open?once=true&actor=Ann") == (202, "")
    with ThreadPoolExecutor(2) as pool:
        passing = list(pool.map(lambda made: send(made, "/gate/check"), (one, other)))
    assert sorted(passing) == [(200, "Approved"), (403, "Forbidden")]
    assert send(other, "/rollback/open") == (202, "")
    assert send(one, "/rollback/check") == (200, "Approved")
    assert one.get("/v1/gates") == other.get("/v1/gates")
