"""Flagger's MetricTemplates: as the real Prometheus evaluates them on metrics that the service exports."""

from __future__ import annotations

import re
import subprocess

import pytest
import yaml

from tests.shipped import MANIFESTS, documents
from tests.test_alerts import exported

FILE = MANIFESTS / "flagger" / "metrictemplates.yaml"
TEMPLATES = {one["metadata"]["name"]: one["spec"]["query"] for one in documents(FILE)}
WORDS = {"namespace": "shop", "name": "checkout", "variables.question": "error-rate"}
RELEASE = 'cluster="", namespace="shop", name="checkout"'


def rendered(name):
    """Return the query of a template for one release, as Flagger fills it in."""
    return re.sub(r"\{\{ ([\w.]+) \}\}", lambda match: WORDS[match[1]], TEMPLATES[name]).strip()


@pytest.mark.parametrize(
    ("name", "series", "value"),
    [
        pytest.param("weighbridge-abort", {}, 0, id="nobody is there"),
        pytest.param(
            "weighbridge-abort", {f'weighbridge_release_verdict{{{RELEASE}, verdict="abort"}}': 0}, 0, id="hold"
        ),
        pytest.param(
            "weighbridge-abort",
            {f'weighbridge_release_verdict{{{RELEASE}, verdict="abort", pod="{pod}"}}': 1 for pod in "ab"},
            1,
            id="abort, told by two replicas",
        ),
        pytest.param(
            "weighbridge-abort",
            {'weighbridge_release_verdict{cluster="", namespace="pay", name="checkout", verdict="abort"}': 1},
            0,
            id="abort of another",
        ),
        pytest.param("weighbridge-effect", {}, 0, id="nothing is known"),
        pytest.param(
            "weighbridge-effect",
            {
                f'weighbridge_question_effect_low{{{RELEASE}, question="error-rate", measure="ratio"}}': 1.5,
                f'weighbridge_question_effect_low{{{RELEASE}, question="latency", measure="ratio"}}': 9,
            },
            1.5,
            id="one question's",
        ),
    ],
)
def test_a_template_always_has_a_value(name, series, value, tmp_path):
    """Also where nothing is known there is one number: Flagger counts an empty answer as a failed check."""
    test = {
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": key, "values": f"{number}x5"} for key, number in series.items()],
                "promql_expr_test": [
                    {"expr": rendered(name), "eval_time": "3m", "exp_samples": [{"labels": "{}", "value": value}]}
                ],
            }
        ],
    }
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(test))
    done = subprocess.run(
        ["promtool", "test", "rules", tmp_path / "test.yaml"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_reads_metrics_that_exist(name):
    """Every metric of a query is exported by the service, with the labels that the query reads."""
    (metric,) = re.findall(r"\bweighbridge_\w+", TEMPLATES[name])
    assert set(re.findall(r"(\w+)=\"", TEMPLATES[name])) <= exported()[metric]
