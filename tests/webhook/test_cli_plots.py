"""``weighbridge judge --plots``: the plots of the service, as files."""

from __future__ import annotations

import json

import pytest

from webhook.cli import main

LOOKS = 30


@pytest.fixture
def run(capsys, tmp_path):
    """Run the command in this process; the value is exit code, standard output, standard error."""

    def call(*arguments):
        code = main([str(word) for word in arguments], {"HOME": str(tmp_path)})
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


@pytest.fixture
def asked(tmp_path):
    """A file with the body of a request."""
    sides = {
        "baseline": {f"s-{n}": {"bad": [2, 3] * (LOOKS // 2), "total": [250] * LOOKS} for n in range(4)},
        "canary": {"c-1": {"bad": [1] * LOOKS, "total": [100] * LOOKS}},
    }
    data = {"start": "2026-11-23T10:00:00Z", "step_seconds": 10, "questions": {"error-rate": sides}}
    path = tmp_path / "asked.json"
    path.write_text(json.dumps({"data": data, "release": {"namespace": "shop", "name": "checkout"}}))
    return path


def test_plots_of_a_file_are_those_of_the_service(run, asked, tmp_path, service):
    """One SVG and one PNG for each question; the SVG is the one that the service draws, byte for byte."""
    code, out, err = run("judge", asked, "--plots", tmp_path / "new" / "plots")
    assert (code, err) == (0, "")
    assert out.startswith("PROMOTE ")
    assert {path.name for path in (tmp_path / "new" / "plots").iterdir()} == {"error-rate.svg", "error-rate.png"}
    report = service.post("/v1/analysis", json.loads(asked.read_text())).json["id"]
    there = service.get(f"/v1/reports/{report}/plots/error-rate.svg").data
    assert (tmp_path / "new" / "plots" / "error-rate.svg").read_bytes() == there


def test_plots_of_an_exported_record(run, asked, tmp_path, service):
    """A record has the same plots as the report that it stands behind; it knows how long its looks are as well."""
    report = service.post("/v1/analysis", json.loads(asked.read_text())).json["id"]
    record = tmp_path / "record.json"
    record.write_text(service.get(f"/v1/reports/{report}/record").text)
    code, _, _ = run("judge", record, "--plots", tmp_path)
    assert code == 0
    there = service.get(f"/v1/reports/{report}/plots/error-rate.svg").data
    here = (tmp_path / "error-rate.svg").read_bytes()
    assert here.replace(b"30 looks of 10 s;", b"30 looks;") == there


def test_where_nothing_can_be_written_it_is_said(run, asked):
    """The folder's name is a file's: one line, and a code of its own."""
    code, _, err = run("judge", asked, "--plots", asked)
    assert code == 73
    assert err == f"weighbridge: --plots {asked}: cannot be written: File exists\n"
