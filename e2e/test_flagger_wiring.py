"""What users put into their canaries: the README's lines, hooks left out, weighbridge only looking on."""

from __future__ import annotations

import re

import pytest
import yaml

from e2e.harness.api import Document
from e2e.harness.canary import BAD, NAME, Canary, Setup
from e2e.harness.cluster import Cluster
from e2e.harness.process import wait_for
from e2e.harness.service import SHIPPED_URL
from e2e.harness.tools import ROOT

LIMIT_S = 420


@pytest.mark.timeout(LIMIT_S)
def test_a_canary_without_confirm_hooks_is_reported_and_left_alone(cluster: Cluster) -> None:
    """A hold would have nowhere to wait, so nothing is enforced: promoted as without us, and we say what is wrong."""
    hooks = ("rollback", "post-rollout", "event")
    setup = Setup(manifest="flagger/canary-iterations.yaml", analysis={"iterations": 8}, hooks=hooks, rps=40.0)
    canary = Canary(cluster, "flagger-miswired", setup).start()
    canary.release(BAD, ratio=3.0)
    canary.wait_phase("Succeeded", limit=300)

    # Which hooks a canary has is seen as they are asked: the first ticks may not know it yet.
    answers = [answer for answer in canary.answers("rollback") if answer["mode"] == "shadow"]
    assert {answer["verdict"] for answer in answers} == {"promote"}
    newest = [answer for answer in answers if answer["would"] != "promote"][-1]
    assert newest["reason"].startswith(f"shadow: would {newest['would']}: ")
    assert "miswired" in canary.service.report(newest["id"])["detail"]["flags"]
    canary.stop()


@pytest.mark.timeout(LIMIT_S)
def test_in_shadow_nothing_is_stopped_and_everything_is_said(cluster: Cluster) -> None:
    """A bad release goes its way as without us; what we would have done stands in our history."""
    service = cluster.service("flagger-shadow", options={"mode": "shadow"})
    canary = Canary(cluster, "flagger-shadow", Setup(service=service)).start()
    canary.release(BAD, ratio=4.0)
    canary.wait_phase("Succeeded", limit=300)
    assert canary.image() == BAD
    assert [one for one in canary.since_update() if one.failed] == []
    would = [line["would"] for line in canary.answers("rollback")]
    assert "abort" in would
    assert not [line for line in canary.answers("rollback") if line["verdict"] != "promote"]
    assert any("shadow: would abort: " in line for line in canary.history())
    canary.stop()


def lines_of_readme() -> Document:
    """Return what the README's part about Flagger puts into the spec of a Canary."""
    text = (ROOT / "README.md").read_text()
    blocks = [block for block in re.findall(r"```yaml\n(.*?)```", text, flags=re.DOTALL) if "/flagger/" in block]
    (block,) = blocks
    return dict(yaml.safe_load(block))


@pytest.mark.timeout(LIMIT_S)
def test_the_lines_of_the_readme_judge_a_release(cluster: Cluster) -> None:
    """Put into a Canary as they stand, with TOKEN filled in and no policy at all, they turn a bad release back."""
    service = cluster.service("flagger-readme", policies={})
    canary = Canary(cluster, "flagger-readme", Setup(service=service))
    spec = canary.document["spec"]
    fragment = yaml.safe_dump(lines_of_readme())
    # The scenarios share a machine: this service listens at a port of its own, as it has no policy.
    fragment = fragment.replace(SHIPPED_URL, service.url).replace("/t/TOKEN/", f"/t/{service.ask_token}/")
    spec.pop("analysis")
    spec |= yaml.safe_load(fragment)
    canary.start()
    canary.release(BAD, ratio=3.0)
    canary.wait_phase("Failed", limit=240)
    told = canary.ended()
    assert told["release"]["phase"] == "aborted"
    assert told["reports"][-1]["policy"].startswith("default@")
    quoted = "Post-rollout hook report failed "
    reason = wait_for(lambda: [s for s in canary.messages() if s.startswith(quoted)] or None, quoted, limit=10)
    assert "worse than stable" in reason[0]
    assert f"Rolling back {NAME}.{canary.namespace} manual webhook invoked" in canary.messages()
    canary.stop()
