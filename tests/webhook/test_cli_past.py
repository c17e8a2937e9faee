"""``weighbridge calibrate`` and ``weighbridge replay`` on hours of a real Prometheus that promtool filled."""

from __future__ import annotations

import json
import re

import pytest

from tests.prometheus_server import running
from tests.webhook import past_period as past
from webhook.cli import main

HEALTHY_END = past.RELEASE - 1800


@pytest.fixture(scope="module")
def prometheus():
    """A Prometheus with nine hours of three services."""
    with running(openmetrics=past.openmetrics()) as server:
        yield server


@pytest.fixture
def run(prometheus, capsys, tmp_path):
    """Run a command on that Prometheus; the value is exit code, standard output, standard error."""
    policy = tmp_path / "shop.yaml"
    policy.write_text(past.POLICY)

    def call(command, *arguments):
        words = [
            command, "--prometheus", prometheus.url, "--policy", str(policy), "--namespace", "shop",
            "--stable-revision", past.STABLE, *map(str, arguments),
        ]  # fmt: skip
        code = main(words, {"HOME": str(tmp_path)})
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def calibrated(run, name, *arguments):
    """Return exit code and document of placebos over the hours before the release."""
    window = ("--start", past.BEGIN + 3600, "--end", HEALTHY_END)
    code, out, _ = run("calibrate", "--name", name, *window, "--every", "10m", "--json", *arguments)
    return code, json.loads(out)


def promise(document, name):
    """Return one row of the promises."""
    return next(row for row in document["promises"] if row["name"] == name)


def test_placebos_of_alike_replicas_are_promoted(run):
    """Seven hours of six equal pods: nothing is aborted or frozen, and what was promised is not contradicted."""
    code, found = calibrated(run, "fair")
    assert (code, found["broken"]) == (0, False)
    assert len(found["placebos"]) == found["windows"] == 7
    assert {one["outcome"] for one in found["placebos"]} == {"promoted"}
    assert len({one["canary"][0] for one in found["placebos"]}) > 1
    assert promise(found, "aborted") == {
        "name": "aborted", "promised": 0.001, "happened": 0, "of": 7, "low": 0.0,
        "high": pytest.approx(1 - 0.001 ** (1 / 7)), "verdict": "not contradicted",
        "log_e": pytest.approx(-0.6, abs=0.5),
    }  # fmt: skip


def test_a_replica_that_fails_more_breaks_the_promise(run):
    """Each pod in turn plays the canary: the bad one is aborted whenever it is its turn, and that is told."""
    code, found = calibrated(run, "loud", "--per-window", 6)
    assert (code, found["broken"]) == (1, True)
    aborted = [one for one in found["placebos"] if one["outcome"] == "aborted"]
    assert {one["canary"][0] for one in aborted} == {f"loud-{past.STABLE}-{past.SUFFIXES[2]}"}
    assert len(aborted) == 7
    assert promise(found, "aborted")["verdict"] == "broken"
    assert promise(found, "aborted")["log_e"] > 6.9


def test_calibration_is_told_as_text(run):
    """Promises, what happened and its bounds, in lines that fit a terminal; the same seed gives the same text."""
    window = ("--start", past.BEGIN + 3600, "--end", past.BEGIN + 3 * 3600)
    code, out, _ = run("calibrate", "--name", "fair", *window, "--seed", 3)
    assert code == 0
    assert out.startswith("shop@")
    assert "aborted 0.1 % at most 0 of 2 (0.0 %) 0.0 % to 96.8 % not contradicted" in " ".join(out.split())
    assert "promoted after" in out
    assert all(len(line) <= 100 for line in out.splitlines())
    assert run("calibrate", "--name", "fair", *window, "--seed", 3)[1] == out


def test_another_seed_chooses_other_replicas(run):
    """The replicas that play the canary are drawn, not fixed."""
    chosen = {tuple(one["canary"][0] for one in calibrated(run, "fair", "--seed", s)[1]["placebos"]) for s in (1, 2)}
    assert len(chosen) == 2


@pytest.mark.parametrize(
    ("name", "start", "reason"),
    [
        pytest.param("small", past.BEGIN + 3600, "2 stable replicas were there all along, 3 are needed", id="few pods"),
        pytest.param("nobody", past.BEGIN + 3600, "no data yet", id="no such service"),
    ],
)
def test_a_window_without_placebo_says_why(run, name, start, reason):
    """Nothing is counted where there was nothing to compare, and the command does not end with a verdict."""
    code, out, _ = run("calibrate", "--name", name, "--start", start, "--end", start + 3600)
    assert code == 69
    assert f"without placebo: 1 of 1 windows: {reason}" in " ".join(out.split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(("--replicas", "0"), "--replicas: must be at least 1, got 0", id="no replica"),
        pytest.param(("--length", "x"), "--length: must be a positive duration", id="no duration"),
        pytest.param(("--every", "2h"), "--every: must not be longer than a release of 1h", id="too seldom"),
        pytest.param(("--start", str(past.BEGIN), "--end", str(past.BEGIN + 60)), "windows of 1h must fit", id="short"),
        pytest.param(("--start", "2999-01-01T00:00:00Z"), "--start: must lie before --end", id="future"),
    ],
)
def test_wrong_options_are_one_line(run, arguments, said):
    """Place, rule and value, and an exit code that is no verdict."""
    code, out, err = run("calibrate", "--name", "fair", *arguments)
    assert code == 64
    assert out == ""
    assert said in err


