"""The labelled cases of the shared corpus, judged by the default policy: its figures, and what may not matter."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Any

import pytest

from tests.calibration.corpus_judge import decide
from tests.calibration.perturbed import NEUTRAL, Case, altered
from tests.shared_data import SHARED

CORPUS = SHARED / "corpus"
pytestmark = pytest.mark.skipif(
    not (CORPUS / "evaluate.py").is_file(), reason="labelled cases are absent: shared/corpus"
)


@cache
def scorer() -> ModuleType:
    found = importlib.util.spec_from_file_location("corpus_evaluate", CORPUS / "evaluate.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@cache
def cases() -> list[dict[str, Any]]:
    loaded: list[dict[str, Any]] = scorer().load(str(CORPUS))
    return loaded


@cache
def rows() -> list[dict[str, Any]]:
    judged: list[dict[str, Any]] = scorer().run(cases(), decide)
    return judged


def said() -> dict[str, str]:
    return {row["id"]: row["verdict"] for row in rows()}


@cache
def figures() -> dict[str, Any]:
    found: dict[str, Any] = scorer().figures(rows())
    return found


def test_every_case_gets_an_answer():
    """No case of any source is an error."""
    assert figures()["errors"] == []
    assert figures()["cases"] == len(cases()) > 300


@pytest.mark.parametrize(
    ("figure", "most"),
    [
        pytest.param("false_abort_pct", 1.0, id="false aborts"),
        pytest.param("miss_pct", 7.0, id="misses"),
        pytest.param("good_hold_pct", 8.0, id="holds on good cases"),
    ],
)
def test_the_bars_of_the_real_cases(figure: str, most: float):
    """Aborts, misses and holds, percent of the real cases."""
    assert figures()["all_real"][figure] <= most


def test_a_shared_incident_is_not_the_canarys_fault():
    """Everybody is on fire: the canary is not aborted for it."""
    found = figures()["strata"]["jumpstarter"]["shared_incident"]
    assert (found["good"], found["false_abort"]) == (32, 0)


def test_regressions_from_35_percent_on_are_noticed():
    """Of 21 injected regressions of +35 % and more at most three are promoted."""
    found = [figures()["injected"][size] for size in ("+35%", "+60%", "+100%")]
    assert sum(size["bad"] for size in found) == 21
    assert sum(size["miss"] for size in found) <= 3


def test_names_order_and_units_change_no_verdict():
    """All metrics renamed, in another order and in other units, all at once: the same verdict on every case."""
    plain = said()

    def all_at_once(case: Case) -> None:
        for change in NEUTRAL:
            change(case)

    assert [c["id"] for c in cases() if plain[c["id"]] != decide(altered(c, all_at_once))] == []


@pytest.mark.parametrize("change", [pytest.param(change, id=change.__name__) for change in NEUTRAL])
def test_what_must_not_matter_does_not(change: Callable[[Case], None]):
    """Renamed metrics, another order, another unit, each alone: the same verdict, on every fifth case."""
    plain = said()
    assert [c["id"] for c in cases()[::5] if plain[c["id"]] != decide(altered(c, change))] == []
