"""The demonstration: the verdicts are the service's, on a terminal and on the first page of an empty service."""

from __future__ import annotations

import functools
import io
import itertools
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from webhook.app import create_app
from webhook.commands.serve import plays_demonstration
from webhook.demo import rollout as rollouts
from webhook.demo import serving
from webhook.demo.progress import Progress, line
from webhook.demo.rollout import NAMES, NAMESPACE, WEIGHTS, Demonstration, Event
from webhook.ports import Write
from webhook.settings import Settings
from webhook.stores.memory import MemoryStore

ROOT = Path(__file__).parents[2]
START = 1_760_000_400.0
SEED = 3


def play(**options):
    """Play a demonstration without a network; return it and its events."""
    demonstration = Demonstration.beginning(START, **{"seed": SEED, **options})
    application = create_app(Settings(), sources=demonstration.sources(), clock=demonstration.clock)
    events = list(demonstration.play(serving.InProcess(application), lambda: None))
    return demonstration, events


@functools.cache
def played(seed=SEED, swap=False):
    """Return a demonstration that was played once for all tests that only look at it."""
    return play(seed=seed, swap=swap)


def outcomes(demonstration):
    """Return how each release ended."""
    return {rollout.traffic.name: rollout.ended for rollout in demonstration.rollouts}


@pytest.mark.parametrize("swap", [False, True], ids=["as it is", "swapped"])
@pytest.mark.parametrize("seed", [SEED, 4], ids="seed {}".format)
def test_the_bad_release_is_aborted_and_the_good_one_promoted(seed, swap):
    """Swapping the two swaps what becomes of them."""
    demonstration, _ = played(seed=seed, swap=swap)
    good, bad = NAMES[::-1] if swap else NAMES
    assert outcomes(demonstration) == {good: "promoted", bad: "aborted"}


@pytest.mark.parametrize(
    ("harms", "forbidden"),
    [
        pytest.param((1.0, 1.0), "aborted", id="two good ones"),
        pytest.param((3.0, 3.0), "promoted", id="two bad ones"),
    ],
)
def test_nothing_is_scripted(monkeypatch, harms, forbidden):
    """Two equal releases get equal ends: the verdicts follow the numbers, not the names."""
    monkeypatch.setattr(rollouts, "HARMS", harms)
    demonstration, _ = play()
    assert forbidden not in outcomes(demonstration).values()
    assert set(outcomes(demonstration).values()) == {{"aborted": "promoted", "promoted": "aborted"}[forbidden]}


def test_a_step_follows_a_promote_and_nothing_else():
    """The weight rises only after the service said promote, and falls only after it said abort."""
    _, events = played()
    for name in NAMES:
        mine = [event for event in events if event.name == name]
        for before, after in itertools.pairwise(mine):
            moved = WEIGHTS.index(after.weight) - WEIGHTS.index(before.weight)
            assert moved == (1 if before.verdict == "promote" else 0)
        assert {event.verdict for event in mine[:-1]} <= {"hold", "promote"}
        assert mine[-1].verdict in ("promote", "abort")


def test_a_seed_gives_the_same_demonstration():
    """What was seen once can be seen again."""
    assert [rollouts.event_document(e) for e in played()[1]] == [rollouts.event_document(e) for e in play()[1]]


def test_everything_is_marked_as_a_demonstration():
    """Nobody takes a simulated release for one of theirs."""
    demonstration = Demonstration.beginning(START, seed=SEED)
    store = MemoryStore()
    application = create_app(Settings(), store=store, sources=demonstration.sources(), clock=demonstration.clock)
    list(demonstration.play(serving.InProcess(application), lambda: None))
    assert {release["namespace"] for release in store.releases()} == {NAMESPACE}
    page = application.test_client().get("/", headers={"Accept": "text/html"}).get_data(as_text=True)
    assert NAMESPACE in page
    report = store.report(demonstration.rollouts[0].last.report)
    assert "simulated release" in report["detail"]["annotation"]


# the terminal

EVENT = Event(
    name="checkout",
    seconds=130.0,
    weight=0.25,
    verdict="hold",
    reason="r",
    report="r_1",
    evidence={
        "counts": {"canary": {"bad": 9, "total": 1677, "rate": 9 / 1677}, "baseline": {"rate": 0.0094}},
        "log_e": {"worse": -1.0, "step": 5.6},
    },
)


