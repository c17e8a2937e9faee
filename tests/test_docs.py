"""What the documentation says is true: examples are run, tables are compared with the code."""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry

from analysis.record import LeftOut
from analysis.types import State, Verdict
from tests import charted
from tests.calibration.cells import CELLS
from tests.controllers.argo import RolloutPhase
from tests.controllers.conditions import holds
from tests.controllers.flagger import CanaryPhase
from tests.controllers.wire import Clock
from tests.fenced import (
    Block,
    alike,
    blocks,
    columns,
    commands,
    listening,
    run,
    tables,
    words,
    written,
)
from tests.shipped import BEGIN, ROOT, Asked, canary_of, rollout_of, template, traffic
from tests.webhook import past_period as past
from webhook import logs
from webhook.active import ActiveReleases
from webhook.app import create_app
from webhook.explain.flags import FLAGS
from webhook.placebo.metrics import PlaceboMetrics
from webhook.policies import Policies, check_static, presets
from webhook.schema import documents
from webhook.schema import policy as wire
from webhook.settings import Settings, variables
from webhook.sides import PAIRS
from webhook.telemetry import Telemetry, exposition
from webhook.tokens import Verb, read_tokens

DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
LANGUAGES = {"console", "yaml", "json", "python", "text", ""}
"""``text`` shows a shape in words; everything else is run or read."""
EXECUTED = {"curl", "weighbridge", "echo"}
NOW = BEGIN + 900
TIMES_WORSE = re.compile(r"<!-- canary: ([\d.]+) times the errors -->")
"""Stands in a page whose examples are about a bad release; otherwise the canary is like the baseline."""


def ids(path):
    return str(path.relative_to(ROOT))


def service(folder: Path, clock: Clock, page: str):
    """Return the service that a page talks to: its policies, its canary, and a clock that stands still."""
    worse = TIMES_WORSE.search(page)
    policies = folder / "policies"
    settings = Settings(policies=policies if policies.is_dir() else None)
    return create_app(
        settings, sources={"default": traffic(float(worse[1]) if worse else 1.0)}, clock=lambda: clock.now
    )


@pytest.mark.parametrize("path", PAGES, ids=ids)
def test_examples_do_what_is_shown(path, tmp_path):
    """Every block of a page runs against a service of its own and gives what stands below it."""
    found = blocks(path)
    written(found, tmp_path)
    clock = Clock(now=NOW)
    page = path.read_text()
    with listening(service(tmp_path, clock, page)) as served, past.prometheus_of(page) as source:
        for block in found:
            block = dataclasses.replace(block, text=block.text.replace(past.SHOWN_AT, source))
            assert block.language in LANGUAGES, f"{block.place}: {block.language!r} is not checked"
            check = {"console": run_console, "yaml": read_yaml, "json": ask_json, "python": run_python}.get(
                block.language
            )
            if check is run_console:
                run_console(block, tmp_path, served, clock)
            elif check is not None:
                check(block, tmp_path, served)


def run_console(block: Block, folder: Path, served: str, clock: Clock) -> None:
    """Run every command, a second after the one before it, and compare what it says with what is shown."""
    for command in commands(block):
        if spoken(command.text, block):
            continue
        ran = run(command.text, folder, served)
        clock.advance(1)
        assert ran.code == 0, f"{block.place}: {command.text}\n{ran.output}"
        if command.shown:
            assert alike(command.shown, ran.output), f"{block.place}: {command.text}\n{ran.output}"


def spoken(command: str, block: Block) -> bool:
    """Check a command that is not run here because it serves, plays or needs a cluster; False for all others."""
    said = words(command.partition("#")[0])
    match said:
        case ["make", target, *_]:
            assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE), f"{block.place}: {command}"
        case ["kubectl", *rest]:
            for manifest in [word for word in rest if word.startswith("manifests/")]:
                assert (ROOT / manifest).is_file(), f"{block.place}: {manifest} is not there"
        case ["helm", *rest]:
            charted.check_command(rest)
        case ["weighbridge", ("serve" | "demo") as name, *options]:
            parser = argparse.ArgumentParser(prog="weighbridge", exit_on_error=False)
            importlib.import_module(f"webhook.commands.{name}").configure(parser)
            parser.parse_args(options)
        case [".ci/run", *_]:
            assert (ROOT / ".ci" / "run").is_file()
        case _:
            assert said[0] in EXECUTED, f"{block.place}: {said[0]} is neither run nor checked"
            return False
    return True


def read_yaml(block: Block, folder: Path, served: str) -> None:
    """Read what is shown as what it is: a policy, tokens, or a part of a manifest, which then drives its controller."""
    content = yaml.safe_load(block.text)
    if isinstance(content, list):
        assert read_tokens(block.text.encode())
    elif content.get("apiVersion") == wire.API_VERSION:
        policy = wire.read(documents.parse(block.text.encode(), block.place), presets(), block.place)
        assert check_static(policy) == [], block.place
    elif "store" in content and "questions" not in content:
        charted.check_values(content)
    elif "strategy" in content:
        drive_argo(content["strategy"]["canary"], block)
    elif "analysis" in content:
        drive_flagger(content, block)
    else:
        raise AssertionError(f"{block.place}: what is this?")


