"""One sheet for one question: a heading, and below it a panel for everything that is known."""

from __future__ import annotations

import textwrap
from typing import Final

from matplotlib.figure import Figure

from analysis.trace import QuestionTrace, Trace
from webhook.plots.axes import Scene
from webhook.plots.panels import PANELS
from webhook.plots.theme import Theme

WIDTH: Final = 8.6
PANEL: Final = 2.15
GAP: Final = 0.55
MARGINS: Final = {"top": 0.95, "bottom": 0.5, "left": 0.95, "right": 0.2}
"""Inches."""
LINE: Final = 112
"""Characters of the reason that fit on one line."""


def panels_of(told: QuestionTrace) -> tuple[str, ...]:
    """Return which panels a question has, from top to bottom."""
    has = {
        "sides": told.series is not None,
        "effect": told.track is not None,
        "harm": bool(told.log_e),
        "promise": bool(told.log_e),
        "latencies": told.distribution is not None,
    }
    return tuple(name for name in PANELS if has[name])


def drawn(trace: Trace, told: QuestionTrace, heading: tuple[str, str], theme: Theme) -> Figure:
    """
    Return the sheet of one question.

    Parameters
    ----------
    trace : Trace
        Of at least one look.
    told : QuestionTrace
        One of its questions.
    heading : (str, str)
        Title, and the reason below it.
    theme : Theme
        Its settings must be in force.
    """
    names = panels_of(told)
    inner = len(names) * PANEL + (len(names) - 1) * GAP
    height = MARGINS["top"] + inner + MARGINS["bottom"]
    sheet = Figure(figsize=(WIDTH, height))
    grid = sheet.add_gridspec(
        len(names), 1, hspace=GAP / PANEL,
        left=MARGINS["left"] / WIDTH, right=1 - MARGINS["right"] / WIDTH,
        bottom=MARGINS["bottom"] / height, top=1 - MARGINS["top"] / height,
    )  # fmt: skip
    title, reason = heading
    left = 0.15 / WIDTH
    sheet.text(left, 1 - 0.12 / height, title, ha="left", va="top", fontsize=11, fontweight="bold")
    lines = "\n".join(textwrap.wrap(reason, LINE)[:2])
    sheet.text(left, 1 - 0.36 / height, lines, ha="left", va="top", fontsize=8.5, color=theme.soft)
    scene = Scene(trace=trace, told=told, theme=theme)
    for place, name in enumerate(names):
        PANELS[name](sheet.add_subplot(grid[place, 0]), scene)
    return sheet
