"""Presets against a running Prometheus: each counts the series of its source, and nothing that only looks like them."""

from __future__ import annotations

import pytest

from tests.webhook.sources.scene import T0, codes, entries
from tests.webhook.sources.shapes import shapes
from webhook import queries
from webhook.policies import Policies, presets
from webhook.ports import Span

SHAPES = shapes()
NOT_COUNTED = frozenset({"pods", "healthy", "opentelemetry-target-info"})
"""Presets that tests of their own read."""


def asked(shape):
    """Return the policy that a release of the shape would use, and the labels and layouts that a frame pins."""
    return Policies.inline({"preset": shape.preset, "controller": shape.controller})


def pinned(scene, policy):
    """Return the label that stands for LABEL by question, as a frame finds it."""
    wanted = {q.name: queries.label_query(policy, scene.names, q.name) for q in queries.asked(policy)}
    asking = {name: query for name, query in wanted.items() if query is not None}
    answer = scene.source.fetch(list(asking.values()), Span(start=T0 + 60, end=T0 + 60, step=1.0), 20.0)
    for name, query in asking.items():
        assert queries.absent_label(policy, name, answer.points[query]) == ""
    found = {name: queries.pick_label(policy, name, answer.points[query]) for name, query in asking.items()}
    return {name: label for name, label in found.items() if label}


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.id)
def test_a_preset_counts_its_source(scene, shape):
    """Both sides by replica, look by look, with every decoy beside them."""
    scene.names.update(shape.names)
    scene.write(*shape.series(scene.namespace))
    policy = asked(shape)
    closed = scene.closed(policy, 2, labels=pinned(scene, policy))
    for question, (baseline, canary) in shape.found.items():
        assert codes(closed, question)[-1] is None, closed.rows[-1]["left_out"]
        assert entries(closed, "baseline", question)[-1] == baseline, question
        assert entries(closed, "canary", question)[-1] == canary, question


def test_every_preset_has_a_shape():
    """No preset is shipped that no test reads."""
    assert {shape.preset for shape in SHAPES} == set(presets()) - NOT_COUNTED
