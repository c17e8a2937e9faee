"""The chart's values: what is refused, and that the schema knows them all."""

from __future__ import annotations

import json

import pytest
import yaml

from tests import charted
from tests.charted import ROOT, needs_helm
from webhook.settings import variables

pytestmark = needs_helm
SET_BY_THE_CHART = {
    "listen", "prometheus", "prometheus_bearer_file", "prometheus_basic", "prometheus_headers", "prometheus_ca_file",
    "policies", "default_policy", "store", "tokens_file", "no_auth", "tls_cert_file", "tls_key_file",
}  # fmt: skip
"""Settings that have values of their own instead of a key below ``settings``."""


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param("replica=2", "additional properties 'replica' not allowed", id="unknown value"),
        pytest.param("settings.mod=shadow", "additional properties 'mod' not allowed", id="unknown setting"),
        pytest.param("settings.mode=loud", "/settings/mode", id="unknown mode"),
        pytest.param("replicas=0", "/replicas", id="no replica"),
        pytest.param("replicas=2", "SQLite file belongs to one replica", id="two writers"),
        pytest.param("autoscaling.enabled=true", "SQLite file belongs to one replica", id="autoscaled writers"),
        pytest.param("store.kind=postgres", "/store/kind", id="unknown store"),
        pytest.param("store.kind=redis", "store.redis.url: must be given", id="redis without a place"),
        pytest.param(
            "store.kind=redis,store.redis.url=redis://u:p@r",
            "must not hold a password",
            id="password of redis in sight",
        ),
        pytest.param("prometheus.url=http://u:p@prometheus", "must not hold a password", id="password in sight"),
        pytest.param("prometheus.url=prometheus:9090", "/prometheus/url", id="no scheme"),
        pytest.param("tokens.secret=", "tokens: must name a secret", id="no tokens"),
        pytest.param(
            "tokens.entries[0].name=a,tokens.entries[0].hash=secret,tokens.entries[0].scopes[0].verb=ask",
            "/tokens/entries/0/hash",
            id="a secret where its hash belongs",
        ),
        pytest.param("policies.files.checkout=x", "'checkout' does not match pattern", id="a policy without a suffix"),
        pytest.param("policies.configMap=a,policies.files.b\\.yaml=c", "not both", id="policies twice"),
        pytest.param("ingress.enabled=true", "ingress.host: must be given", id="an ingress for nobody"),
        pytest.param(
            "metrics.serviceMonitor.enabled=true,metrics.podMonitor.enabled=true",
            "count everything twice",
            id="two monitors",
        ),
        pytest.param("image.digest=latest", "/image/digest", id="no digest"),
        pytest.param("podDisruptionBudget.maxUnavailable=0", "/podDisruptionBudget", id="a budget that blocks drains"),
    ],
)
def test_mistakes_are_refused(options, words):
    """A value that cannot be, or two that contradict each other, end in words that name the place."""
    done = charted.template(None, "--set", options)
    assert done.returncode != 0
    assert words in done.stderr


def test_settings_are_those_of_the_service():
    """Below `settings` stands every setting that the chart does not set from a value of its own, and no other."""
    schema = json.loads((ROOT / "values.schema.json").read_text())
    known = {name.removeprefix("WEIGHBRIDGE_").lower() for name in variables()}
    assert known >= SET_BY_THE_CHART
    assert set(schema["properties"]["settings"]["properties"]) == known - SET_BY_THE_CHART


def test_every_value_is_in_the_schema():
    """The schema knows each default of values.yaml and has no other key, at every depth that has fixed keys."""
    schema = json.loads((ROOT / "values.schema.json").read_text())
    values = yaml.safe_load((ROOT / "values.yaml").read_text())

    def compare(shape, value, place):
        shape = schema["definitions"][shape["$ref"].rpartition("/")[2]] if "$ref" in shape else shape
        if shape.get("additionalProperties") is not False or place == "/settings":
            return
        assert shape["properties"].keys() - {"global"} == value.keys(), place
        for name, inner in value.items():
            if isinstance(inner, dict):
                compare(shape["properties"][name], inner, f"{place}/{name}")

    compare(schema, values, "")
