"""Labels of axes, and which panels there are."""

from __future__ import annotations

import math

import pytest

from webhook.plots import captions
from webhook.plots.axes import spread


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        pytest.param([0.5, 0.0, 1.0], [0.0, 0.5, 1.0], id="rising"),
        pytest.param([0.5, 0.55, 0.6], [0.5, 0.6], id="the more wanted wins where room is short"),
        pytest.param([-0.1, 0.2, 1.1], [0.2], id="what lies outside is left out"),
        pytest.param([], [], id="none"),
    ],
)
def test_labels_have_room(wanted, expected):
    """No two labels are nearer than a fourteenth of the axis."""
    assert spread(wanted, lambda value: value) == expected


@pytest.mark.parametrize(
    ("exponent", "expected"),
    [(0, "even"), (3, "1,000 : 1"), (-2, "1 : 100"), (6, "1,000,000 : 1"), (9, "1e9 : 1"), (-9, "1 : 1e9")],
)
def test_odds_are_words(exponent, expected):
    """An axis of evidence reads as odds, not as logarithms."""
    assert captions.power(exponent) == expected


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        pytest.param("proportion", 0.012, "1.2 %", id="share"),
        pytest.param("gauge", 0.35, "0.35", id="level"),
        pytest.param("gauge", math.nan, "", id="nothing"),
    ],
)
def test_numbers_of_a_side(kind, value, expected):
    """Shares are per cent, levels numbers."""
    assert captions.kept(kind, value) == expected


def test_what_has_a_plot():
    """Questions that are weighed, in their order; nothing where no look was weighed or a human spoke."""
    evidence = [{"name": n, "kind": k} for n, k in (("b", "gauge"), ("a", "limits"), ("c", "latency"), ("", "gauge"))]
    report = {"window": {"looks": 3}, "detail": {"evidence": evidence}}
    assert captions.plotted(report) == ["b", "c"]
    assert captions.plotted({**report, "window": {"looks": 0}}) == []
    assert captions.plotted({**report, "detail": {"evidence": evidence, "override": {"actor": "x"}}}) == []
    assert captions.plotted({}) == []
