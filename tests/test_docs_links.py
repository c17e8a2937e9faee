"""The pages of the documentation hold together: links resolve, figures name their command, decisions are listed."""

from __future__ import annotations

import re

import pytest

from tests.fenced import anchors, tables
from tests.test_docs import DOCS, PAGES, ids

FIGURES = re.compile(r"\b(reached|measured)\b", re.IGNORECASE)
FIGURES_COMMAND = re.compile(r"make (calibrate|bench|e2e)|python -m (tests\.calibration|bench)|pytest ")


@pytest.mark.parametrize("path", PAGES, ids=ids)
def test_links_lead_somewhere(path):
    """Every link inside the project names a file that is there, and a heading that is in it."""
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        other = (path.parent / file).resolve() if file else path
        assert other.exists(), f"{path.name}: {target}"
        assert not anchor or anchor in anchors(other.read_text()), f"{path.name}: {target}"


@pytest.mark.parametrize("path", PAGES, ids=ids)
def test_figures_name_their_command(path):
    """A table of figures that were measured stands in a section that says which command measures them again."""
    for section in re.split(r"^(?=#{1,6} )", path.read_text(), flags=re.MULTILINE):
        if any(FIGURES.search(" ".join(header)) for header, _ in tables(section)):
            assert FIGURES_COMMAND.search(section), f"{path.name}: {section[:80]}"


@pytest.mark.parametrize("path", sorted((DOCS / "decisions").glob("0*.md")), ids=ids)
def test_decisions_are_listed_and_say_their_status(path):
    """Every page of decisions has a status, is short, and stands in the index."""
    text = path.read_text()
    assert re.search(r"^Status: (proposed|accepted|rejected|replaced)", text, re.MULTILINE)
    assert len(text.splitlines()) <= 50
    assert f"({path.name})" in (DOCS / "decisions" / "README.md").read_text()
