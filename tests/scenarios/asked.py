"""One process that asks about a release at its own cadence: ``python -m tests.scenarios.asked SECONDS`` prints JSON."""

from __future__ import annotations

import json
import sys

from tests.scenarios.policies import weighed
from tests.scenarios.world import T0, World, split

NEW = "7d9b8c5f66"
TO = 240.0


class Held:
    """A canary that has a tenth of the traffic for ten minutes: a release whose weight nobody moves."""

    hash = NEW
    weights = ((T0, 10), (T0 + 3600, 0))


def world(factor=1.0, seed=11):
    """Return a world with a canary that fails ``factor`` times as often."""
    made = World(split(requests=3000.0, factor=factor, seed=seed), seconds=900.0)
    made.follow(Held)
    return made


def ask(made, **more):
    """Return status and verdict object of one question in the words of Argo's template."""
    release = {"namespace": "shop", "name": "web", "revision": NEW, "stable_revision": "6c54bd4f4b", "step": "1"}
    body = {"release": release, "policy": weighed(), "stage": "step", **more}
    status, _, content = made.call("POST", "http://weighbridge.test/argo/analysis", body)
    assert status == 200
    return json.loads(content)


def answers(made, every, until=TO):
    """Return by second what was answered every ``every`` seconds, up to an abort: id, verdict and log e."""
    found = {}
    second = 0.0
    while second <= until:
        made.clock.now = T0 + second
        said = ask(made)
        report = made.get(f"/v1/reports/{said['id']}")
        evidence = report["detail"]["evidence"]
        found[f"{second:.0f}"] = {
            "id": said["id"],
            "verdict": said["verdict"],
            "window": said["window"],
            "log_e": evidence[0]["log_e"] if evidence else {},
        }
        if said["verdict"] == "abort":
            break  # Argo Rollouts asks no more
        second += every
    return found


if __name__ == "__main__":
    json.dump(answers(world(), float(sys.argv[1])), sys.stdout)
