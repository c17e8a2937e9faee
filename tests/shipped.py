"""What is shipped for the controllers, read into the models of them, and a service for the models to ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import yaml

from tests.controllers.argo import Analysis, Argument, Rollout, SetWeight, Step
from tests.controllers.flagger import Canary
from tests.controllers.flagger_hooks import Hook, HookType
from tests.controllers.measurement import Metric, duration, metric_from_manifest
from tests.controllers.wire import Answer, Call, Clock
from webhook.sources.memory import MemorySource

ROOT = Path(__file__).parents[1]
MANIFESTS = ROOT / "manifests"
BEGIN = 1_795_514_400.0
"""When the canary of `traffic` begins to serve: 2026-11-24T10:00:00Z."""
HISTORY_S = 3600
STEP_S = 10
FIELDS = {
    "metadata.namespace": lambda rollout: rollout.namespace,
    "metadata.name": lambda rollout: rollout.name,
    "status.currentStepIndex": lambda rollout: str(rollout.step),
}
HASHES = {"Latest": lambda rollout: rollout.hash, "Stable": lambda rollout: rollout.stable}


def documents(path: Path) -> list[dict[str, Any]]:
    """Return the objects of a manifest."""
    return [one for one in yaml.safe_load_all(path.read_text()) if one]


def traffic(times: float, hours: float = 3.0) -> MemorySource:
    """Return a source: four stable pods at 1 % errors for an hour, then a canary beside them with ``times`` as many."""
    looks = round((HISTORY_S + hours * 3600) / STEP_S)
    before = HISTORY_S // STEP_S

    def canary(value: float) -> np.ndarray:
        return np.r_[np.full(before, np.nan), np.full(looks - before, value)]

    def stable(value: float) -> dict[str, np.ndarray]:
        return {f"stable-{n}": np.full(looks, value) for n in range(4)}

    return MemorySource(
        start=BEGIN - HISTORY_S,
        step=float(STEP_S),
        numbers={
            "error-rate": {
                "bad": {
                    "baseline": stable(2.0),
                    "canary": {"canary-0": canary(1.5 * times), "canary-1": canary(1.5 * times)},
                },
                "total": {"baseline": stable(200.0), "canary": {"canary-0": canary(150.0), "canary-1": canary(150.0)}},
            }
        },
    )


class Asked:
    """The ``call`` of a model: asks an application, with these headers, and keeps what was said."""

    def __init__(self, app, headers: Mapping[str, str] | None = None) -> None:
        self.client = app.test_client()
        self.headers = dict(headers or {})
        self.answers: list[tuple[str, int, str]] = []
        self.down = False

    def __call__(self, method: str, url: str, body: Any) -> Answer:
        if self.down:
            raise ConnectionError("connect: connection refused")
        path = urlsplit(url).path
        told = self.client.open(path, method=method, json=body, headers={"Host": "127.0.0.1", **self.headers})
        self.answers.append((path, told.status_code, told.get_data(as_text=True)))
        return told.status_code, dict(told.headers), told.data


# ------------------------------------------------------------------------------------------ Argo Rollouts


def template(name: str) -> dict[str, Any]:
    """Return the shipped ClusterAnalysisTemplate of this name."""
    for path in sorted((MANIFESTS / "argo").glob("*.yaml")):
        for one in documents(path):
            if one["kind"] == "ClusterAnalysisTemplate" and one["metadata"]["name"] == name:
                return one
    raise KeyError(name)


def metrics_of(found: Mapping[str, Any]) -> list[Metric]:
    """Return the metrics of a template, arguments not yet filled in."""
    return [metric_from_manifest(metric) for metric in found["spec"]["metrics"]]


def arguments(found: Mapping[str, Any], given: Sequence[Mapping[str, Any]], secret: str = "") -> dict[str, Argument]:
    """Return the arguments of a template as a Rollout gives them; like Argo, without those that it does not declare."""
    known = {arg["name"]: arg for arg in found["spec"]["args"]}
    result: dict[str, Argument] = {}
    for name, arg in known.items():
        if "value" in arg:
            result[name] = arg["value"]
        elif "valueFrom" in arg:
            assert arg["valueFrom"].keys() == {"secretKeyRef"}
            result[name] = secret
    for arg in given:
        declared = arg["name"]
        if declared not in known:
            continue
        source = arg.get("valueFrom", {})
        if "podTemplateHashValue" in source:
            result[declared] = HASHES[source["podTemplateHashValue"]]
        elif "fieldRef" in source:
            result[declared] = FIELDS[source["fieldRef"]["fieldPath"]]
        else:
            assert isinstance(arg["value"], str)
            result[declared] = arg["value"]
    return result


def analysis(spec: Mapping[str, Any], secret: str = "") -> Analysis:
    """Return one ``analysis`` of a Rollout."""
    (reference,) = spec["templates"]
    assert reference["clusterScope"] is True
    found = template(reference["templateName"])
    return Analysis(metrics_of(found), arguments(found, spec.get("args", []), secret))


def rollout_of(strategy: Mapping[str, Any], clock: Clock, call: Call, secret: str = "") -> Rollout:
    """Return the Rollout with this ``canary`` strategy."""
    steps: list[Step] = [
        SetWeight(step["setWeight"]) if "setWeight" in step else analysis(step["analysis"], secret)
        for step in strategy["steps"]
    ]
    background = analysis(strategy["analysis"], secret) if "analysis" in strategy else None
    return Rollout(
        name="checkout",
        namespace="shop",
        steps=steps,
        background=background,
        stable="6c54bd4f4b",
        clock=clock,
        call=call,
        settle=1.0,
    )


# ------------------------------------------------------------------------------------------ Flagger


def canary_of(spec: Mapping[str, Any], clock: Clock, call: Call, token: str = "TOKEN") -> Canary:
    """Return the Canary of this ``spec``, with the token in its URLs."""
    found = spec["analysis"]
    hooks = [
        Hook(
            type=HookType(hook["type"]),
            name=hook["name"],
            url=hook["url"].replace("TOKEN", token),
            timeout=duration(hook["timeout"]),
            retries=hook.get("retries", 0),
            metadata=hook.get("metadata", {}),
        )
        for hook in found["webhooks"]
    ]
    return Canary(
        name="checkout",
        namespace="shop",
        provider=spec["provider"],
        hooks=hooks,
        clock=clock,
        call=call,
        interval=duration(found["interval"]),
        threshold=found["threshold"],
        step_weight=found.get("stepWeight", 10),
        max_weight=found.get("maxWeight", 100),
        iterations=found.get("iterations", 0),
    )