def healthy_or_not(times: float, clock: Clock):
    """Return a service over a canary with ``times`` as many errors."""
    return create_app(Settings(), sources={"default": traffic(times)}, clock=lambda: clock.now)


def drive_argo(strategy, block: Block) -> None:
    """A Rollout with this strategy promotes a healthy release and goes back from a bad one."""
    for times, phase in ((1.0, RolloutPhase.HEALTHY), (3.0, RolloutPhase.DEGRADED)):
        clock = Clock(now=BEGIN)
        app = healthy_or_not(times, clock)
        rollout = rollout_of(strategy, clock, Asked(app), "secret").update("77db79d599")
        rollout.run(until=BEGIN + 3600)
        assert rollout.phase is phase, f"{block.place}: {rollout.message}"


def drive_flagger(spec, block: Block) -> None:
    """A Canary with this spec promotes a healthy release and rolls a bad one back."""
    for times, phase in ((1.0, CanaryPhase.SUCCEEDED), (3.0, CanaryPhase.FAILED)):
        clock = Clock(now=BEGIN - 120)
        app = healthy_or_not(times, clock)
        canary = canary_of(spec, clock, Asked(app))
        canary.run(until=BEGIN - 60)
        canary.update("2").run(until=BEGIN + 5400)
        assert (canary.phase, canary.failed_checks) == (phase, 0), block.place


def ask_json(block: Block, folder: Path, served: str) -> None:
    """Ask what is shown: a body of ``POST /v1/analysis``."""
    assert isinstance(json.loads(block.text), dict), block.place
    (folder / ".asked.json").write_text(block.text)
    ran = run(f"curl -s -o .said.json -w '%{{http_code}}' http://{served}/v1/analysis -d @.asked.json", folder, served)
    said = (folder / ".said.json").read_text()
    assert ran.output == "200", f"{block.place}: {said}"
    verdict = json.loads(said)
    outcome = [
        holds(template("weighbridge-gate")["spec"]["metrics"][0][c], verdict)
        for c in ("successCondition", "failureCondition")
    ]
    assert outcome == [verdict["verdict"] == Verdict.PROMOTE, verdict["verdict"] == Verdict.ABORT]


