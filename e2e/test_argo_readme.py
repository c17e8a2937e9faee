"""The README's part about Argo Rollouts, followed to the letter, gives a judged release."""

from __future__ import annotations

import re
import shlex
import subprocess

import pytest
import yaml

from e2e.harness.api import Document
from e2e.harness.cluster import Cluster, shipped
from e2e.harness.release import GOOD, OTHER, Release, Setup
from e2e.harness.tools import ROOT, program

NAMESPACE = "shop"
"""As the README says."""


def part(heading: str) -> str:
    """Return the text below a heading of the README that begins so."""
    text = (ROOT / "README.md").read_text()
    found = re.search(rf"^## {heading}.*?\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"no heading {heading}"
    return found.group(1)


def commands(text: str) -> list[str]:
    """Return what stands between back quotes and begins with kubectl."""
    return [" ".join(found.split()) for found in re.findall(r"`(kubectl [^`]*)`", text)]


def strategy(text: str) -> Document:
    """Return the YAML block of the text."""
    (block,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    return dict(yaml.safe_load(block))


def kubectl(cluster: Cluster, command: str) -> str:
    """Run a command of the README with the real kubectl, from the folder of the README."""
    words = [program("kubectl"), "--kubeconfig", str(cluster.plane.kubeconfig), *shlex.split(command)[1:]]
    made = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert made.returncode == 0, f"{command}: {made.stderr}"
    return made.stdout


@pytest.mark.timeout(560)
def test_the_readme_followed_to_the_letter_gives_a_judged_release(cluster: Cluster) -> None:
    """No policy, the templates and the strategy as printed: the first gate passes once latencies count (5 min)."""
    text = part("Argo Rollouts")
    told = commands(text)
    assert len(told) == 2
    kubectl(cluster, f"kubectl create namespace {NAMESPACE}")
    for command in told:
        kubectl(cluster, command.replace("TOKEN", cluster.weighbridge.ask_token))

    (document,) = shipped("argo/rollout.yaml")
    document["spec"]["template"]["spec"]["containers"][0]["image"] = GOOD
    document["spec"]["strategy"] = strategy(text)["strategy"]
    document["spec"]["replicas"] = 10
    release = Release(cluster, NAMESPACE, Setup(prepared=True, replicas=10), document).start()
    release.release(OTHER)
    release.wait_step(2, limit=480)
    verdict = release.wait_verdict("promote", limit=10)
    assert verdict["policy"].startswith("default@")
    assert verdict["questions"]["error-rate"] not in ("no_data", "incomparable", "stale")
    assert re.search(r"\d", verdict["reason"])
    page = cluster.weighbridge.report(verdict["id"])
    assert page["verdict"] == "promote"
    release.stop()
