"""
The chart, rendered by the real helm: for its tests, and for those that apply every object to a real API server.

``python -m tests.charted`` writes what the values files of ``tests/chart`` render to as the new expectation.
"""

from __future__ import annotations

import itertools
import json
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).parents[1]
VALUES = sorted((ROOT / "tests" / "chart").glob("*.yaml"))
"""Values files that together switch everything on and off."""
GOLDEN = ROOT / "tests" / "golden" / "chart"
RELEASE = NAMESPACE = "weighbridge"
ARGO = ("--api-versions", "argoproj.io/v1alpha1/ClusterAnalysisTemplate")
"""Tells helm that Argo Rollouts is installed."""
KUBE_VERSION = "1.36.2"
"""For which goldens are rendered; helm's own default moves with helm."""
TIMEOUT_S = 60


def helm() -> str | None:
    """Return the path of helm: what ``tools/e2e-tools helm`` built, else what is installed; None if neither."""
    built = ROOT / ".e2e" / "bin" / "helm"
    return str(built) if built.exists() else shutil.which("helm")


needs_helm = pytest.mark.skipif(helm() is None, reason="no helm here, and no Go to build it")
"""Marks tests that render the chart; tests/skips.txt lists them."""


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run helm and return what it came to; it talks to no cluster."""
    program = helm()
    assert program, "helm is missing: run tools/e2e-tools helm"
    return subprocess.run(
        [program, *map(str, arguments)],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "KUBECONFIG": "/nonexistent"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )


def template(values: Path | None, *more: str) -> subprocess.CompletedProcess[str]:
    """Render the chart with a values file and further options."""
    given = () if values is None else ("--values", values)
    return run("template", RELEASE, ".", "--namespace", NAMESPACE, "--kube-version", KUBE_VERSION, *given, *more)


def text(values: Path | None, *more: str) -> str:
    """Return what the chart renders to; fail with helm's words if it does not."""
    done = template(values, *more)
    assert done.returncode == 0, done.stderr
    return done.stdout


def documents(values: Path | None, *more: str) -> list[dict[str, Any]]:
    """Return the objects that the chart renders to."""
    return [one for one in yaml.safe_load_all(text(values, *more)) if one]


def only(found: Sequence[dict[str, Any]], kind: str) -> dict[str, Any]:
    """Return the one object of a kind."""
    (one,) = [document for document in found if document["kind"] == kind]
    return one


def golden(values: Path) -> str:
    """Return what is compared: comments and the version of the chart left out, trailing space too."""
    version = yaml.safe_load((ROOT / "Chart.yaml").read_text())["version"]
    lines = [line.rstrip() for line in text(values).splitlines() if not re.match(r"\s*#", line)]
    return re.sub(r"\n\n+", "\n", "\n".join(lines).replace(version, "VERSION")).strip() + "\n"


def check_values(given: Mapping[str, Any]) -> None:
    """Fail unless these are values that the schema allows; needs no helm."""
    jsonschema.validate(given, json.loads((ROOT / "values.schema.json").read_text()))


def check_command(words: Sequence[str]) -> None:
    """Fail unless a documented helm command is about this chart, and what it sets are values of it."""
    assert "." in words
    assert (ROOT / "Chart.yaml").is_file()
    for flag, pair in itertools.pairwise(words):
        if flag == "--set":
            found = yaml.safe_load((ROOT / "values.yaml").read_text())
            for part in pair.partition("=")[0].split("."):
                found = found[part]


if __name__ == "__main__":
    GOLDEN.mkdir(parents=True, exist_ok=True)
    for path in VALUES:
        (GOLDEN / path.name).write_text(golden(path))
