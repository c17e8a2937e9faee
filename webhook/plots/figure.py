"""One sheet for one question: a heading, and below it a panel for everything that is known."""

from __future__ import annotations

import textwrap
from typing import Final

from matplotlib.figure import Figure

from webhook.plots import captions
from webhook.plots.axes import Scene
from webhook.plots.panels import PANELS

WIDTH: Final = 8.6
PANEL: Final = 2.15
GAP: Final = 0.78
MARGINS: Final = {"top": 1.12, "bottom": 0.5, "left": 0.95, "right": 0.2}
"""Inches."""
LINE: Final = 112
"""Characters of the reason that fit on one line."""


def panels_of(scene: Scene) -> tuple[str, ...]:
    """Return which panels a question has, from top to bottom."""
    told = scene.told
    weighed = bool(told.log_e) and bool(told.used.any())
    has = {
        "sides": told.series is not None,
        "effect": scene.track is not None,
        "natural": told.natural is not None,
        "harm": weighed,
        "promise": weighed,
        "latencies": told.distribution is not None,
    }
    return tuple(name for name in PANELS if has[name])


def drawn(scene: Scene, heading: tuple[str, str]) -> Figure:
    """
    Return the sheet of one question.

    Parameters
    ----------
    scene : Scene
        Of at least one look; the settings of its theme must be in force.
    heading : (str, str)
        Title, and the reason below it.
    """
    names = panels_of(scene)
    inner = max(0.0, len(names) * PANEL + (len(names) - 1) * GAP)
    height = MARGINS["top"] + inner + MARGINS["bottom"]
    sheet = Figure(figsize=(WIDTH, height))
    grid = sheet.add_gridspec(
        max(1, len(names)), 1, hspace=GAP / PANEL,
        left=MARGINS["left"] / WIDTH, right=1 - MARGINS["right"] / WIDTH,
        bottom=MARGINS["bottom"] / height, top=1 - MARGINS["top"] / height,
    )  # fmt: skip
    title, reason = heading
    left = 0.15 / WIDTH
    sheet.text(left, 1 - 0.12 / height, title, ha="left", va="top", fontsize=11, fontweight="bold")
    lines = "\n".join(textwrap.wrap(reason, LINE)[:2])
    sheet.text(left, 1 - 0.36 / height, lines, ha="left", va="top", fontsize=8.5, color=scene.theme.soft)
    if not names:
        sheet.text(left, 0.3 / height, captions.NOTHING, ha="left", va="bottom", fontsize=8.5)
    for place, name in enumerate(names):
        PANELS[name](sheet.add_subplot(grid[place, 0]), scene)
    return sheet
