"""Colours that a colour-blind reader can tell apart, for a light and a dark page, and the sizes of a sheet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

FAMILIES: Final = ["DejaVu Sans", "Verdana", "Geneva"]
"""The first comes with the library, so that a PNG is the same everywhere; readers may have the others, as wide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Theme:
    """
    One set of colours.

    Parameters
    ----------
    paper, ink, soft, rule : str
        Background, text and lines, secondary text, grid.
    baseline, canary : str
        The two sides.
    harm, size, go, safe : str
        Evidence: worse at all, beyond the tolerance, for the next step, for the last one.

    Notes
    -----
    Hues follow those of Okabe and Ito (Color Universal Design, 2008): two lines of one panel are told apart with any
    kind of colour vision, and differ in their dashes as well. Every colour has a contrast of 4.5 : 1 with the paper,
    since thresholds are written in the colour of their line.
    """

    paper: str
    ink: str
    soft: str
    rule: str
    baseline: str
    canary: str
    harm: str
    size: str
    go: str
    safe: str

    def settings(self) -> dict[RcKeyType, Any]:
        """Return the settings of the library that make a sheet look so, and the same bytes every time."""
        return {
            "axes.edgecolor": self.rule,
            "axes.facecolor": self.paper,
            "axes.labelcolor": self.soft,
            "axes.labelsize": 8,
            "axes.spines.right": False,
            "axes.spines.top": False,
            "axes.titlecolor": self.ink,
            "axes.titlelocation": "left",
            "axes.titlesize": 9.5,
            "axes.titleweight": "bold",
            "axes.grid": True,
            "axes.axisbelow": True,
            "figure.facecolor": self.paper,
            "font.family": ["sans-serif"],
            "font.sans-serif": FAMILIES,
            "font.size": 8,
            "grid.color": self.rule,
            "grid.linewidth": 0.5,
            "legend.facecolor": self.paper,
            "legend.edgecolor": self.rule,
            "legend.fontsize": 7.5,
            "legend.framealpha": 0.85,
            "legend.labelcolor": self.ink,
            "lines.linewidth": 1.6,
            "savefig.facecolor": self.paper,
            "svg.fonttype": "none",
            "svg.hashsalt": "weighbridge",
            "text.color": self.ink,
            "text.parse_math": False,
            "xtick.color": self.soft,
            "xtick.labelsize": 7.5,
            "ytick.color": self.soft,
            "ytick.labelsize": 7.5,
        }


THEMES: Final = {
    "light": Theme(
        paper="#ffffff", ink="#1b2026", soft="#57606a", rule="#d5d9de",
        baseline="#0072b2", canary="#c44e00",
        harm="#c44e00", size="#8d4d75", go="#00815e", safe="#5b3fa8",
    ),
    "dark": Theme(
        paper="#1d2126", ink="#e6e9ec", soft="#a3acb6", rule="#353b42",
        baseline="#56b4e9", canary="#e69f00",
        harm="#e69f00", size="#c79bd2", go="#2fc79b", safe="#a6a1f5",
    ),
}  # fmt: skip
