"""The command line: what it prints, what it ends with, and that its judgement is the service's."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.scene import RELEASE as CALLED
from webhook.auth import digest_of
from webhook.cli import COMMANDS, main
from webhook.commands.serve import HELP, option_of
from webhook.settings import PREFIX, variables
from webhook.tokens import Verb, read_tokens

ROOT = Path(__file__).parents[2]
RELEASE = {key: value for key, value in CALLED.items() if key != "step"}
POLICY = {
    "name": "plain",
    "questions": [
        {
            "name": "error-rate",
            "kind": "proportion",
            "bad": 'http_requests_total{$side, code=~"5.."}',
            "total": "http_requests_total{$side}",
        }
    ],
}


@pytest.fixture
def run(capsys, tmp_path):
    """Run the command in this process; the value is exit code, standard output, standard error."""

    def call(*arguments, **environ):
        code = main([str(word) for word in arguments], {"HOME": str(tmp_path), **environ})
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def body(bad, *, looks=30, stage="final", **more):
    """Return a request whose canary counts ``bad`` errors per look in 100 requests, beside 1 % of 1,000."""
    sides = {
        "baseline": {f"s-{n}": {"bad": [2, 3] * (looks // 2), "total": [250] * looks} for n in range(4)},
        "canary": {f"c-{n}": {"bad": [bad] * looks, "total": [100] * looks} for n in range(4)},
    }
    return {
        "policy": POLICY,
        "stage": stage,
        "release": {"namespace": "shop", "name": "checkout", "revision": "r1", "weight": 0.3},
        "data": {"start": 1_760_000_400, "step_seconds": 30, "questions": {"error-rate": sides}},
        **more,
    }


def saved(tmp_path, content, name="release.json"):
    """Return the path of a file with this content."""
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def table(request):
    """Return the data of a request as CSV."""
    data = request["data"]
    rows = ["question,side,replica,time,field,value"]
    for question, sides in data["questions"].items():
        for side, replicas in sides.items():
            for replica, fields in replicas.items():
                for field, values in fields.items():
                    rows += [
                        f"{question},{side},{replica},{data['start'] + data['step_seconds'] * (n + 1)},{field},{value}"
                        for n, value in enumerate(values)
                    ]
    return "\n".join(rows)


# help, version, mistakes


def test_help_tells_of_every_command(capsys):
    """Whoever asks for help sees each command with one line about it, and the exit codes."""
    with pytest.raises(SystemExit) as ended:
        main(["--help"], {})
    out = capsys.readouterr().out
    assert ended.value.code == 0
    assert all(f"{command} " in out and summary in out for command, summary in COMMANDS.items())
    assert "0 promote, 1 hold, 2 abort" in out


@pytest.mark.parametrize("command", [*COMMANDS, "policy check"])
def test_every_command_has_help(command):
    """Help of a command is printed at once and ends well."""
    done = subprocess.run(
        [sys.executable, "-m", "webhook.cli", *command.split(), "--help"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: weighbridge {command}")
    assert COMMANDS.get(command, "")[1:] in " ".join(done.stdout.split())
    assert done.stderr == ""


def test_version(run):
    """The version is one line."""
    code, out, _ = run("--version")
    assert code == 0
    assert out.startswith("weighbridge ")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        pytest.param(["frobnicate"], 64, "invalid choice: 'frobnicate'", id="unknown command"),
        pytest.param(["serve", "--prometeus", "x"], 64, "--prometeus", id="unknown option"),
        pytest.param(["serve", "--prom", "x"], 64, "--prom", id="options are not abbreviated"),
        pytest.param(["serve", "--listen", "here"], 78, "--listen: must be HOST:PORT", id="wrong value"),
        pytest.param(["serve", "--policies", "/absent"], 78, "--policies: must be a folder", id="no such folder"),
        pytest.param(["serve", "--listen", "0.0.0.0:0"], 78, "tokens_file", id="open to all without tokens"),
        pytest.param(["judge", "/absent"], 66, "/absent: cannot be read: No such file", id="no such file"),
        pytest.param(["judge", "/"], 66, "/: cannot be read", id="a folder"),
        pytest.param(["judge"], 64, "required: FILE", id="argument missing"),
        pytest.param(["policy"], 64, "required: ACTION", id="action missing"),
        pytest.param(["policy", "check", "/absent"], 66, "/absent", id="no policies"),
        pytest.param(["token", "ci", "--verbs", "asc"], 64, "must be of ask", id="unknown verb"),
        pytest.param(["demo", "--seconds", "soon"], 64, "--seconds", id="no number"),
        pytest.param(["demo", "--seconds", "-1"], 64, "--seconds: must lie between", id="time does not run back"),
        pytest.param(["demo", "--seed", "-1"], 64, "--seed: must not be negative", id="negative seed"),
    ],
)
def test_a_mistake_is_one_line_and_a_code_of_its_own(run, arguments, code, said):
    """A mistake never ends with 0, 1 or 2, which are verdicts, and never shows a traceback."""
    ended, out, err = run(*arguments)
    assert ended == code
    assert out == ""
    assert err.startswith("weighbridge: ")
    assert said in err
    assert err.count("\n") == 1


def test_without_a_command_help_is_shown_and_it_is_a_mistake(run):
    """A script that forgot the command does not read success."""
    code, out, _ = run()
    assert code == 64
    assert all(command in out for command in COMMANDS)


def test_an_unknown_variable_is_refused_with_the_nearest(run):
    """A misspelt variable would otherwise be silence."""
    code, _, err = run("serve", WEIGHBRIDGE_LISTN="x")
    assert code == 78
    assert "WEIGHBRIDGE_LISTEN" in err


def test_every_setting_is_an_option_and_a_variable_of_one_name():
    """``--log-level`` is ``WEIGHBRIDGE_LOG_LEVEL``, and none was forgotten."""
    assert [PREFIX + option_of(name)[2:].replace("-", "_").upper() for name in HELP] == variables()


def test_a_fault_of_ours_is_no_verdict(run, monkeypatch):
    """Python's exit code for an exception is 1, which says hold; ours is 70."""

    def broken(*_):
        raise ZeroDivisionError("really broken")

    monkeypatch.setattr("webhook.commands.token.run", broken)
    code, _, err = run("token", "ci")
    assert code == 70
    assert "something of ours is broken: ZeroDivisionError: really broken" in err


