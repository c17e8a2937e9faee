"""The shipped manifests: read into the models of the controllers and driven against the real service."""

from __future__ import annotations

import json
import re

import pytest
import yaml

from tests.controllers.argo import RolloutPhase
from tests.controllers.flagger import CanaryPhase
from tests.controllers.flagger_hooks import HookType
from tests.controllers.measurement import Phase
from tests.controllers.wire import Clock
from tests.shipped import (
    BEGIN,
    MANIFESTS,
    Asked,
    analysis,
    arguments,
    canary_of,
    documents,
    metrics_of,
    rollout_of,
    template,
    traffic,
)
from webhook.app import create_app
from webhook.auth import new_token
from webhook.settings import Settings

ARGO = sorted((MANIFESTS / "argo").glob("*.yaml"))
CANARIES = sorted((MANIFESTS / "flagger").glob("canary*.yaml"))
FLAGGER = [MANIFESTS / "flagger" / name for name in ("canary-iterations.yaml", "canary.yaml")]
"""The two that are driven; the others ask the same, see `test_other_providers_ask_the_same`."""
OTHERS = [MANIFESTS / "flagger" / f"{name}.yaml" for name in ("metrictemplates", "alertprovider")]
GATES = ("weighbridge-gate", "weighbridge-final")
TEMPLATES = (*GATES, "weighbridge-watch", "weighbridge-once")
COUNTING = {HookType.PRE_ROLLOUT, HookType.ROLLOUT}


class Scene:
    """A guarded service over one source, the clock it shares with a model, and the token that may only ask."""

    def __init__(self, folder, times):
        self.clock = Clock(now=BEGIN)
        self.secret, entry = new_token("controller", ["ask"], ["shop"])
        tokens = folder / "tokens.yaml"
        tokens.write_text(yaml.safe_dump([entry]))
        self.source = traffic(times)
        settings = Settings(listen="0.0.0.0:8080", tokens_file=tokens)
        self.app = create_app(settings, sources={"default": self.source}, clock=lambda: self.clock.now)

    def asked(self, **headers):
        return Asked(self.app, {key.title(): value for key, value in headers.items()})


@pytest.fixture
def scene(tmp_path):
    return lambda times=1.0: Scene(tmp_path, times)


def argo(scene):
    """Return the shipped Rollout over this scene, and what it asks through."""
    header = next(iter(template("weighbridge-gate")["spec"]["metrics"]))["provider"]["web"]["headers"]
    assert header == [{"key": "Authorization", "value": "Bearer {{args.token}}"}]
    call = scene.asked(authorization=header[0]["value"].replace("{{args.token}}", scene.secret))
    (found,) = documents(MANIFESTS / "argo" / "rollout.yaml")
    return rollout_of(found["spec"]["strategy"]["canary"], scene.clock, call, scene.secret), call


def flagger(scene, name="canary.yaml"):
    """Return the shipped Canary over this scene, and what it asks through."""
    call = scene.asked()
    (found,) = documents(MANIFESTS / "flagger" / name)
    return canary_of(found["spec"], scene.clock, call, scene.secret), call


def minutes_said(path):
    """Return every number of minutes that the comment of a manifest names."""
    comment = " ".join(line for line in path.read_text().splitlines() if line.startswith("#"))
    found = {int(number) for number in re.findall(r"\b(\d+) minutes", comment)}
    return found | {int(number) for number in re.findall(r"\b(\d+) to \d+ minutes", comment)}


# ------------------------------------------------------------------------------------------ Argo Rollouts


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_has_both_conditions_and_patience(name):
    """Every metric tells three outcomes apart, waits longer than we take, and rides out thirty errors."""
    for metric in metrics_of(template(name)):
        assert metric.success == 'result.verdict == "promote"'
        assert metric.failure == 'result.verdict == "abort"'
        assert metric.timeout == 20 > Settings().deadline_s
        assert (metric.consecutive_error_limit, metric.failure_limit) == (30, 0)
        assert metric.json_path == "{$}"


@pytest.mark.parametrize("name", GATES)
def test_a_gate_waits_and_never_passes_undecided(name):
    """A gate ends at the first promote; holds alone end it inconclusive, never successful."""
    (metric,) = metrics_of(template(name))
    assert metric.consecutive_success_limit == 1
    assert metric.count == metric.inconclusive_limit == 180
    assert metric.count * metric.interval == 3600


