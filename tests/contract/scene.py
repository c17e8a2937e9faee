"""The real application over numbers in memory, with a clock that only moves when told to."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from flask import Flask
from flask.testing import FlaskClient

from webhook.app import create_app
from webhook.errors import StoreDown
from webhook.settings import Settings
from webhook.sources.memory import MemorySource
from webhook.stores.memory import MemoryStore

NOW = 1_000_000_000.0
STEP = 10.0
BEFORE = 60
"""Looks of stable history: ten minutes."""


class Clock:
    """Unix seconds that only move when somebody moves them."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class Switched:
    """A store that can be taken down: then every call fails as a store that does not answer."""

    def __init__(self, inner: MemoryStore) -> None:
        self.inner = inner
        self.down = False

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.inner, name)

        def call(*args: Any, **named: Any) -> Any:
            if self.down:
                raise StoreDown("the store was taken down")
            return found(*args, **named)

        return call


def counted(looks: int, bad: float, total: float) -> MemorySource:
    """
    Return a source in which four stable pods fail 1 % of 250 requests a look, and one canary pod joins them.

    The canary served the newest ``looks`` looks up to `NOW`, ``bad`` of ``total`` requests failed in each.
    """
    everything = BEFORE + looks
    missing = np.full(BEFORE, np.nan)
    stable = {f"s-{n}" for n in range(4)}
    canary = {"bad": np.r_[missing, np.full(looks, bad)], "total": np.r_[missing, np.full(looks, total)]}
    return MemorySource(
        start=NOW - STEP * everything,
        step=STEP,
        numbers={
            "error-rate": {
                name: {"baseline": {pod: np.full(everything, value) for pod in stable}, "canary": {"c-1": canary[name]}}
                for name, value in (("bad", 2.5), ("total", 250.0))
            }
        },
    )


SOURCES = {
    "promote": lambda: counted(180, 1.0, 100.0),
    "hold": lambda: counted(6, 0.0, 5.0),
    "abort": lambda: counted(60, 30.0, 100.0),
}
"""By the verdict that every stage with traffic comes to."""


@dataclass
class Scene:
    """
    A service and what it stands on.

    ``source`` and ``store`` are in memory and can be taken down; ``headers`` go with every request.
    """

    source: MemorySource
    settings: Settings = field(default_factory=Settings)
    headers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.clock = Clock()
        self.store = Switched(MemoryStore(retention_s=self.settings.retention_s, clock=self.clock))
        self.app: Flask = create_app(
            self.settings, store=self.store, sources={"default": self.source}, clock=self.clock
        )  # fmt: skip
        self.client: FlaskClient = self.app.test_client()

    def post(self, path: str, body: Any = None, **more: Any) -> Any:
        """Post an object as JSON, or text and bytes as they are."""
        if isinstance(body, str | bytes):
            return self.client.post(path, data=body, headers=self.headers, **more)
        return self.client.post(path, json=body, headers=self.headers, **more)

    def get(self, path: str, **more: Any) -> Any:
        return self.client.get(path, headers={**self.headers, **more.pop("headers", {})}, **more)

    def argo(self, query: str = "", **body: Any) -> Any:
        """Ask as Argo Rollouts does, about `RELEASE` unless told otherwise."""
        return self.post(f"/argo/analysis{query}", {"release": RELEASE, **body})

    def hook(self, name: str, query: str = "", **body: Any) -> Any:
        """Ask as Flagger does, about `CANARY` with what is changed."""
        return self.post(f"/flagger/{name}{query}", {**CANARY, **body})

    def override(self, verdict: str, name: str = "web", revision: str = "x1", **more: Any) -> Any:
        """Say a human's word about a release of the namespace ``shop``."""
        body = {"verdict": verdict, "reason": "we know better", "actor": "on-call", "revision": revision, **more}
        return self.post(f"/v1/releases/shop/{name}/override", body)


RELEASE = {
    "namespace": "shop",
    "name": "checkout",
    "revision": "6c54bd4f4b",
    "stable_revision": "5d8f7c9b6d",
    "step": "1",
}
CANARY = {"namespace": "shop", "name": "web", "phase": "Progressing", "checksum": "x1"}


def strict(text: str) -> Any:
    """Return the value of JSON text; NaN and infinities are refused."""

    def refuse(word: str) -> Any:
        raise AssertionError(f"no JSON: {word}")

    return json.loads(text, parse_constant=refuse)


def is_verdict_object(answer: Any) -> None:
    """Assert 200 and what Argo Rollouts needs with it: a JSON object of at most 2 KiB with a verdict of the three."""
    assert answer.status_code == 200, answer.text
    assert answer.content_type == "application/json"
    assert len(answer.data) <= 2048
    found = strict(answer.text)
    assert isinstance(found, dict)
    assert found["verdict"] in {"promote", "hold", "abort"}
    assert isinstance(found["reason"], str)
    assert 0 < len(found["reason"]) <= 200


def is_plain_line(answer: Any) -> None:
    """Assert what Flagger shows well: one plain line of at most 250 characters, never empty."""
    assert answer.content_type == "text/plain; charset=utf-8"
    line = answer.text.removesuffix("\n")
    assert 0 < len(line) <= 250
    assert line.isprintable()
