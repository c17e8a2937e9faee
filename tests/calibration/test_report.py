"""The page of the calibration: it names what shows each promise, and its sections are rewritten one by one."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from tests.calibration import report
from tests.calibration.__main__ import EVERY
from tests.calibration.cells import Row

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "calibration.md").read_text(encoding="utf-8")
PROMISES = PAGE.partition("\n## What is promised, and what shows it\n")[2].partition("\n## ")[0]


def rows(*figures: float, table: str = "T8", target: float = 1.0) -> list[Row]:
    """Return rows of one table."""
    return [Row(table=table, cell="a", figure="f", target=target, reached=x, passed=not x > target) for x in figures]


def test_every_table_has_a_title_and_a_promise():
    """No table is simulated that the page does not tell of, and the page tells of none that is not."""
    simulated = {cell.table for cell in EVERY}
    assert simulated == set(report.TITLES)
    told = {word for line in re.findall(r"tables? ([\w\-, ]+)", PROMISES) for word in re.findall(r"[\w-]+", line)}
    assert told == simulated


def test_every_test_that_is_named_is_there():
    """A promise is shown by a file that exists."""
    named = set(re.findall(r"`(tests/[\w/]+\.py)`", PAGE))
    assert len(named) > 10
    assert [path for path in named if not (ROOT / path).is_file()] == []


def test_every_promise_of_the_list_is_numbered_once():
    """T1 to T17 are all there; those of latencies, gauges and series stand beside them."""
    found = re.findall(r"\bT(\d+)b?\b", " ".join(re.findall(r"^\| (T[^:]+):", PROMISES, re.MULTILINE)))
    assert {int(n) for n in found} == {1, 2, 3, 6, 8, 9, 10, 12, 13, 14, 15, 16, 17}


def test_a_section_is_rewritten_and_the_others_stay():
    """Run again, a table replaces itself; a new one stands where its order wants it."""
    first = report.section("T8", rows(0.5), "command", {"amber": 1})
    page = report.replaced(f"# head\n\n{report.section('T9', rows(2.0), 'other', {'amber': 1})}", "T8", first)
    assert page.index("### T8") < page.index("### T9")
    again = report.replaced(page, "T8", report.section("T8", rows(0.25), "command", {"amber": 1}))
    assert "| 0.25 |" in again
    assert "| 0.5 |" not in again
    assert again.count("### T8") == again.count("### T9") == 1
    assert report.replaced(again, "T14", "last\n").endswith("\n\nlast\n")


def test_a_documented_miss_names_the_page_that_explains_it():
    """However often the table is run again, and only where it missed."""
    miss = replace(rows(2.0, table="T3")[0], documented=True)
    told = report.section("T3", [miss], "command", {"amber": 1})
    (path,) = re.findall(r"The miss: \[.*\]\((.*)\)\.", told)
    assert (ROOT / "docs" / path).is_file()
    assert "The miss" not in report.section("T3", rows(0.5, table="T3"), "command", {"amber": 1})


def test_what_has_no_target_is_not_counted():
    """Figures that are only shown are neither within nor beyond a target."""
    shown = Row(table="T8", cell="a", figure="f", target=float("nan"), reached=3.0, passed=True)
    assert report.within([*rows(0.5, 2.0), shown]) == "1 of 2 figures within target"
    assert shown.verdict == ""


def test_rollouts_are_a_line_per_service():
    """Shares in percent, ours beside the threshold gate; what is held stands below."""
    figures = {"healthy: promoted in 1 h": 0.9, "healthy: promoted": 1.0, "threshold gate, healthy: promoted": 0.75}
    given = [
        Row(table="T14", cell="1 %, 5 rps", figure=n, target=0.8, reached=v, passed=True) for n, v in figures.items()
    ]
    text = report.rollouts(given)
    assert "| 1 %, 5 rps | 90 / 100 %," in text
    assert "25 %; –" in text
    assert "| 1 %, 5 rps | healthy: promoted in 1 h | 0.8 | 0.9 | ok |" in text