def test_a_healthy_release_is_promoted(scene):
    """The shipped Rollout takes every step, each after a promote."""
    rollout, call = argo(scene())
    rollout.update("77db79d599").run(until=BEGIN + 3600)
    assert (rollout.phase, rollout.stable) == (RolloutPhase.HEALTHY, "77db79d599")
    assert [weight for _, weight in rollout.weights] == [10, 30, 60, 100]
    gates = [run for run in rollout.runs if run.step_index is not None]
    assert [run.phase for run in gates] == [Phase.SUCCESSFUL] * 3
    assert all(status == 200 for _, status, _ in call.answers)


def test_a_bad_release_is_aborted(scene):
    """At three times the errors the shipped Rollout goes back to the stable version."""
    rollout, call = argo(scene(3.0))
    rollout.update("77db79d599").run(until=BEGIN + 3600)
    assert (rollout.phase, rollout.weight) == (RolloutPhase.DEGRADED, 0)
    assert max(weight for _, weight in rollout.weights) == 10
    assert json.loads(call.answers[-1][2])["verdict"] == "abort"


def test_an_outage_of_the_source_waits(scene):
    """While Prometheus is away the shipped Rollout stays at its weight, for an hour; then a person decides."""
    found = scene()
    rollout, _ = argo(found)
    found.source.fail()
    rollout.update("77db79d599").run(until=BEGIN + 3000)
    assert (rollout.phase, rollout.weight) == (RolloutPhase.PROGRESSING, 10)
    rollout.run(until=BEGIN + 5400)
    assert (rollout.phase, rollout.weight, rollout.aborted) == (RolloutPhase.PAUSED, 10, False)


@pytest.mark.parametrize(
    ("hangs", "minutes"), [pytest.param(False, 5, id="refused"), pytest.param(True, 15, id="hanging")]
)
@pytest.mark.parametrize("name", TEMPLATES)
def test_minutes_of_our_outage_are_as_said(scene, name, hangs, minutes):
    """Out of reach, the run ends in Error after the minutes that stand beside the template, not before."""
    clock = Clock(now=BEGIN)
    minutes += 2 if name == "weighbridge-once" else 0  # its initial delay

    def nobody(method, url, body):
        if hangs:
            raise TimeoutError
        raise ConnectionError("connect: connection refused")

    strategy = {
        "steps": [
            {"setWeight": 10},
            {"analysis": {"templates": [{"templateName": name, "clusterScope": True}], "args": who()}},
        ]
    }
    rollout = rollout_of(strategy, clock, nobody).update("77db79d599")
    rollout.run(until=BEGIN + 60 * minutes - 20)
    assert rollout.phase is RolloutPhase.PROGRESSING
    rollout.run(until=BEGIN + 60 * (minutes + 1))
    assert rollout.phase is RolloutPhase.DEGRADED
    assert "consecutiveErrors (31) > consecutiveErrorLimit (30)" in rollout.message.replace('"', "")
    file = "fallback.yaml" if name == "weighbridge-once" else "clusteranalysistemplates.yaml"
    assert minutes in minutes_said(MANIFESTS / "argo" / file)


def who():
    """Return the arguments that the shipped Rollout gives to every template."""
    (found,) = documents(MANIFESTS / "argo" / "rollout.yaml")
    return found["spec"]["strategy"]["canary"]["analysis"]["args"]


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_argument_is_given_or_has_a_value(name):
    """No tag of a template stays unresolved, which would put the whole run in Error."""
    found = template(name)
    given = arguments(found, who(), "secret")
    used = set(re.findall(r"\{\{args\.([\w-]+)\}\}", yaml.safe_dump(found)))
    assert used == set(given)


def test_each_analysis_of_the_rollout_names_the_release():
    """Namespace, name, both hashes and the step index reach the service from every gate."""
    (found,) = documents(MANIFESTS / "argo" / "rollout.yaml")
    canary = found["spec"]["strategy"]["canary"]
    gates = [analysis(step["analysis"], "s") for step in canary["steps"] if "analysis" in step]
    asked = [gate.metrics[0].name for gate in gates]
    assert asked == ["weighbridge-gate", "weighbridge-gate", "weighbridge-final"]
    for gate in gates:
        assert {name for name, value in gate.args.items() if callable(value)} == {
            "namespace", "name", "canary-hash", "stable-hash", "step",
        }  # fmt: skip


# ------------------------------------------------------------------------------------------ Flagger


