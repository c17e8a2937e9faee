"""
One replica of the service on a shared Redis: ``python -m tests.scenarios.turns URL`` answers on stdout, line by line.

Each line of stdin is a time, in seconds after T0: that is what its clock says when it is asked.
"""

from __future__ import annotations

import sys

from tests.scenarios.asked import NEW, world
from tests.scenarios.policies import weighed
from tests.scenarios.world import T0
from webhook.stores.redis import RedisStore


def replica(url, factor=1.0):
    """Return a world whose service keeps everything in this Redis."""
    made = world(factor=factor)
    made.restart(RedisStore(url, clock=lambda: made.clock.now))
    return made


def answer(made, second):
    """Return the text of the answer to Argo's question at this time."""
    made.clock.now = T0 + second
    release = {"namespace": "shop", "name": "web", "revision": NEW, "stable_revision": "6c54bd4f4b", "step": "1"}
    body = {"release": release, "policy": weighed(), "stage": "step"}
    status, _, content = made.call("POST", "http://weighbridge.test/argo/analysis", body)
    assert status == 200
    return content.decode().strip()


if __name__ == "__main__":
    ours = replica(sys.argv[1])
    print("ready", flush=True)  # noqa: T201 - the test reads it
    for line in sys.stdin:
        print(answer(ours, float(line)), flush=True)  # noqa: T201
