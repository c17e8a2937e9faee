"""What is declared, pinned and installed is the same thing."""

from __future__ import annotations

import re
import sys
import tomllib
from importlib.metadata import entry_points, packages_distributions

import pytest

from tests.test_frame import ROOT, imports, trees


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def distribution(requirement: str) -> str:
    """Return the normalised name of the distribution that a requirement asks for."""
    return re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", requirement)[0]).lower()


def test_what_is_imported_is_declared():
    """The product imports no third-party package that pyproject.toml does not declare."""
    names = {name.split(".")[0] for tree in trees("analysis", "webhook").values() for name in imports(tree)}
    third_party = names - sys.stdlib_module_names - {"analysis", "webhook"}
    known = packages_distributions()
    providers = {name: {distribution(d) for d in known.get(name, [name])} for name in third_party}
    declared = {distribution(r) for r in project()["dependencies"]}
    # The HTTP client of prometheus-api-client: its version is that package's business.
    declared |= {"requests", "urllib3", "werkzeug"}
    assert {name for name, owners in providers.items() if not owners & declared} == set()


@pytest.mark.parametrize("name", ["build", "runtime", "dev"])
def test_requirements_are_pinned_with_hashes(name):
    """Every requirement is one exact version with its hashes; no address of an index is given."""
    lines = (ROOT / "requirements" / f"{name}.txt").read_text().replace("\\\n", " ").splitlines()
    assert lines
    pinned = re.compile(r"[a-z0-9._-]+(?:\[[a-z]+\])?==[\w.]+ .*--hash=sha256:[0-9a-f]{64}")
    assert [line for line in lines if not pinned.match(line)] == []


def test_declared_dependencies_are_pinned():
    """What pyproject.toml declares is pinned, and the checks install what the service runs on."""

    def pins(name: str) -> dict[str, str]:
        text = (ROOT / "requirements" / f"{name}.txt").read_text()
        return dict(re.findall(r"^([a-z0-9._-]+)(?:\[[a-z]+\])?==([\w.]+)", text, re.MULTILINE))

    runtime, dev = pins("runtime"), pins("dev")
    assert {distribution(r) for r in project()["dependencies"]} <= runtime.keys()
    assert {distribution(r) for r in project()["optional-dependencies"]["dev"]} <= dev.keys()
    assert runtime.items() <= dev.items()


def test_the_command_is_installed():
    """The distribution's command starts webhook.cli."""
    (command,) = [e for e in entry_points(group="console_scripts") if e.name == "weighbridge"]
    assert callable(command.load())
