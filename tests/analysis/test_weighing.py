"""All questions weighed together: what is demanded, and whom an abort names."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.policy import Limit, Objective
from analysis.types import May, Stage, State, Weight
from analysis.weighing import answered, demanded, harm_of, varying, weigh
from tests.analysis.record_examples import SECOND, START, counted, errors, limits, policy, proportion, two

GOOD = errors(180)
NINE = 100 / 1100
"""Share of the canary in the examples."""


@pytest.mark.parametrize(
    ("stage", "named", "steps", "expected"),
    [
        pytest.param(None, None, (), (Stage.STEP, None), id="nothing said"),
        pytest.param(None, 1.0, (), (Stage.FINAL, 1.0), id="the next weight is all"),
        pytest.param(Stage.FINAL, 0.5, (), (Stage.FINAL, 1.0), id="final by name leads to all"),
        pytest.param(Stage.STEP, 1.0, (), (Stage.STEP, 1.0), id="a named stage wins"),
        pytest.param(None, None, (0.05, 0.1, 1.0), (Stage.FINAL, 1.0), id="a step it is on is not the next"),
        pytest.param(None, None, (0.05, 0.3, 1.0), (Stage.STEP, 0.3), id="the next of the steps"),
        pytest.param(None, None, (0.01,), (Stage.FINAL, 1.0), id="after the last step comes all"),
        pytest.param(None, 0.3, (0.05, 0.2), (Stage.STEP, 0.3), id="a named weight wins over the steps"),
        pytest.param(Stage.PRE, None, (), (Stage.PRE, None), id="before traffic"),
    ],
)
def test_the_demand_follows_from_stage_and_next_weight(stage, named, steps, expected):
    """What is asked for: by name, else by the weight that comes next, named or from the policy's steps."""
    asked = policy(steps=steps)
    demand = demanded(asked, weigh(asked, GOOD, named), stage, named)
    assert (demand.stage, demand.next_weight) == expected
    assert demand.observed == pytest.approx(NINE)


def test_without_traffic_the_demand_is_that_of_a_step():
    """Nothing observed, nothing named: the question is one of a step."""
    asked = policy()
    demand = demanded(asked, weigh(asked, GOOD.until(START), None), None, None)
    assert (demand.stage, demand.next_weight, demand.observed) == (Stage.STEP, None, None)


def test_a_canary_with_most_of_the_traffic_is_at_its_last_step():
    """The default rule leads from 83 % to 100 %."""
    asked = policy()
    found = errors(30, 5.0, 500.0, stable=(0.25, 25.0))
    assert demanded(asked, weigh(asked, found, None), None, None).stage is Stage.FINAL


def test_only_questions_that_count_are_weighed():
    """Limits and kinds that are not judged have no evidence in counts; an empty record has none at all."""
    asked = policy(proportion(), Objective(name="slo"), limits(Limit(question="error-rate", max=0.1)))
    assert list(weigh(asked, GOOD, None)) == ["error-rate"]
    assert weigh(asked, GOOD.until(START), None) == {}


def test_the_guilty_are_named():
    """An abort names the question that proved it, and not its innocent neighbour."""
    asked = policy(proportion(), SECOND)
    found = two(counted(60), counted(60, 30.0))
    harm = harm_of(asked, found, weigh(asked, found, None))
    assert harm.proved
    assert harm.guilty == ("timeouts",)


def test_shares_of_the_abort_evidence_follow_the_weights():
    """Critical counts twice a normal question, info and report nothing, muted ones are not there at all."""
    asked = policy(
        proportion(), SECOND, proportion("a", weight=Weight.INFO), proportion("b", may=May.REPORT),
        proportion("c", muted=True),
    )  # fmt: skip
    found = two(counted(3), counted(3))
    omegas = harm_of(asked, found, weigh(asked, found, None)).omegas
    assert omegas == pytest.approx({"error-rate": 2 / 3, "timeouts": 1 / 3, "a": 0.0, "b": 0.0})


def test_a_freeze_that_stayed_open_names_its_question():
    """Unresolved harm is proved harm, with the question that was frozen."""
    found = errors(240, 1.6)
    harm = harm_of(policy(), found, weigh(policy(), found, None))
    assert harm.unresolved == ("error-rate",)
    assert harm.guilty == ("error-rate",)


@pytest.mark.parametrize(
    ("question", "state", "said"),
    [
        pytest.param(proportion("nothing"), State.NO_DATA, "nothing", id="silent"),
        pytest.param(Objective(name="slo"), State.UNDECIDED, "objective is not judged", id="a kind that is not judged"),
        pytest.param(limits(Limit(question="error-rate", max=0.1)), State.WITHIN_LIMIT, "acceptable", id="limits"),
        pytest.param(proportion(), State.NO_WORSE, "no worse than 1.5x", id="a proportion"),
    ],
)
def test_every_kind_of_question_is_answered(question, state, said):
    """Silence and kinds that are not judged say so: no question is without evidence."""
    asked = policy(proportion(), question) if question.name != "error-rate" else policy(question)
    weighed = weigh(asked, GOOD, None)
    demand = demanded(asked, weighed, None, None)
    found = answered(question, asked, GOOD, weighed, varying(asked, GOOD), demand, harm_of(asked, GOOD, weighed))
    assert (found.name, found.kind, found.state) == (question.name, question.kind, state)
    assert said in found.reason
    assert (found.weight, found.may) == (question.weight.value, question.may.value)


def test_the_observed_share_is_that_since_the_last_weight_step():
    """A weight that rose counts from its rise: the old share does not dilute the new one."""
    total = np.r_[np.full(60, 100.0), np.full(60, 400.0)]
    asked = policy()
    found = errors(120, total / 100, total)
    assert demanded(asked, weigh(asked, found, None), None, None).observed == pytest.approx(400 / 1400, rel=0.02)