def run_python(block: Block, folder: Path, served: str) -> None:
    environ = {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", block.text],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, f"{block.place}: {done.stderr}"


# ------------------------------------------------------------------------------------------ tables against code


def paths_of(schema, definitions, prefix=""):
    """Yield every key of a JSON Schema with its path; lists and references are looked through."""
    for name, below in schema.get("properties", {}).items():
        yield f"{prefix}{name}"
        yield from paths_of(below, definitions, f"{prefix}{name}.")
        items = below.get("items")
        if isinstance(items, dict) and "$ref" not in items and name != "questions":
            yield from paths_of(items, definitions, f"{prefix}{name}.")
    for choice in schema.get("anyOf", []):
        if prefix:
            yield from paths_of(choice, definitions, prefix)


def test_every_key_of_a_policy_is_documented():
    """docs/policies.md lists the keys of a policy as the schema has them, no more and no fewer."""
    schema = wire.json_schema(sorted(presets()))
    text = (DOCS / "policies.md").read_text()
    listed = columns(text, "## Keys of a policy")
    assert sorted(listed) == sorted(set(paths_of(schema, schema["$defs"])))


def test_every_key_of_a_question_is_documented():
    """docs/policies.md lists the common keys of questions, and for each kind those that it adds."""
    kinds = {name: shape for name, shape in wire.json_schema()["$defs"].items() if "kind" in shape["properties"]}
    common = set.intersection(*(set(paths_of(shape, {})) for shape in kinds.values()))
    text = (DOCS / "policies.md").read_text()
    assert sorted(columns(text, "## Keys of every question")) == sorted(common)
    _, _, below = text.partition("\n## Kinds of questions\n")
    _, rows = next(tables(below))
    listed = {row[0]: sorted(re.split(r", ", row[2])) for row in rows}
    assert listed == {name: sorted(set(paths_of(shape, {})) - common) for name, shape in kinds.items()}


def test_defaults_of_a_policy_are_as_documented():
    """What docs/policies.md gives as defaults of a policy is what a policy that says nothing has."""
    usual = wire.dump(
        wire.read({"apiVersion": wire.API_VERSION, "name": "x", "preset": "http_requests_total"}, presets())
    )
    _, _, below = (DOCS / "policies.md").read_text().partition("\n## Keys of a policy\n")
    _, rows = next(tables(below))
    compared = 0
    for key, default, *_ in rows:
        value = usual
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        shown = f"{value:g}" if isinstance(value, float) else value
        if isinstance(shown, str) and not default.startswith("("):
            assert default == shown, key
            compared += 1
    assert compared >= 18


def test_every_preset_and_pair_is_documented():
    """docs/presets.md has one row for each preset and says its pair; docs/policies.md has one for each pair."""
    assert sorted(columns((DOCS / "policies.md").read_text(), "## Selectors")) == sorted(PAIRS)
    _, rows = next(tables((DOCS / "presets.md").read_text()))
    shown = {row[0].strip("`"): row[2].strip("`") for row in rows}
    assert shown == {name: Policies.inline({"preset": name}).select.by or "pod" for name in presets()}


def test_every_setting_is_documented():
    """docs/operations.md has one row for each setting: variable, option, default."""
    text = (DOCS / "operations.md").read_text()
    _, _, below = text.partition("\n## Settings\n")
    _, rows = next(tables(below))
    assert [row[0] for row in rows] == variables()
    for row, field in zip(rows, dataclasses.fields(Settings), strict=True):
        assert row[1] == "--" + field.name.removesuffix("_s").replace("_", "-")


def test_every_metric_is_documented():
    """docs/operations.md lists every metric of ours that can be scraped."""
    registry = CollectorRegistry()
    Telemetry(registry, version="0")
    active = ActiveReleases(list)
    placebos = PlaceboMetrics(list)
    ours = {family.name for family in [*registry.collect(), *active.collect(), *placebos.collect()]}
    rendered, _ = exposition(registry, active, placebos)("")
    assert b"weighbridge_build_info" in rendered
    listed = columns((DOCS / "operations.md").read_text(), "## Metrics")
    assert sorted(name.removesuffix("_total") for name in listed) == sorted(ours)


def test_every_log_field_is_documented():
    """docs/operations.md explains every field that a log line may have."""
    assert columns((DOCS / "operations.md").read_text(), "## Logs") == list(logs.FIELDS)


def test_every_event_of_the_log_is_documented():
    """docs/operations.md names every event that a line of ours may have."""
    said = {
        event
        for file in (ROOT / "webhook").rglob("*.py")
        for call in re.findall(r"logs\.event\(([^,]*),", file.read_text())
        for event in re.findall(r'"([a-z_]+)"', call)
    }
    row = next(line for line in (DOCS / "operations.md").read_text().splitlines() if line.startswith("| `event` |"))
    assert {"decision", "demonstration"} < said
    assert said | {"degraded", "recovered", "log"} == set(re.findall(r"`([a-z_]+)`", row)) - {"event"}


def test_every_verb_of_a_token_is_documented():
    """docs/operations.md says what each verb of a token allows."""
    assert columns((DOCS / "operations.md").read_text(), "### Verbs") == [verb.value for verb in Verb]


def test_every_state_is_explained():
    """docs/explaining.md says what each state means and what to do."""
    assert sorted(columns((DOCS / "explaining.md").read_text(), "## States")) == sorted(State)


def test_every_reason_about_the_set_up_is_explained():
    """docs/explaining.md explains every code under which a look is left out, and every flag of a question."""
    text = (DOCS / "explaining.md").read_text()
    codes = set(re.findall(r"``(\w+)``", LeftOut.__doc__ or "")) - {"code", "text"}
    assert set(columns(text, "## Reasons that are about the set-up")) == codes
    explained = {
        flag for header, rows in tables(text) if header[0] == "flag" for row in rows for flag in row[0].split(", ")
    }
    assert explained == set(FLAGS)


def test_parts_of_a_report_are_those_of_its_text():
    """docs/explaining.md names every heading of a report's text."""
    source = (ROOT / "webhook" / "explain" / "text.py").read_text()
    headings = set(re.findall(r'"([A-Z][A-Z ]{3,})"', source))
    assert headings >= {"QUESTIONS", "QUERIES", "LEFT OUT"}
    assert headings <= set(columns((DOCS / "explaining.md").read_text(), "## The text of a report"))


def test_every_route_is_documented():
    """docs/api.md lists every route of the service with its methods."""
    app = create_app(Settings())
    text = (DOCS / "api.md").read_text()
    listed = {row[0] for header, rows in tables(text) if header[0] == "call" for row in rows}
    real = set()
    for rule in app.url_map.iter_rules():
        methods = "|".join(sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}))
        place = rule.rule.replace("<", "{").replace(">", "}")
        real.add(f"{methods} {place}".replace("|", "\\|"))
    assert listed == real


def test_levels_of_the_calibration_are_as_said():
    """docs/statistics.md names every level that the calibration holds a figure to, also those above the promise."""
    held = defaultdict(set)
    for cell in CELLS:
        for figure, level in cell.levels.items():
            held[cell.table, figure].add(f"{level:g}")
        for (figure, alpha), most in cell.slower.items():
            held[cell.table, f"{figure} at {alpha:g}"].add(f"{most:g}")
    _, _, below = (DOCS / "statistics.md").read_text().partition("\n## Where the promises are measured\n")
    _, rows = next(tables(below))
    said = {(row[0], row[2]): set(row[3].removesuffix(" x best").split(", ")) for row in rows}
    assert said == held


def test_default_policy_is_the_preset():
    """The policy of a release that nobody wrote one for is the one that the pages speak of."""
    assert Policies(None, clock=lambda: 0.0).default().preset == ("http_requests_total",)
