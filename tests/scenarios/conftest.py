"""Fixtures of the scenarios: worlds with the policies in a folder, as a service has them."""

from __future__ import annotations

import json

import pytest

from tests.scenarios import policies
from tests.scenarios.world import BASE, World
from webhook.settings import Settings

SEVERAL = {
    "limited": policies.limited(),
    "both": policies.both(),
    "weighed": policies.weighed(),
    "every-second": policies.limited(looks={"scrape": "1s", "length": "1s"}),
    "two-minutes": policies.weighed(min_step="2m"),
    "patient": policies.patient(),
    "shadowed": policies.weighed(mode="shadow"),
    "advised": policies.weighed(mode="advise"),
}


@pytest.fixture
def folder(tmp_path):
    """Return a folder with the policies of the scenarios."""
    for name, policy in SEVERAL.items():
        (tmp_path / f"{name}.json").write_text(json.dumps({**policy, "name": name}), encoding="utf-8")
    return tmp_path


@pytest.fixture
def build(folder):
    """Return a function that makes a world: ``build(flow, **options)``; ``default`` names the default policy."""

    def made(flow, *, default="weighed", **options):
        settings = Settings(public_url=BASE, policies=folder, default_policy=default)
        return World(flow, settings=settings, **options)

    return made


@pytest.fixture
def client(build):
    """Return a client of a service that has no traffic: all numbers stand in the requests."""
    return build(None).client
