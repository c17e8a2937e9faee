"""``weighbridge simulate``: what a policy would do, as a table and as JSON, the same for the same seed."""

from __future__ import annotations

import json

import pytest

from webhook.cli import main

POLICY = """
apiVersion: weighbridge/v1
name: checkout
questions:
  - {name: error-rate, kind: proportion, bad: 'h{$side, code=~"5.."}', total: 'h{$side}', weight: critical}
"""
QUICK = ("--rps", "200", "--releases", "12", "--effect", "1,3", "--duration", "1h", "--history", "1h")


@pytest.fixture
def run(capsys, tmp_path):
    """Run the command on a policy file; the value is exit code, standard output, standard error."""
    (tmp_path / "checkout.yaml").write_text(POLICY)

    def call(*arguments, policy=str(tmp_path / "checkout.yaml")):
        code = main(["simulate", policy, *map(str, arguments)], {"HOME": str(tmp_path)})
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def test_the_table_says_what_would_happen(run):
    """One line for each harm, and what it comes to, within 100 columns."""
    code, out, err = run(*QUICK)
    assert (code, err) == (0, "")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert any(line.startswith("healthy 100 % 0 % 0 %") for line in lines)
    assert any(line.startswith("3x 0 % 100 % 0 % –") for line in lines)
    assert "false aborts: 0 of 12, credible are 0.0 % to 43.8 %; the policy promises 0.1 % at most" in lines
    assert "smallest harm that is aborted in at least 80 % of releases: 3x" in lines
    assert all(len(line) <= 100 for line in out.splitlines())


def test_the_same_seed_is_the_same_answer(run):
    """And another seed is another one."""
    first, again, other = (run(*QUICK, "--json", "--seed", seed)[1] for seed in (1, 1, 2))
    assert first == again
    assert json.loads(first)["effects"] != json.loads(other)["effects"]


def test_everything_is_in_the_document(run):
    """World, effects, and what follows for healthy releases."""
    document = json.loads(run(*QUICK, "--output", "json", "--pods", 6, "--weight", "0.1", "--weight", "0.4")[1])
    assert document["world"]["weights"] == [0.1, 0.4]
    assert document["world"]["pods"] == 6
    assert [row["effect"] for row in document["effects"]] == [1, 3]
    assert document["effects"][0] | {"seconds_to_promote": 0} == {
        "effect": 1.0, "releases": 12, "promoted": 1.0, "aborted": 0.0, "held": 0.0, "frozen": 0.0,
        "seconds_to_promote": 0, "seconds_to_abort": None, "extra_bad_events": 0.0,
    }  # fmt: skip
    assert document["healthy"]["without_a_human"] == 1.0
    assert document["healthy"]["promised_aborts"] == 0.001
    assert document["smallest_effect"] == {"aborted": 3.0, "stopped": 3.0}


def test_a_preset_is_played_through_the_service(run):
    """It also asks for durations, which are invented as well."""
    options = ("--rps", 100, "--releases", 1, "--effect", "1", "--look", "2m", "--duration", "80m", "--history", "1h")
    code, out, _ = run(*options, "--json", policy="http_requests_total")
    document = json.loads(out)
    assert code == 0
    assert document["question"] == "error-rate"
    assert document["effects"][0]["releases"] == 1
    assert document["left_out"] == []


def test_selectors_are_those_of_the_invented_service(run, tmp_path):
    """A policy for pods of a mesh that are told apart by nothing is simulated all the same, and that is said."""
    path = tmp_path / "mesh.yaml"
    path.write_text(POLICY + "select: {baseline: 'app=\"$service\"', canary: 'app=\"$route\"', replica: []}\n")
    document = json.loads(run(*QUICK, "--json", policy=str(path))[1])
    assert document["left_out"] == ["error-rate: that its replicas are hidden, they are visible here"]
    assert document["effects"][0]["promoted"] == 1.0


def test_longer_steps_take_longer(run):
    """``--step-time`` bounds every step from below."""
    quick, slow = (
        json.loads(run(*QUICK, "--json", "--step-time", time)[1])["effects"][0]["seconds_to_promote"]
        for time in ("1m", "10m")
    )
    assert slow >= 4 * 600 > quick


@pytest.mark.parametrize(
    ("options", "hours"),
    [
        pytest.param((), 24, id="all that the policy reads"),
        pytest.param(("--history", "2h"), 2, id="a younger service"),
        pytest.param(("--history", "90h"), 24, id="an older one"),
    ],
)
def test_noise_is_learned_from_as_long_as_the_policy_reads(run, tmp_path, options, hours):
    """``noise.history`` of the policy, or less where stable did not run so long."""
    path = tmp_path / "quiet.yaml"
    path.write_text(POLICY + "noise: {history: 24h}\n")
    quick = ("--rps", 200, "--releases", 1, "--effect", "1", "--duration", "1h")
    assert json.loads(run(*quick, *options, "--json", policy=str(path))[1])["world"]["history_seconds"] == hours * 3600


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(("--rps", "0"), "--rps: is out of its range", id="no traffic"),
        pytest.param(("--rps", "1", "--effect", "0.5"), "--effect: must be at least 1", id="no harm"),
        pytest.param(("--rps", "1", "--effect", "a,b"), "--effect: must be numbers", id="no numbers"),
        pytest.param(("--rps", "1", "--weight", "0.5,0.1"), "--weight: must rise", id="falling weights"),
        pytest.param(("--rps", "1", "--question", "cpu"), "--question: must be one of error-rate", id="no question"),
        pytest.param(("--rps", "1", "--releases", "0"), "--releases: must be at least 1", id="no release"),
        pytest.param(("--rps", "1", "--seed", "-1"), "--seed: must not be negative", id="no seed"),
        pytest.param(("--rps", "1", "--duration", "9h"), "--duration: must hold 2 to 256 looks", id="too many looks"),
        pytest.param(("--rps", "1", "--replica-effect", "-1"), "--replica-effect: is out", id="negative spread"),
        pytest.param((), "--rps", id="no traffic named"),
    ],
)
def test_wrong_options_are_one_line(run, arguments, said):
    """The option, the rule and the value, and an exit code of its own."""
    code, out, err = run(*arguments)
    assert code == 64
    assert out == ""
    assert said in err
    assert len(err.splitlines()) == 1


def test_an_unknown_policy_is_named(run):
    """A name that is neither a file, a policy nor a preset."""
    code, _, err = run("--rps", "1", policy="nowhere")
    assert code == 65
    assert "nowhere" in err
