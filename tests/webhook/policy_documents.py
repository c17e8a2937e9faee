"""Policies as plain documents, for several tests."""

from __future__ import annotations

import re

import jsonschema

from webhook.policies import presets
from webhook.schema import policy as wire
from webhook.schema.problems import PolicyProblems

SIDED = 'x_total{$side, code=~"5.."}'
VALIDATOR = jsonschema.Draft202012Validator(wire.json_schema(tuple(presets())))
TIED = re.compile("must rise|must be unique|names no question")
"""Rules between two places, which a JSON Schema cannot say."""


def shortest(**more):
    """Return a policy without anything that it asks."""
    return {"apiVersion": "weighbridge/v1", "name": "x"} | more


def asking(*questions, **more):
    """Return a policy with these questions."""
    return shortest(questions=list(questions), **more)


def proportion(**more):
    """Return the question for the error rate."""
    return {"name": "error-rate", "kind": "proportion", "bad": SIDED, "total": SIDED} | more


def read(content):
    """Return the policy of a document, with the shipped presets."""
    return wire.read(content, presets(), "x.yaml")


def refusals(content):
    """Return the problems of a policy as text, none if it is legal."""
    try:
        read(content)
    except PolicyProblems as error:
        return [str(problem) for problem in error.problems]
    return []


EVERYTHING = asking(
    proportion(tolerance={"ratio": 2}, weight="critical", required=True, may="hold", no_data="ignore", exclude='a="b"'),
    {
        "name": "latency", "kind": "latency", "histogram": "h{$side}", "unit": "ms", "slo_edges": [100, 250.5],
        "tolerance": {"shift": 1.1}, "replica_from": {"series": "target_info", "match": ["job"], "label": "pod"},
    },
    {"name": "cpu", "kind": "gauge", "query": "rate(cpu{$side}[1m])", "weight": "info", "muted": True},
    {"name": "jobs", "kind": "rate", "events": SIDED, "exposure": "time", "select": {"replica": []}},
    {"name": "orders", "kind": "ratio", "numerator": SIDED, "denominator": SIDED, "direction": "decrease"},
    {
        "name": "p99", "kind": "quantile", "query": SIDED,
        "proof": "variation", "variation_may": "hold", "pod_limited": "hold",
    },
    {
        "name": "classic", "kind": "limits", "min_requests": 10, "consecutive": 3,
        "any_of": [
            {"question": "error-rate", "max": 0.05},
            {"all_of": [
                {"question": "latency", "percentile": "p95", "max_increase": 0.5},
                {"question": "cpu", "max": 1},
            ]},
        ],
    },
    {
        "name": "slo", "kind": "objective", "bad": [SIDED, SIDED], "total": SIDED, "target": 0.99, "period": "7d",
        "budget": {"warn": 0.25, "max_burn": 6},
    },
    match=[{"namespace": "shop*", "name": "checkout"}, {"name": "cart-?"}],
    mode="advise", controller="flagger", source="eu",
    select={"baseline": 'a="$baseline"', "canary": 'a="$canary"', "replica": ["pod"], "exclude": ""},
    looks={"scrape": "15s", "length": "auto", "lag": "0s", "warm_up": "2m"},
    noise={"history": "2h"}, alpha={"abort": 0.01, "tolerated": 0.5},
    freeze_limit="0s", harm_budget=5, steps=[0.05, 0.5, 1], min_step="1.5m", min_requests=100, first_traffic="90s",
    deadline={"after": "1d", "then": {"promote_if": 2.0}},
)  # fmt: skip
