"""The answer table, its page in docs/, and the design agree."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from analysis.types import Mode, Verdict
from tests.shared_data import SHARED
from webhook import answers
from webhook.answers import ANSWERS, GATE_ANSWERS, Action, Heard, Hook, Reply

PAGE = Path(__file__).parents[2] / "docs" / "answers.md"
DESIGN = SHARED / "design" / "api.md"


def tables(text):
    """Return each table of a Markdown page as a list of rows of stripped cells, without the line below the head."""
    found = [[]]
    for line in text.splitlines():
        if line.startswith("|"):
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            if not all(set(cell) <= {"-", ":"} for cell in cells):
                found[-1].append(cells)
        elif found[-1]:
            found.append([])
    return [table for table in found if table]


def table_of(text, first):
    return next(table for table in tables(text) if table[0][0] == first)


def test_every_hook_answers_everything_there_is_to_hear():
    """The table has no holes, so a new hook or verdict cannot be forgotten."""
    assert {(hook, heard) for hook, row in ANSWERS.items() for heard in row} == set(itertools.product(Hook, Heard))


def test_the_page_shows_the_table():
    """docs/answers.md shows the table of the code, cell by cell."""
    head, *rows = table_of(PAGE.read_text(), "caller")
    assert head[1:] == [heard.value for heard in Heard]
    shown = {row[0]: dict(zip(head[1:], map(int, row[1:]), strict=True)) for row in rows}
    assert shown == {hook.value: {heard.value: code for heard, code in row.items()} for hook, row in ANSWERS.items()}


def test_the_page_shows_the_table_of_gates():
    """docs/answers.md shows what gates answer, cell by cell, empty where nothing can come to it."""
    head, *rows = table_of(PAGE.read_text(), "gate")
    assert head[1:] == [reply.value for reply in Reply]
    shown = {row[0]: dict(zip(head[1:], row[1:], strict=True)) for row in rows}
    expected = {
        action.value: {
            reply.value: " ".join(map(str, GATE_ANSWERS[action].get(reply, ("", "")))).strip() for reply in Reply
        }
        for action in Action
    }
    assert shown == expected


def test_the_page_says_why_for_every_caller():
    """docs/answers.md explains every row that it shows."""
    why = PAGE.read_text().split("## Why")[1].split("\n## ")[0]
    for hook in Hook:
        assert f"**{hook.value}**" in why
    assert f"`rollout?hold=fail` answers a hold with {answers.HOLD_FAILS}" in PAGE.read_text()


def test_the_page_shows_the_modes():
    """docs/answers.md shows what a mode makes of each verdict and of a fault, as the code does."""
    head, *rows = table_of(PAGE.read_text(), "mode")
    assert [row[0] for row in rows] == [mode.value for mode in (Mode.ENFORCE, Mode.ADVISE, Mode.SHADOW)]
    for row in rows:
        for said, cell in zip(head[1:], row[1:], strict=True):
            degraded = said == "degraded"
            verdict = Verdict.HOLD if degraded else Verdict(said)
            assert answers.heard(verdict, Mode(row[0]), degraded=degraded).value == cell


def test_the_design_has_the_same_table():
    """The Flagger table of the design's API page says the same in every cell."""
    if not DESIGN.is_file():
        pytest.skip("the design pages are absent: shared/design/api.md")
    head, *rows = table_of(DESIGN.read_text(), "hook")
    columns = [cell.split(",")[0] for cell in head[1:]]
    assert columns == ["promote", "hold", "abort", "we are degraded", "not authorised"]
    seen = set()
    for names, *cells in rows:
        for name in names.split(","):
            hook = Hook(name.strip())
            seen.add(hook)
            for heard, cell in zip(Heard, cells, strict=True):
                assert int(cell.strip("*")[:3]) == ANSWERS[hook][heard], (hook, heard)
    assert seen == set(Hook) - {Hook.ARGO}