def test_a_line_tells_weight_counts_odds_and_verdict():
    """One line is the whole state of a release."""
    told = "checkout 2:10 [#####...............] 25 % 9/1,677 = 0.54 % vs 0.94 % step 270 : 1 HOLD"
    assert " ".join(line(EVENT).split()) == told


def test_without_a_terminal_every_answer_is_a_line():
    """A log or a pipe gets plain lines."""
    stream = io.StringIO()
    progress = Progress(stream, ("checkout",))
    progress.show(EVENT)
    progress.show(EVENT)
    assert stream.getvalue() == f"{line(EVENT)}\n" * 2


def test_on_a_terminal_lines_change_in_place():
    """The second drawing goes back over the first."""

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    stream = Terminal()
    progress = Progress(stream, ("checkout", "search"))
    progress.show(EVENT)
    progress.show(EVENT)
    assert stream.getvalue().count("\x1b[2A") == 1
    assert stream.getvalue().count(line(EVENT)) == 2


def command(*arguments):
    """Run ``weighbridge demo`` as a process, as fast as it can."""
    return subprocess.run(
        [sys.executable, "-m", "webhook.cli", "demo", "--seconds", "0", "--seed", str(SEED), *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": str(ROOT / "absent")},
        capture_output=True,
        text=True,
        timeout=100,
    )


def test_the_command_judges_over_http_and_swapping_swaps_its_output():
    """The real command ends with one promotion and one abort, and ``--swap`` exchanges them."""
    plain, swapped = command("--json"), command("--json", "--swap")
    assert (plain.returncode, plain.stderr, swapped.returncode) == (0, "", 0)
    found = [
        {release["name"]: (release["outcome"], release["report"]["verdict"]) for release in json.loads(out)["releases"]}
        for out in (plain.stdout, swapped.stdout)
    ]
    assert found[0] == {"checkout": ("promoted", "promote"), "search": ("aborted", "abort")}
    assert found[1] == {"checkout": ("aborted", "abort"), "search": ("promoted", "promote")}


def test_the_command_ends_with_both_explanations():
    """Progress comes first, then the report of each release as curl would show it, then how both ended."""
    done = command()
    assert done.returncode == 0
    progress, *explanations, ends = done.stdout.split("=" * 100)
    assert "HOLD\n" in progress
    assert [text.split()[0] for text in explanations] == ["PROMOTE", "ABORT"]
    assert all("HISTORY" in text and "QUERIES" not in text for text in explanations)
    assert not any("record.json" in text for text in explanations)
    assert re.fullmatch(
        r"\n\ncheckout: promoted at \d+% of the traffic\nsearch: aborted at \d+% of the traffic\n", ends
    )


# the first page


@pytest.mark.parametrize(
    ("changes", "plays"),
    [
        pytest.param({}, True, id="nothing configured"),
        pytest.param({"prometheus": "http://127.0.0.1:9090"}, False, id="a source"),
        pytest.param({"policies": Path("policies")}, False, id="policies"),
        pytest.param({"tokens_file": Path("tokens.yaml")}, False, id="tokens"),
        pytest.param({"listen": "0.0.0.0:8080", "no_auth": True}, False, id="open to others"),
        pytest.param({"workers": 2, "store": "sqlite:x.db"}, False, id="several workers"),
    ],
)
def test_it_plays_only_where_nothing_is_configured(changes, plays):
    """Who configured anything sees only their own releases."""
    assert plays_demonstration(Settings(**changes)) is plays


@pytest.fixture
def quick(monkeypatch):
    """Play without pauses."""
    monkeypatch.setattr(serving, "TICK_WALL_S", 0.0)


def test_it_fills_an_empty_store(quick):
    """Both releases end, in a time that has passed, and the service that callers ask knows nothing of their source."""
    store = MemoryStore()
    serving._play(Settings(), store)
    assert {r["name"]: r["phase"] for r in store.releases()} == {"checkout": "promoted", "search": "aborted"}
    assert all(r["ended_at"] < time.time() for r in store.releases())


def test_it_leaves_a_store_with_releases_alone(quick):
    """The page is not empty any more, so nothing is simulated."""
    store = MemoryStore()
    mine = {"cluster": "", "namespace": "shop", "name": "a", "revision": "r", "attempt": 1, "version": 0}
    store.write(Write(attempt=mine | {"phase": "held", "last_report": ""}))
    serving._play(Settings(), store)
    assert {r["namespace"] for r in store.releases()} == {"shop"}
