"""Both controllers set up as the shipped templates set them up, pointed at a world."""

from __future__ import annotations

import json
from dataclasses import dataclass

from tests.controllers.argo import Analysis, Rollout, SetWeight, identity
from tests.controllers.flagger import Canary
from tests.controllers.flagger_hooks import Hook, HookType
from tests.controllers.measurement import Metric
from tests.scenarios.world import BASE

SHIPPED = (
    HookType.CONFIRM_ROLLOUT,
    HookType.CONFIRM_TRAFFIC_INCREASE,
    HookType.CONFIRM_PROMOTION,
    HookType.ROLLBACK,
    HookType.POST_ROLLOUT,
    HookType.EVENT,
)
"""No hook that counts: an outage can then neither promote nor roll back."""
PATIENCE = 1000


def metric(policy=None, *, interval=10.0, delay=0.0, stage=None, **more):
    """Return the three-valued gate: promote ends it, abort aborts, hold is asked again."""
    release = {
        "namespace": "{{args.namespace}}",
        "name": "{{args.name}}",
        "revision": "{{args.canary-hash}}",
        "stable_revision": "{{args.stable-hash}}",
        "step": "{{args.step}}",
        "annotation": "{{args.revision}}",
    }
    body = {"release": release, "policy": json.dumps(policy) if isinstance(policy, dict) else policy or ""}
    if stage is not None:
        body["stage"] = stage
    return Metric(
        name="weighbridge",
        url=f"{BASE}/argo/analysis",
        method="POST",
        json_body=body,
        timeout=20.0,
        success='result.verdict == "promote"',
        failure='result.verdict == "abort"',
        interval=interval,
        initial_delay=delay,
        consecutive_error_limit=30,
        **more,
    )


def gate(policy=None, *, passes=1, **more):
    """Return an inline analysis that waits for ``passes`` promotes in a row."""
    one = metric(policy, count=PATIENCE, inconclusive_limit=PATIENCE, consecutive_success_limit=passes, **more)
    return Analysis([one], args=identity())


def rollout(world, weights=(5, 25, 45, 65, 85), *, policy=None, background=None, name="web", settle=0.0, **more):
    """Return a Rollout that asks after every weight; the last question is named ``final``."""
    steps = []
    for weight in weights:
        steps += [SetWeight(weight), gate(policy, stage="final" if weight == weights[-1] else "step", **more)]
    made = Rollout(
        name=name,
        namespace="shop",
        steps=steps,
        background=background,
        stable="6c54bd4f4b",
        clock=world.clock,
        call=world.call,
        settle=settle,
    )
    return world.follow(made)


def watching(policy=None, interval=10.0):
    """Return a background analysis, as long as the rollout lasts."""
    one = metric(policy, interval=interval, stage="background", inconclusive_limit=PATIENCE)
    return Analysis([one], args=identity())


@dataclass(slots=True, kw_only=True)
class SteppedCanary(Canary):
    """A Canary with ``stepWeights``: the weights one after the other, the last one before the promotion."""

    steps: tuple[int, ...] = ()

    def _shift(self) -> None:
        coming = next((weight for weight in self.steps if weight > self.weight), self.steps[-1])
        self.step_weight, self.max_weight = coming - self.weight, self.steps[-1]
        Canary._shift(self)


def canary(world, weights=(5, 25, 45, 65, 85, 100), *, policy=None, kinds=SHIPPED, query="", name="web", **more):
    """Return a Canary with one hook of each kind; ``query`` is added to the path of its rollout hook."""
    metadata = {"policy": policy} if policy else {}
    hooks = [
        Hook(
            type=kind,
            name=kind.value,
            url=f"{BASE}/flagger/{kind.value}{query if kind is HookType.ROLLOUT else ''}",
            metadata=metadata,
        )
        for kind in kinds
    ]
    made = SteppedCanary(
        name=name, namespace="shop", hooks=hooks, clock=world.clock, call=world.call, steps=weights, **more
    )
    return world.follow(made)


def begun(model, revision="2"):
    """Initialise a Canary and give it a new revision; return it at the moment of the change."""
    model.run(model.clock.now + 2 * model.interval)
    return model.update(revision)
