"""Policies as plain data: defaults, and what cannot be asked."""

from __future__ import annotations

import math

import pytest

from analysis.errors import InvalidPolicy
from analysis.policy import (
    JUDGED,
    Alphas,
    Deadline,
    Gauge,
    Group,
    Latency,
    LatencyTolerance,
    Limit,
    Limits,
    Looks,
    Objective,
    Policy,
    Proportion,
    Tolerance,
)
from analysis.types import May, Weight

ERRORS = Proportion(name="error-rate")


def test_the_defaults_are_those_whose_figures_are_measured():
    """The default configuration: the figures that calibration holds are those of these constants."""
    usual = Policy(name="x", questions=(ERRORS,))
    assert usual.alpha == Alphas(abort=0.001, tolerated=1 / 3, freeze=0.01, promote=0.05, step=0.2)
    assert (usual.freeze_limit, usual.harm_budget, usual.min_step, usual.history) == (600.0, 20.0, 120.0, 14_400.0)
    assert usual.deadline == Deadline(after=14_400.0, then="hold")
    assert ERRORS.tolerance == Tolerance(ratio=1.5, absolute=0.001)
    assert frozenset({"proportion", "rate", "ratio", "latency", "gauge", "quantile", "limits"}) == JUDGED


WRONG = {
    "a name with capitals": (lambda: Policy(name="Checkout", questions=()), "/name"),
    "a name that ends in a dash": (lambda: Policy(name="x-", questions=()), "/name"),
    "a question's name": (lambda: Proportion(name="error rate"), "/name"),
    "two questions of one name": (lambda: Policy(name="x", questions=(ERRORS, ERRORS)), "/questions/1/name"),
    "a controller that nobody knows": (lambda: Policy(name="x", questions=(), controller="spinnaker"), "/controller"),
    "no harm budget": (lambda: Policy(name="x", questions=(), harm_budget=0.0), "/harm_budget"),
    "steps that fall": (lambda: Policy(name="x", questions=(), steps=(0.5, 0.1)), "/steps"),
    "steps that stand": (lambda: Policy(name="x", questions=(), steps=(0.5, 0.5)), "/steps"),
    "a step in percent": (lambda: Policy(name="x", questions=(), steps=(5.0,)), "/steps"),
    "a step of nothing": (lambda: Policy(name="x", questions=(), steps=(0.0, 1.0)), "/steps"),
    "an alpha of 0": (lambda: Alphas(abort=0.0), "/alpha/abort"),
    "an alpha of 1": (lambda: Alphas(step=1.0), "/alpha/step"),
    "a ratio below 1": (lambda: Tolerance(ratio=0.9), "/tolerance/ratio"),
    "a ratio that is none": (lambda: Tolerance(ratio=math.nan), "/tolerance/ratio"),
    "a slack below 0": (lambda: Tolerance(absolute=-0.1), "/tolerance/absolute"),
    "a shift below 1": (lambda: LatencyTolerance(shift=0.5), "/tolerance/shift"),
    "a unit that nobody knows": (lambda: Latency(name="x", unit="us"), "/unit"),
    "a proof that nobody knows": (lambda: Gauge(name="x", proof="guess"), "/proof"),
    "variation that may promote": (lambda: Gauge(name="x", variation_may="promote"), "/variation_may"),
    "pods that may what": (lambda: Gauge(name="x", pod_limited="no"), "/pod_limited"),
    "a target of 100 %": (lambda: Objective(name="x", target=1.0), "/target"),
    "a period of nothing": (lambda: Objective(name="x", period=0.0), "/period"),
    "a percentile without p": (lambda: Limit(question="x", max=1.0, percentile="95"), "/percentile"),
    "no looks in a row": (
        lambda: Limits(
            name="x", group=Group(any_of=True, members=(Limit(question="y", max=1.0),)), consecutive=0
        ),
        "/consecutive",
    ),
    "fewer than no requests": (
        lambda: Limits(
            name="x", group=Group(any_of=True, members=(Limit(question="y", max=1.0),)), min_requests=-1
        ),
        "/min_requests",
    ),
    "a deadline that nobody knows": (lambda: Deadline(then="promote"), "/deadline/then"),
    "promote_if without a ratio": (lambda: Deadline(then="promote_if"), "/deadline/then"),
    "a ratio without promote_if": (lambda: Deadline(then="hold", limit=2.0), "/deadline/then"),
    "a deadline at once": (lambda: Deadline(after=0.0), "/deadline/after"),
    "looks of no length": (lambda: Looks(length=0.0), "/looks/length"),
    "a lag below 0": (lambda: Looks(lag=-1.0), "/looks/lag"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_asked_is_refused_with_its_place(case):
    """A policy that contradicts itself or has no meaning raises, and the error names the place."""
    make, place = WRONG[case]
    with pytest.raises(InvalidPolicy) as wrong:
        make()
    assert wrong.value.place == place
    assert wrong.value.message


@pytest.mark.parametrize("nested", [False, True], ids=["in a limit", "in a group of a group"])
def test_a_limit_names_a_question_of_its_policy(nested):
    """A limit on a question that is not there would never break: it is refused."""
    member = Limit(question="eror-rate", max=0.05)
    group = Group(any_of=True, members=(Group(any_of=False, members=(member,)) if nested else member,))
    with pytest.raises(InvalidPolicy, match="'eror-rate'"):
        Policy(name="x", questions=(ERRORS, Limits(name="classic", group=group)))


def test_an_empty_group_is_refused():
    """Limits of nothing would be kept for ever."""
    with pytest.raises(InvalidPolicy, match="at least one"):
        Group(any_of=True, members=())


@pytest.mark.parametrize(
    ("weight", "more", "needed", "omega"),
    [
        (Weight.CRITICAL, {}, True, 1.0),
        (Weight.NORMAL, {}, True, 0.5),
        (Weight.INFO, {}, False, 0.0),
        (Weight.NORMAL, {"muted": True, "required": True}, False, 0.0),
        (Weight.NORMAL, {"required": False}, False, 0.5),
        (Weight.INFO, {"required": True}, True, 0.0),
        (Weight.CRITICAL, {"may": May.HOLD}, True, 0.0),
    ],
)
def test_what_is_needed_and_how_much_it_weighs(weight, more, needed, omega):
    """Critical and normal questions are required unless said otherwise; muted ones never; only abort has a weight."""
    question = Proportion(name="x", weight=weight, **more)
    assert (question.needed, question.omega) == (needed, omega)


def test_a_limit_is_not_required_unless_by_name():
    """A kept limit only does not veto."""
    group = Group(any_of=True, members=(Limit(question="error-rate", max=0.05),))
    assert not Limits(name="x", group=group).needed
    assert Limits(name="x", group=group, required=True).needed


def test_a_policy_is_shown_with_the_beginning_of_its_digest():
    """Two versions of one name can be told apart."""
    assert Policy(name="checkout", questions=(), digest="9c1e77abcdef").label == "checkout@9c1e77ab"
    assert Policy(name="checkout", questions=()).label == "checkout"


def test_questions_are_found_by_name_and_unjudged_ones_named():
    """What this version does not judge is known by name, unless it is muted."""
    asked = Policy(name="x", questions=(ERRORS, Objective(name="slo"), Objective(name="goal", muted=True)))
    assert asked.question("slo").kind == "objective"
    assert asked.unjudged == ("slo",)
    with pytest.raises(KeyError):
        asked.question("disk")
