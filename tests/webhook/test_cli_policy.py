"""``weighbridge policy``: a folder file by file, the schema, and what a running Prometheus says to the queries."""

from __future__ import annotations

import json
import time

import pytest

from tests.prometheus_server import running
from tests.webhook.sources import scene as scenes
from webhook.cli import main
from webhook.sources.prometheus import PrometheusSource

OBJECTIVE = {"name": "slo", "kind": "objective", "bad": "b_total{$side}", "total": "t_total{$side}"}


@pytest.fixture
def run(capsys, tmp_path):
    """Run ``weighbridge policy`` in this process; the value is exit code, standard output, standard error."""

    def call(*arguments):
        code = main(["policy", *map(str, arguments)], {"HOME": str(tmp_path)})
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


@pytest.fixture
def folder(tmp_path):
    """A folder of policies: one sound, one that no version judges, one that cannot be read."""
    path = tmp_path / "policies"
    path.mkdir()
    (path / "good.yaml").write_text("{apiVersion: weighbridge/v1, name: good, preset: http_requests_total}")
    (path / "goal.json").write_text(
        json.dumps({"apiVersion": "weighbridge/v1", "name": "goal", "questions": [OBJECTIVE]})
    )
    (path / "wrong.yml").write_text("apiVersion: weighbridge/v1\nname: wrong\nquestions:\n  - {name: e, knd: rate}\n")
    return path


def test_a_folder_is_checked_file_by_file(run, folder):
    """Each file has its own lines; one problem anywhere is exit code 1."""
    code, out, _ = run("check", folder)
    assert code == 1
    blocks = out.split("\n\n")
    assert [block.split(" ")[0].rstrip(":") for block in blocks] == ["goal.json", "good.yaml", "wrong.yml"]
    assert "slo is of kind objective" in " ".join(blocks[0].split())
    assert ": ok" in blocks[1]
    assert "wrong.yml: /questions/0" in blocks[2]
    assert all(len(line) <= 100 for line in out.splitlines())


def test_one_sound_file_is_exit_code_0(run, folder):
    """A check in CI passes."""
    assert run("check", folder / "good.yaml")[0] == 0


def test_findings_can_be_read_by_programs(run, folder):
    """``--json`` holds the same findings."""
    code, out, _ = run("check", folder, "--json")
    document = json.loads(out)
    assert (code, document["ok"]) == (1, False)
    assert [(one["file"], one["ok"]) for one in document["files"]] == [
        ("goal.json", False), ("good.yaml", True), ("wrong.yml", False),
    ]  # fmt: skip


def test_two_files_of_one_name_are_a_problem(run, folder):
    """Only one of them could ever be in force."""
    (folder / "second.yaml").write_text("{apiVersion: weighbridge/v1, name: good, preset: http_requests_total}")
    assert "second.yaml: /name: must be unique, good.yaml has the same" in run("check", folder)[1]


def test_the_schema_is_printed(run):
    """It is the schema of the reader, with the shipped presets."""
    code, out, _ = run("schema")
    schema = json.loads(out)
    assert code == 0
    assert schema["title"] == "Weighbridge policy"
    assert "http_requests_total" in schema["properties"]["preset"]["anyOf"][0]["enum"]


@pytest.fixture(scope="module")
def prometheus():
    """A Prometheus that holds a namespace with two stable pods and a canary."""
    with running() as server:
        adapter = PrometheusSource(server.url)
        scene = scenes.Scene(server=server, source=adapter, namespace="shop")
        series = [
            one
            for pod, total in ((scenes.STABLE, 300.0), (scenes.STABLE2, 300.0), (scenes.NEW, 30.0))
            for one in scene.steady(pod, 70, total=total, bad=3.0 if total > 100 else 0.0)
        ]
        scene.write(*series)
        adapter.close()
        yield server


AT = scenes.T0 + 70 * scenes.SCRAPE
NAMED = (
    "--namespace", "shop", "--name", "shop", "--revision", scenes.CANARY, "--stable-revision", scenes.BASELINE,
    "--at", f"{AT:.0f}",
)  # fmt: skip


def test_a_running_prometheus_is_asked(run, folder, prometheus):
    """The text tells the label, the scrape interval, the replicas of both sides and what could be proved."""
    code, out, err = run("check", folder / "good.yaml", "--prometheus", prometheus.url, *NAMED)
    assert (code, err) == (0, "")
    text = " ".join(out.split())
    assert "scraped every 15 s, so a look lasts 30 s" in text
    assert "code stands for LABEL" in text
    assert f"2 replicas: {scenes.STABLE}, {scenes.STABLE2}" in text
    assert f"1 replica: {scenes.NEW}" in text
    assert "error-rate total: parsed; series: baseline 2, canary 1" in text
    assert "abort at 2x" in text


def test_names_that_match_nothing_are_a_problem(run, folder, prometheus):
    """A release that the source does not know has no baseline, and no scrape interval that could be measured."""
    unknown = ["absent" if word == "shop" else word for word in NAMED]
    code, out, err = run("check", folder / "good.yaml", "--prometheus", prometheus.url, *unknown)
    assert (code, err) == (1, "")
    assert "error-rate: no data of the baseline in the last 15 minutes" in " ".join(out.split())
    assert "nothing to measure the scrape interval on" in out


def test_promql_that_does_not_parse_is_named(run, folder, prometheus):
    """Prometheus's own words stand beside the question and the field."""
    (folder / "bad.yaml").write_text(
        "{apiVersion: weighbridge/v1, name: bad, questions: [{name: e, kind: proportion, "
        "bad: 'http_requests_total{$side, code=~\"5..\"', total: 'http_requests_total{$side}'}]}"
    )
    code, out, _ = run("check", folder / "bad.yaml", "--prometheus", prometheus.url, *NAMED, "--json")
    (found,) = json.loads(out)["files"]
    assert code == 1
    assert {query["field"]: query["parsed"] for query in found["queries"]}["bad"] is False
    assert any("e bad: the source refused it" in problem for problem in found["problems"])


def test_a_prometheus_that_is_away_is_an_error(run, folder):
    """No problem of the policy, so a code of its own; nothing hangs."""
    began = time.monotonic()
    code, out, _ = run("check", folder / "good.yaml", "--prometheus", "http://127.0.0.1:1", *NAMED)
    assert code == 69
    assert "connection refused" in out
    assert time.monotonic() - began < 10
