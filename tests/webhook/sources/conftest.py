"""One Prometheus for all tests of this folder: each test writes under a namespace of its own."""

from __future__ import annotations

import itertools

import pytest

from tests.prometheus_server import running
from tests.webhook.sources.scene import Scene
from webhook.sources.prometheus import PrometheusSource

_numbers = itertools.count()


@pytest.fixture(scope="session")
def prometheus():
    """A running Prometheus without history."""
    with running() as server:
        yield server


@pytest.fixture(scope="session")
def source(prometheus):
    """The adapter in front of it."""
    adapter = PrometheusSource(prometheus.url)
    yield adapter
    adapter.close()


@pytest.fixture
def scene(prometheus, source):
    """A namespace that no other test writes to."""
    return Scene(server=prometheus, source=source, namespace=f"ns-{next(_numbers)}")