def test_without_a_source_there_is_no_past(capsys, tmp_path):
    """The commands say what they need."""
    assert main(["calibrate"], {"HOME": str(tmp_path)}) == 64
    assert "--prometheus: is needed" in capsys.readouterr().err


def test_a_policy_may_be_named_or_found(run, prometheus, tmp_path, capsys):
    """By its name in a folder of policies, or because it matches the release."""
    (tmp_path / "policies").mkdir()
    text = past.POLICY + "match: [{namespace: shop, name: fair}]\n"
    (tmp_path / "policies" / "shop.yaml").write_text(text.replace("name: shop\n", "name: ours\n", 1))
    words = [
        "calibrate", "--prometheus", prometheus.url, "--policies", str(tmp_path / "policies"), "--namespace", "shop",
        "--name", "fair", "--stable-revision", past.STABLE, "--start", str(past.BEGIN + 3600),
        "--end", str(past.BEGIN + 7200), "--every", "30m",
    ]  # fmt: skip
    for named in ([], ["--policy", "ours"]):
        assert main([*words, *named], {"HOME": str(tmp_path)}) == 0
        assert capsys.readouterr().out.startswith("ours@")


# ------------------------------------------------------------------------------------------------ replay


def replayed(run, *arguments):
    """Return exit code, standard output and error of the release of ``fair`` judged again."""
    window = ("--start", past.RELEASE, "--end", past.END)
    return run("replay", "--name", "fair", "--revision", past.CANARY, *window, *arguments)


def test_a_past_release_is_judged_look_by_look(run):
    """A canary with four times the errors would have been held, then aborted within minutes, and stays so."""
    code, out, _ = replayed(run, "--json")
    document = json.loads(out)
    verdicts = [one["verdict"] for one in document["history"]]
    first = verdicts.index("abort")
    assert code == 2
    assert set(verdicts[:first]) <= {"hold"}
    assert set(verdicts[first:]) == {"abort"}
    assert 0 < first < 10
    assert len(verdicts) == 1800 // 30 - 1
    assert document["report"]["verdict"] == "abort"
    assert document["report"]["detail"]["evidence"][0]["noise"]["source"] == "history"


def test_the_history_and_the_report_are_text(run):
    """The lines where something changed, then the report as it is explained everywhere."""
    code, out, _ = replayed(run)
    head, _, report = out.partition("\n\n")
    assert code == 2
    assert head.splitlines()[0].startswith("59 verdicts from ")
    assert " ABORT " in head
    assert len(head.splitlines()) < 12
    assert all(len(line) <= 100 for line in head.splitlines())
    assert "THE SAME AGAIN" not in report
    assert report.startswith("ABORT")
    assert "QUERIES" in report
    every = replayed(run, "--all")[1].partition("\n\n")[0]
    assert len(re.findall(r"^  \d\d:\d\d:\d\d  \+", every, re.MULTILINE)) == 59


def test_asking_less_often_shows_fewer_verdicts_and_the_same_end(run):
    """A verdict is a function of the record: how often it is asked changes nothing."""
    often, seldom = (json.loads(replayed(run, "--json", *options)[1]) for options in ((), ("--every", "5m")))
    assert len(seldom["history"]) == 6
    assert seldom["history"][-1] == often["history"][-1]
    assert all(one in often["history"] for one in seldom["history"])


def test_sides_can_be_named_by_hand(run):
    """Selectors on the command line replace those of the policy: one stable pod against the others is promoted."""
    code, out, _ = run(
        "replay", "--start", past.BEGIN + 3600, "--end", past.BEGIN + 2 * 3600, "--stage", "final", "--json",
        "--baseline", f'pod=~"fair-{past.STABLE}-[cmrz].*"', "--canary", f'pod=~"fair-{past.STABLE}-[49].*"',
    )  # fmt: skip
    document = json.loads(out)
    assert code == 0
    assert document["report"]["verdict"] == "promote"
    assert "[49]" in document["report"]["detail"]["queries"][0]["expr"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(("--end", "2999-01-01T00:00:00Z"), "--end: must not lie in the future", id="future"),
        pytest.param(("--every", "soon"), "--every: must be a positive duration", id="no duration"),
        pytest.param(("--next-weight", "2"), "--next-weight", id="no share"),
    ],
)
def test_wrong_options_of_a_replay_are_one_line(run, arguments, said):
    """Place, rule and value."""
    code, out, err = replayed(run, *arguments)
    assert code in (64, 65)
    assert out == ""
    assert said in err


def test_a_window_without_a_canary_is_no_verdict(run):
    """What the selectors matched nothing of is an error, not a hold."""
    code, out, err = run("replay", "--name", "fair", "--start", past.BEGIN, "--end", past.BEGIN + 600)
    assert code == 65
    assert out == ""
    assert "a selector uses $canary, which is empty" in err
