"""A verdict is a function of the record: cadence, process, restart and a wiped record change nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from analysis.judge import judge
from analysis.types import Stage
from tests.scenarios.asked import NEW, TO, Held, answers, ask, world
from tests.scenarios.drivers import begun, canary, rollout
from tests.scenarios.policies import weighed
from tests.scenarios.world import T0, split
from webhook.schema.record import read_record

ROOT = Path(__file__).parents[2]
KEY = ("", "shop", "web", NEW)


def same(one, other, least=5):
    """Assert that the answers that two runs have in common are equal: verdicts, ids, and log e to 1e-9."""
    shared = sorted(set(one) & set(other), key=float)
    assert len(shared) >= least
    for second in shared:
        mine, theirs = one[second], other[second]
        assert (mine["verdict"], mine["id"], mine["window"]) == (theirs["verdict"], theirs["id"], theirs["window"])
        assert mine["log_e"].keys() == theirs["log_e"].keys()
        for name, value in mine["log_e"].items():
            assert value == pytest.approx(theirs["log_e"][name], abs=1e-9), (second, name)


@pytest.fixture(scope="module")
def every_second():
    """Return the answers of a service that is asked every second."""
    return answers(world(), 1.0)


def test_the_runs_say_something(every_second):
    """The release that all these tests weigh is undecided at first and decided in the end."""
    verdicts = [every_second[f"{second:.0f}"]["verdict"] for second in np.arange(0, TO + 1)]
    assert verdicts[0] == "hold"
    assert len(set(verdicts)) > 1


@pytest.mark.parametrize("cadence", [7.0, 60.0])
def test_cadence_changes_nothing(every_second, cadence):
    """Asked every 7 s or once a minute: what is answered at one time is what is answered every second."""
    same(every_second, answers(world(), cadence))


def test_cadence_changes_no_abort():
    """A bad release is aborted at the first look that proves it, by whoever asks next."""
    dense, sparse = answers(world(factor=3.0), 1.0), answers(world(factor=3.0), 7.0)
    same(dense, sparse, least=3)
    last, later = max(map(float, dense)), max(map(float, sparse))
    assert dense[f"{last:.0f}"]["verdict"] == sparse[f"{later:.0f}"]["verdict"] == "abort"
    assert last <= later < last + 7


def test_another_process_says_the_same(every_second):
    """A process of its own, with other hash seeds, an empty store and another cadence."""
    command = [sys.executable, "-m", "tests.scenarios.asked", "60"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=100)
    same(every_second, json.loads(done.stdout))


def test_two_services_on_one_store_say_the_same(every_second):
    """Asked in turns, each goes on where the other stopped."""
    made = world()
    first = made.client
    made.restart()
    second = made.client
    found = {}
    for number, at in enumerate(np.arange(0, TO + 1, 10.0)):
        made.client = (first, second)[number % 2]
        made.clock.now = T0 + at
        said = ask(made)
        found[f"{at:.0f}"] = {**every_second[f"{at:.0f}"], "id": said["id"], "verdict": said["verdict"]}
    same(every_second, found)


@pytest.mark.parametrize("wiped", ["looks", "everything"])
def test_a_wiped_record_is_rebuilt(every_second, wiped):
    """Dropped before every question, or with the whole store, the record is read again: same numbers, same ids."""
    made = world()
    found = {}
    for at in np.arange(0, TO + 1, 30.0):
        made.clock.now = T0 + at
        if wiped == "looks":
            made.store.forget_looks(KEY, 1)
        else:
            made.store.kept = type(made.store.kept)(clock=lambda: made.clock.now)
        said = ask(made)
        evidence = made.get(f"/v1/reports/{said['id']}")["detail"]["evidence"]
        found[f"{at:.0f}"] = {
            "id": said["id"], "verdict": said["verdict"], "window": said["window"],
            "log_e": evidence[0]["log_e"] if evidence else {},
        }  # fmt: skip
    same(every_second, found)


def test_the_same_question_has_the_same_id():
    """However often: the whole answer is the same text."""
    made = world()
    made.clock.now = T0 + 200
    first = ask(made)
    assert all(ask(made) == first for _ in range(5))
    made.clock.now += 3
    assert ask(made)["id"] == first["id"]


def test_another_question_has_another_id():
    """Stage, next weight, policy and time are part of the question."""
    made = world()
    made.clock.now = T0 + 200
    release = {"namespace": "shop", "name": "web", "revision": NEW, "stable_revision": "6c54bd4f4b", "step": "1"}
    several = [
        ask(made),
        ask(made, stage="final"),
        ask(made, release={**release, "next_weight": 0.2}),
        ask(made, policy=weighed(name="other")),
        ask(made, at="2023-11-14T22:15:00Z"),
    ]
    assert len({said["id"] for said in several}) == len(several)


def test_no_data_yet_is_not_the_report_of_the_look_that_ends_then():
    """A source that answers late: what was said before is not taken for what was weighed after."""
    made = world()
    made.clock.now = T0 + 40
    made.follow(None)
    early = ask(made)
    assert "no canary data" in early["reason"]
    made.follow(Held)
    made.written = made.before
    made.clock.now = T0 + 50
    late = ask(made)
    assert late["window"]["end"] == early["window"]["end"]
    assert late["id"] != early["id"]


def test_a_past_verdict_is_recomputed(every_second):
    """``at`` gives what was said then, asked for long after, with the same id."""
    made = world()
    made.clock.now = T0 + TO
    ask(made)
    for second in (60, 120, 180):
        said = ask(made, at=T0 + second)
        then = every_second[str(second)]
        assert (said["verdict"], said["id"], said["window"]) == (then["verdict"], then["id"], then["window"])


@pytest.mark.parametrize("second", [60, 240])
def test_an_exported_record_gives_the_same_report(second):
    """Written to JSON and judged offline: verdict, reason, window and every log e are those of the service."""
    made = world()
    made.clock.now = T0 + second
    said = ask(made)
    exported = json.loads(json.dumps(made.get(f"/v1/reports/{said['id']}/record")))
    read = read_record(exported)
    again = judge(read.policy, read.record, float(read.record.ends[-1]), stage=Stage.STEP)
    report = made.get(f"/v1/reports/{said['id']}")
    assert (again.verdict.value, again.reason) == (said["verdict"], said["reason"])
    for mine, theirs in zip(again.evidence, report["detail"]["evidence"], strict=True):
        assert mine.state.value == theirs["state"]
        for name, value in mine.log_e.items():
            assert value is None or value == pytest.approx(theirs["log_e"][name], abs=1e-12)


@pytest.mark.parametrize("drive", ["argo", "flagger"])
def test_every_report_of_a_rollout_can_be_judged_again(build, drive):
    """From its exported record alone, at every step of a whole rollout, steps that were told included."""
    made = build(split(), default="two-minutes")
    model = rollout(made).update(NEW) if drive == "argo" else begun(canary(made))
    model.run(T0 + 400)
    checked = 0
    for short in made.release()["reports"][::3]:
        report = made.get(f"/v1/reports/{short['id']}")
        if not report["detail"]["evidence"]:
            continue
        read = read_record(made.get(f"/v1/reports/{short['id']}/record"))
        at = float(read.record.ends[-1])
        again = judge(read.policy, read.record, at, stage=Stage(report["release"]["stage"]))
        assert (again.verdict.value, again.reason) == (report["would"], report["reason"])
        checked += 1
    assert checked > 8


def test_a_time_to_come_closes_no_look(every_second):
    """``at`` in the future is answered as of now, and takes no look from those who ask in time."""
    made = world()
    made.clock.now = T0 + 120
    ahead = ask(made, at=T0 + 600)
    assert (ahead["id"], ahead["window"]) == (every_second["120"]["id"], every_second["120"]["window"])
    made.clock.now = T0 + 180
    then = every_second["180"]
    said = ask(made)
    assert (said["verdict"], said["id"], said["window"]) == (then["verdict"], then["id"], then["window"])


def test_a_question_about_the_past_does_not_move_the_release():
    """What is recomputed leaves phase and history as they are, and opens nothing."""
    made = world()
    made.clock.now = T0 + 240
    ask(made, at=T0 + 120, stage="final")
    assert made.get("/v1/releases")["releases"] == []
    ask(made)
    before = made.release()
    ask(made, at=T0 + 120, stage="final")
    after = made.release()
    assert {name: after[name] for name in after if name != "reports"} == {
        name: before[name] for name in before if name != "reports"
    }