# judge


@pytest.mark.parametrize(
    ("bad", "looks", "code", "verdict"),
    [
        pytest.param(1, 200, 0, "PROMOTE", id="promote"),
        pytest.param(1, 4, 1, "HOLD", id="hold"),
        pytest.param(5, 60, 2, "ABORT", id="abort"),
    ],
)
def test_judge_ends_with_its_verdict(run, tmp_path, bad, looks, code, verdict):
    """The exit code is the verdict, and the text is the explanation."""
    ended, out, err = run("judge", saved(tmp_path, body(bad, looks=looks)))
    assert (ended, err) == (code, "")
    assert out.startswith(f"{verdict}  error rate ")
    assert "shop/checkout, revision r1" in out


def test_judge_gives_the_report_of_the_service(run, tmp_path, service):
    """The same body has the same id, reason and log e offline and over HTTP."""
    client = service.app.test_client()
    heard = client.post("/v1/analysis", json=body(5, looks=60)).get_json()
    there = client.get(f"/v1/reports/{heard['id']}?format=json").get_json()
    _, out, _ = run("judge", saved(tmp_path, body(5, looks=60)), "--json")
    here = json.loads(out)
    assert {key: here[key] for key in ("id", "verdict", "reason", "score", "window", "questions")} == {
        key: there[key] for key in ("id", "verdict", "reason", "score", "window", "questions")
    }
    assert here["detail"]["evidence"] == there["detail"]["evidence"]


def test_a_record_gives_the_report_of_the_service(run, tmp_path, service):
    """What the service read from a source and exported is judged offline bit for bit."""
    client = service.app.test_client()
    asked = {"release": RELEASE | {"next_weight": 0.25}, "stage": "step"}
    heard = client.post("/v1/analysis", json=asked).get_json()
    there = client.get(f"/v1/reports/{heard['id']}?format=json").get_json()
    record = client.get(f"/v1/reports/{heard['id']}/record").get_data(as_text=True)
    path = saved(tmp_path, record, "record.json")
    code, out, _ = run("judge", path, "--next-weight", "0.25", "--stage", "step", "--json")
    here = json.loads(out)
    assert there["window"]["looks"] > 0
    assert here["window"] == there["window"]
    assert here["detail"]["evidence"] == there["detail"]["evidence"]
    assert (here["verdict"], here["reason"]) == (there["verdict"], there["reason"])
    assert here["id"] == there["id"]
    assert code == {"promote": 0, "hold": 1, "abort": 2}[there["verdict"]]


def test_a_record_remembers_what_was_asked(run, tmp_path, service):
    """Stage and next weight that stand in a record are those it is judged for, unless others are named."""
    client = service.app.test_client()
    heard = client.post("/v1/analysis", json={"release": RELEASE | {"next_weight": 0.25}}).get_json()
    record = client.get(f"/v1/reports/{heard['id']}/record").get_json()
    record["release"]["asked"] = {"stage": None, "next_weight": 0.25}
    path = saved(tmp_path, record)
    told = [
        json.loads(run("judge", path, *options, "--json")[1])
        for options in ([], ["--next-weight", "0.25"], ["--next-weight", "1"])
    ]
    assert told[0]["id"] == told[1]["id"] == heard["id"]
    assert [report["release"]["stage"] for report in told] == ["step", "step", "final"]


def test_a_record_can_be_judged_as_of_earlier(run, tmp_path, service):
    """``--at`` shows what was known then."""
    client = service.app.test_client()
    heard = client.post("/v1/analysis", json={"release": RELEASE}).get_json()
    record = client.get(f"/v1/reports/{heard['id']}/record").get_json()
    third = record["looks"][2]["end"]
    _, out, _ = run("judge", saved(tmp_path, record), "--at", third, "--json")
    assert json.loads(out)["window"]["looks"] == 3