@pytest.mark.parametrize("path", CANARIES, ids=lambda path: path.name)
def test_no_shipped_hook_counts(path):
    """No hook whose refusal would count is used, and each asks its own path with ten seconds of patience."""
    (found,) = documents(path)
    hooks = found["spec"]["analysis"]["webhooks"]
    assert not {HookType(hook["type"]) for hook in hooks} & COUNTING
    assert {"confirm-rollout", "confirm-promotion", "rollback", "post-rollout", "event"} <= {h["type"] for h in hooks}
    for hook in hooks:
        assert hook["url"] == f"http://weighbridge.weighbridge.svc:8080/t/TOKEN/flagger/{hook['type']}"
        assert hook["timeout"] == "10s"


@pytest.mark.parametrize(
    ("name", "driven", "more"),
    [
        pytest.param("canary-gateway.yaml", "canary.yaml", set(), id="gateway"),
        pytest.param("canary-istio.yaml", "canary.yaml", set(), id="istio"),
        pytest.param("canary-ab.yaml", "canary-iterations.yaml", {"match"}, id="A/B"),
    ],
)
def test_other_providers_ask_the_same(name, driven, more):
    """What another provider's Canary asks, and when, is what the driven one asks; only how traffic is split differs."""
    (other,), (known,) = documents(MANIFESTS / "flagger" / name), documents(MANIFESTS / "flagger" / driven)
    mine, theirs = other["spec"]["analysis"], known["spec"]["analysis"]
    assert mine.keys() - theirs.keys() == more
    assert {key: mine[key] for key in theirs} == theirs
    assert other["spec"]["provider"] in ("gatewayapi:v1", "istio", "nginx")
    assert other["spec"]["targetRef"] == known["spec"]["targetRef"]
    assert {HookType.CONFIRM_TRAFFIC_INCREASE in {HookType(h["type"]) for h in mine["webhooks"]}} == {
        "stepWeight" in mine
    }


def test_a_first_canary_is_short():
    """The part of canary.yaml that is about us has at most twelve lines."""
    text = (MANIFESTS / "flagger" / "canary.yaml").read_text()
    assert len(text.partition("  analysis:\n")[2].strip().splitlines()) + 1 <= 12


@pytest.mark.parametrize("path", FLAGGER, ids=lambda path: path.name)
def test_a_healthy_canary_is_promoted(scene, path):
    """The shipped Canary goes to its end without a failed check."""
    canary, call = begun(scene(), path.name)
    canary.run(until=BEGIN + 5400)
    assert (canary.phase, canary.failed_checks) == (CanaryPhase.SUCCEEDED, 0)
    assert {status for _, status, _ in call.answers} <= {200, 202, 403}


@pytest.mark.parametrize("path", FLAGGER, ids=lambda path: path.name)
def test_a_bad_canary_is_rolled_back(scene, path):
    """At three times the errors the rollback hook acts, and an event quotes the reason."""
    canary, _ = begun(scene(3.0), path.name)
    canary.run(until=BEGIN + 5400)
    assert (canary.phase, canary.weight, canary.failed_checks) == (CanaryPhase.FAILED, 0, 0)
    said = [event.message for event in canary.events if "Post-rollout hook" in event.message]
    assert any("worse than stable" in message for message in said)


@pytest.mark.parametrize("path", FLAGGER, ids=lambda path: path.name)
@pytest.mark.parametrize("whose", ["ours", "the source's"])
def test_an_outage_neither_promotes_nor_rolls_back(scene, path, whose):
    """Five hours without us or without Prometheus: the canary stays where it is, no failed check, then goes on."""
    found = scene()
    canary, call = begun(found, path.name)
    canary.run(until=BEGIN + 60)
    weight = canary.weight
    if whose == "ours":
        call.down = True
    else:
        found.source.fail()
    canary.run(until=BEGIN + 5 * 3600)
    assert canary.phase in (CanaryPhase.PROGRESSING, CanaryPhase.WAITING_PROMOTION)
    assert (canary.weight, canary.failed_checks, canary.promoted) == (weight, 0, "1")
    assert {5} <= minutes_said(path)


def begun(scene, name):
    """Return the Canary with a new revision, initialised before the canary of the source begins to serve."""
    scene.clock.now = BEGIN - 120
    canary, call = flagger(scene, name)
    canary.run(until=BEGIN - 60)
    return canary.update("2"), call


@pytest.mark.parametrize("path", [*ARGO, *CANARIES, *OTHERS], ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_manifest_says_what_an_outage_does(path):
    """Beside every file stands what happens when we cannot be reached, in minutes."""
    comment = [line for line in path.read_text().splitlines() if line.startswith("#")]
    assert any("when weighbridge cannot be reached" in line.lower() for line in comment)
    assert minutes_said(path)
