"""
The application of a service that nobody has configured yet: the same as ever, and a demonstration in its store.

The demonstration is judged by a second application on the same store, whose clock runs faster. So the pages
show it while every request of a caller is answered as always.
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace
from typing import Any

from analysis.types import Json
from webhook import app, logs
from webhook.demo.rollout import NAMESPACE, Demonstration
from webhook.errors import WebhookError
from webhook.ports import Store
from webhook.settings import Settings
from webhook.stores import open_store

BEGAN_S = 1800.0
"""How long ago the demonstration pretends to have begun: longer than it takes in simulated time."""
TICK_WALL_S = 0.25
"""Seconds of ours for one tick of it: forty times as fast, slow enough to watch by reloading the page."""

SEED = 3
"""The first page looks alike everywhere; ``weighbridge demo`` draws another seed every time."""


def create_app(settings: Settings) -> Any:
    """Return the application, and play the demonstration beside it unless somebody's releases are in the store."""
    store = open_store(settings)
    application = app.create_app(settings, store=store)
    threading.Thread(target=_play, args=(settings, store), name="demonstration", daemon=True).start()
    return application


class InProcess:
    """Asks an application without a network; see `webhook.demo.rollout.Caller`."""

    def __init__(self, application: Any) -> None:
        self._client = application.test_client()

    def post(self, path: str, body: Json) -> dict[str, Any]:
        """Return the JSON that the service answers to a POST."""
        return self._read(self._client.post(path, data=json.dumps(body), content_type="application/json"))

    def get(self, path: str) -> dict[str, Any]:
        """Return the JSON that the service answers to a GET."""
        return self._read(self._client.get(path))

    @staticmethod
    def _read(response: Any) -> dict[str, Any]:
        if response.status_code >= 400:
            raise WebhookError(f"the demonstration was answered {response.status_code}: {response.text[:300]}")
        return dict(response.get_json())


def _play(settings: Settings, store: Store) -> None:
    try:
        if any(known["namespace"] != NAMESPACE for known in store.releases()):
            return
        demonstration = Demonstration.beginning(time.time() - BEGAN_S, seed=SEED)
        inner = app.create_app(
            replace(settings, cluster=""), store=store, sources=demonstration.sources(), clock=demonstration.clock
        )
        logs.event(
            "demonstration",
            namespace=NAMESPACE,
            reason="no source is configured (--prometheus URL): two simulated releases are judged to show the pages",
        )
        for _ in demonstration.play(InProcess(inner), lambda: time.sleep(TICK_WALL_S)):
            pass
    except WebhookError as error:
        logs.event("demonstration", level=30, namespace=NAMESPACE, reason=f"ended early: {error}")
