"""
A small world for a rollout: traffic that follows the weights, a source that saw it, a service, and one clock for all.

Nothing waits: the controller models move the clock, and every step of traffic that has passed is written to the source
before the next request is answered.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from urllib.parse import urlsplit

import numpy as np

from tests.controllers.wire import Clock
from webhook.app import create_app
from webhook.errors import StoreDown
from webhook.settings import Settings
from webhook.sources.memory import MemorySource
from webhook.stores.memory import MemoryStore

T0 = 1_700_000_000.0
"""When the world begins; a multiple of no usual interval."""
HISTORY_S = 1800.0
BASE = "http://weighbridge.test"

EDGES = (0.1, 0.2, 0.3, 0.35, 0.4, 0.5, 0.6, 0.8)


def buckets(requests, p50, p95, p99):
    """Return bucket counts of ``requests`` durations whose percentiles are exactly the ones named (all in EDGES)."""
    counts = np.zeros(len(EDGES) + 1)
    for value, share in ((p50, 0.50), (p95, 0.45), (p99, 0.04)):
        counts[EDGES.index(value)] += share * requests
    counts[-1] += 0.01 * requests
    return counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """What one side does in one step: requests, errors, and the percentiles of their durations."""

    total: float
    bad: float
    latency: tuple[float, float, float] = (0.1, 0.3, 0.5)


class SwitchedStore:
    """A store in memory that can be switched off, for reading and writing alike."""

    def __init__(self, kept=None):
        self.kept = kept if kept is not None else MemoryStore()
        self.down = False

    def __getattr__(self, name):
        if self.down:
            raise StoreDown("the store was switched off")
        return getattr(self.kept, name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One request and its answer."""

    time: float
    method: str
    path: str
    sent: object
    status: int
    text: str

    @property
    def hook(self):
        """Return the last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def verdict(self):
        """Return the verdict of an answer in JSON, else None."""
        return json.loads(self.text).get("verdict") if self.text.startswith("{") else None


class World:
    """
    One service with its source, its store and its callers.

    Parameters
    ----------
    flow : callable
        ``flow(step, weight) -> (baseline, canary)``: what both sides do in step number ``step`` (from 0 at T0, negative
        before) while the canary has ``weight`` percent; the canary's part counts only while it has traffic.
    step : float
        Seconds between two samples.
    seconds : float
        How long the world lasts.
    baseline, canary : int
        Pods of each side; what a side does is split evenly.
    settings : Settings
    """

    def __init__(self, flow, *, step=10.0, seconds=7200.0, baseline=4, canary=2, settings=None):
        self.flow, self.step = flow, step
        self.clock = Clock(T0)
        self.store = SwitchedStore(MemoryStore(clock=lambda: self.clock.now))
        self.settings = settings or Settings(public_url=BASE)
        self.before = round(HISTORY_S / step)
        self.steps = self.before + round(seconds / step)
        self.pods = {"baseline": [f"stable-{n}" for n in range(baseline)], "canary": []}
        self.canary_pods = canary
        self.numbers = {"error-rate": {"bad": {}, "total": {}}, "latency": {"counts": {}}}
        for fields in self.numbers.values():
            for sides in fields.values():
                sides |= {"baseline": {}, "canary": {}}
        self.source = MemorySource(
            start=T0 - HISTORY_S, step=step, numbers=self.numbers, edges={"latency": EDGES}, labels=("code",)
        )
        self.followed = None
        self.written = 0
        self.heard = []
        self.unreachable = False
        self.stray = (0.0, 0.0)
        """When requests reach a canary that has no weight, as those of an acceptance test do."""
        self.restart()

    # the service

    def restart(self, store=None):
        """Start the service anew, on the same store unless another is given; what it had in memory is gone."""
        if store is not None:
            self.store = store
        self.app = create_app(
            self.settings,
            store=self.store,
            sources={"default": self.source},
            clock=lambda: self.clock.now,
            stopwatch=lambda: self.clock.now,
        )
        self.client = self.app.test_client()

    def call(self, method, url, body=None):
        """Answer one request of a controller model (`tests.controllers.wire.Call`)."""
        if self.unreachable:
            raise ConnectionError("connect: connection refused")
        self.flowed()
        parts = urlsplit(url)
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        data = None if body is None else body.encode() if isinstance(body, str) else json.dumps(body).encode()
        answer = self.client.open(path, method=method, data=data, content_type="application/json")
        text = answer.get_data(as_text=True)
        self.heard.append(
            Heard(time=self.clock.now, method=method, path=parts.path, sent=body, status=answer.status_code, text=text)
        )
        return answer.status_code, dict(answer.headers), answer.get_data()

    def get(self, path):
        """Return the JSON of a GET."""
        self.flowed()
        return self.client.get(path, headers={"Accept": "application/json"}).get_json()

    def override(self, name, verdict, **more):
        """Let a person say a word about a release."""
        body = {"verdict": verdict, "reason": "seen on the dashboard", "actor": "ada", **more}
        answer = self.client.post(f"/v1/releases/shop/{name}/override", json=body)
        assert answer.status_code == 201, answer.get_data(as_text=True)
        return answer.get_json()

    # what happened

    def release(self, name="web"):
        """Return what the service tells about a release."""
        return self.get(f"/v1/releases/shop/{name}")

    def closing(self, name="web", attempt=-1):
        """Return the closing report of an attempt."""
        closing = self.release(name)["attempts"][attempt]["closing"]
        assert closing is not None, "no closing report"
        return self.get(f"/v1/reports/{closing['report']}")

    def since(self, time, *hooks):
        """Return the answers from a time on, of these hooks (all if none are named)."""
        return [one for one in self.heard if one.time >= time and (not hooks or one.hook in hooks)]

    # the traffic

    def follow(self, model):
        """Let the traffic follow the weights of this model from now on."""
        self.followed = model
        return model

    def flowed(self):
        """Write every step of traffic that has passed."""
        while self.written < self.steps and self._end(self.written) <= self.clock.now + 1e-6:
            index = self.written
            weight, revision = self._share(self._end(index) - self.step)
            stable, new = self.flow(index - self.before, weight)
            self._write(index, "baseline", self.pods["baseline"], stable)
            begins = self._end(index) - self.step
            if weight > 0 or self.stray[0] <= begins < self.stray[1]:
                self._write(index, "canary", [f"{revision}-{n}" for n in range(self.canary_pods)], new)
            self.written += 1

    def _end(self, index):
        return self.source.start + (index + 1) * self.step

    def _share(self, time):
        """Return the canary's percent, and its revision, at a time."""
        if self.followed is None:
            return 0, ""
        shares = [weight for when, weight in self.followed.weights if when <= time + 1e-6]
        revision = getattr(self.followed, "hash", None) or self.followed.applied
        return (shares[-1] if shares else 0), revision

    def _write(self, index, side, pods, flow):
        share = 1 / len(pods)
        for pod in pods:
            for question, field, value in (
                ("error-rate", "bad", flow.bad * share),
                ("error-rate", "total", flow.total * share),
                ("latency", "counts", buckets(flow.total * share, *flow.latency)),
            ):
                arrays = self.numbers[question][field][side]
                if pod not in arrays:
                    arrays[pod] = np.full((self.steps, *np.shape(value)), np.nan)
                arrays[pod][index] = value


def steady(baseline, canary):
    """Return a flow that is the same in every step, at every weight."""
    return lambda step, weight: (baseline, canary)


def split(requests=5000.0, rate=0.01, factor=1.0, seed=7):
    """
    Return traffic split by weight, with binomial errors.

    Parameters
    ----------
    requests : float
        Of both sides in one step.
    rate : float
        Bad share of stable; the canary has ``factor`` times that. ``factor`` may be a function of the step.
    """

    def flow(step, weight):
        draw = np.random.default_rng([seed, step + 1_000_000])
        times = factor(step) if callable(factor) else factor
        new = round(requests * weight / 100)
        old = round(requests) - new
        bad = draw.binomial(old, rate)
        return Flow(total=old, bad=bad), Flow(total=new, bad=draw.binomial(new, min(1.0, rate * times)))

    return flow
