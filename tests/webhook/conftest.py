"""The service as the tests of the blueprints see it: numbers and store in memory, a clock that stands still."""

from __future__ import annotations

import pytest

from tests.contract.scene import SOURCES, Scene


@pytest.fixture
def scenes():
    """Make services by the verdict that their numbers come to: promote, hold, abort."""

    def make(verdict, **more):
        return Scene(source=SOURCES[verdict](), **more)

    return make


@pytest.fixture
def service(scenes):
    """A service whose canary does as well as stable."""
    return scenes("promote")


@pytest.fixture
def clock(service):
    """The clock of `service`."""
    return service.clock