def test_a_table_is_judged_like_the_same_data_in_json(run, tmp_path):
    """CSV and JSON are two spellings of one record."""
    request = body(5, looks=60, stage="step")
    policy = saved(tmp_path, {"apiVersion": "weighbridge/v1", **POLICY}, "policy.json")
    code, out, _ = run(
        "judge", saved(tmp_path, table(request), "x.csv"), "--policy", policy, "--stage", "step", "--json"
    )
    _, other, _ = run("judge", saved(tmp_path, request), "--json")
    assert code == 2
    one, two = (json.loads(text)["detail"]["evidence"][0] for text in (out, other))
    assert one["log_e"] == two["log_e"]
    assert one["counts"] == two["counts"]


def test_the_standard_input_is_read_for_a_dash(tmp_path):
    """A pipe needs no file; the installed module runs as a command."""
    done = subprocess.run(
        [sys.executable, "-m", "webhook.cli", "judge", "-"],
        input=table(body(1, looks=4)),
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("HOLD  ")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param("{", "must be JSON", id="no JSON"),
        pytest.param("", "must be JSON", id="empty"),
        pytest.param("{}", "needs 'data'", id="no data"),
        pytest.param('{"dato": 1}', "/dato: unknown key 'dato', did you mean 'data'?", id="unknown key"),
        pytest.param('{"format": "weighbridge-record/9"}', "/format: must be weighbridge-record/1", id="other format"),
        pytest.param("a,b\n1,2\n", "line 1: must be the columns", id="other columns"),
        pytest.param(
            json.dumps(body(1) | {"policy": "absent"}), "/policy: no policy is called 'absent'", id="unknown policy"
        ),
        pytest.param(json.dumps(body(200)), "must not exceed total (100), got 200", id="more bad than all"),
    ],
)
def test_what_cannot_be_judged_names_file_place_and_rule(run, tmp_path, content, said):
    """Wrong input is 65 and one line that begins with the file."""
    path = saved(tmp_path, content)
    code, out, err = run("judge", path)
    assert (code, out) == (65, "")
    assert err.startswith(f"weighbridge: {path}: ")
    assert said in err


def test_a_policy_comes_from_a_folder_by_name(run, tmp_path):
    """``--policies`` and the variable both find what a body names."""
    folder = tmp_path / "policies"
    folder.mkdir()
    saved(folder, {"apiVersion": "weighbridge/v1", **POLICY}, "plain.json")
    path = saved(tmp_path, body(5, looks=60) | {"policy": "plain"})
    assert run("judge", path, "--policies", folder)[0] == 2
    assert run("judge", path, WEIGHBRIDGE_POLICIES=str(folder))[0] == 2


# token


def test_a_token_is_shown_once_and_its_entry_is_one_that_the_service_reads(run, tmp_path):
    """The entry holds the digest of the secret, the verbs and the namespaces, and nothing else."""
    path = tmp_path / "tokens.yaml"
    code, out, _ = run("token", "ci", "--verbs", "ask,read", "--namespaces", "shop,web-*", "--append", path, "--json")
    assert code == 0
    secret = json.loads(out)["secret"]
    (token,) = read_tokens(path.read_bytes())
    assert token.digest == digest_of(secret)
    assert secret not in path.read_text()
    assert token.principal.may(Verb.ASK, "web-1")
    assert token.principal.may(Verb.READ, "shop")
    assert not token.principal.may(Verb.OPERATE, "shop")
    assert not token.principal.may(Verb.ASK, "other")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_tokens_are_appended_and_names_stand_once(run, tmp_path):
    """A second token joins the first; a name that is there already is refused and the file stays."""
    path = tmp_path / "tokens.yaml"
    assert run("token", "one", "--append", path)[0] == 0
    assert run("token", "two", "--append", path, "--expires", "2099-01-31T00:00:00Z")[0] == 0
    before = path.read_bytes()
    code, out, err = run("token", "one", "--append", path)
    assert (code, out) == (65, "")
    assert "is there twice" in err
    assert path.read_bytes() == before
    assert [token.principal.name for token in read_tokens(before)] == ["one", "two"]
    assert [token.expires for token in read_tokens(before)] == [None, 4073500800.0]


def test_the_printed_entry_is_what_the_file_takes(run):
    """Without ``--append`` the entry is printed as it is to be pasted."""
    _, out, _ = run("token", "ci")
    secret = out.splitlines()[0].rpartition(" ")[2]
    (token,) = read_tokens(out.partition("tokens file:\n")[2].encode())
    assert token.digest == digest_of(secret)


@pytest.mark.parametrize(("given", "expected"), [(None, "1"), ("3", "3")])
def test_matrices_are_multiplied_by_one_thread(given: str | None, expected: str):
    """Unless the environment says otherwise; and it is said before numpy is imported."""
    environ = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    if given is not None:
        environ["OPENBLAS_NUM_THREADS"] = given
    asked = "import os, sys, webhook.cli as c; early = 'numpy' in sys.modules; c.main(['--version']); "
    asked += "print(early, os.environ[c.THREADS])"
    found = subprocess.run(
        [sys.executable, "-c", asked], env=environ, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert found.stdout.splitlines()[-1] == f"False {expected}"
