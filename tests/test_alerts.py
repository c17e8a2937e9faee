"""The shipped alerts: read by the real promtool, and about metrics that the service really has."""

from __future__ import annotations

import re
import subprocess

import pytest
import yaml
from prometheus_client import CollectorRegistry

from tests.shipped import MANIFESTS, ROOT
from webhook.active import ActiveReleases
from webhook.placebo.metrics import PlaceboMetrics
from webhook.telemetry import Telemetry

RULES = MANIFESTS / "prometheus" / "weighbridge.rules.yaml"
EXAMPLES = ROOT / "tests" / "alerts.yaml"
ALERTS = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def promtool(*arguments):
    """Run promtool and fail with its words."""
    done = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def exported():
    """Return the labels of every metric of ours by the name that a scrape shows."""
    registry = CollectorRegistry()
    telemetry = Telemetry(registry, version="0")
    found = {}
    for metric in vars(telemetry).values():
        if hasattr(metric, "_labelnames"):
            (family,) = metric.describe()
            found[family.name + ("_total" if family.type == "counter" else "")] = set(metric._labelnames)
    found["weighbridge_build_info"] = {"version"}
    for collector in (ActiveReleases(list), PlaceboMetrics(list)):
        for family in collector.collect():
            found[family.name + ("_total" if family.type == "counter" else "")] = set(family._labelnames)
    return found


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_is_about_metrics_that_exist(rule):
    """Every metric of an expression is exported by the service, with the labels that the expression reads."""
    known = exported()
    names = set(re.findall(r"\bweighbridge_\w+", rule["expr"]))
    assert names
    assert names <= known.keys()
    read = set(re.findall(r"(\w+)=~?\"", rule["expr"]))
    for group in re.findall(r"\bby \(([^)]*)\)", rule["expr"]):
        read |= set(re.split(r",\s*", group))
    assert read <= set.union(*(known[name] for name in names))


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_it_means(rule):
    """An alert has a severity, a line for a pager and a description for the person who reads it."""
    assert rule["labels"]["severity"] in ("warning", "critical")
    assert len(rule["annotations"]["summary"]) <= 120
    assert rule["annotations"]["description"]


def test_every_alert_speaks_and_is_quiet(tmp_path):
    """Each alert speaks where it should and is quiet where it should, as the real Prometheus evaluates it."""
    examples = yaml.safe_load(EXAMPLES.read_text())
    expected = [one for test in examples["tests"] for one in test["alert_rule_test"]]
    for speaks in (True, False):
        tested = {one["alertname"] for one in expected if bool(one["exp_alerts"]) == speaks}
        assert tested == {rule["alert"] for rule in ALERTS}
    (tmp_path / "alerts.yaml").write_text(EXAMPLES.read_text().replace("RULES", str(RULES)))
    promtool("test", "rules", tmp_path / "alerts.yaml")


def test_the_file_is_a_rule_file():
    """Prometheus reads the file as it is."""
    promtool("check", "rules", RULES)
