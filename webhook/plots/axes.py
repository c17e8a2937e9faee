"""Axes that several panels share: time, odds, ratios, and lines that say what they mean."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from matplotlib import dates
from matplotlib.axes import Axes
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from analysis.compare.tracks import Track
from analysis.grid import Floats
from analysis.trace import QuestionTrace, Trace
from webhook.plots import captions
from webhook.plots.theme import Theme

DAY: Final = 86_400.0
OFFSETS: Final = ["", "%Y UTC", "%Y-%b UTC", "%Y-%b-%d UTC", "%Y-%b-%d UTC", "%Y-%b-%d %H:%M UTC"]
"""What stands once at the end of an axis of years, months, days, hours, minutes, seconds: never without the zone."""
LARGEST_ODDS: Final = 9 * math.log(10)
SMALLEST_ODDS: Final = -4 * math.log(10)
NICE_RATIOS: Final = (
    1.0, 2.0, 0.5, 1.5, 0.75, 1.25, 5.0, 0.2, 10.0, 0.1, 3.0, 0.33, 20.0, 0.05, 0.9, 1.1, 100.0, 0.01, 50.0, 0.02,
)  # fmt: skip
"""Labels of an axis of ratios, the most wanted first."""
ROOM: Final = 0.07
"""Least distance between two labels of an axis, as a share of its length."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scene:
    """What a panel draws from: one question of a release, its effect over time, and the colours."""

    trace: Trace
    told: QuestionTrace
    track: Track | None
    theme: Theme


def days(seconds: Floats | float) -> Floats:
    """Return unix seconds in the unit of the time axis."""
    return np.asarray(seconds, dtype=np.float64) / DAY


def over_time(axes: Axes, scene: Scene) -> None:
    """Make the horizontal axis one of time, and mark weight steps, what was left out, and the abort."""
    theme = scene.theme
    begin, end = scene.trace.start, float(scene.trace.ends[-1])
    axes.set_xlim(float(days(begin)), float(days(end + 0.01 * (end - begin))))
    locator = dates.AutoDateLocator(minticks=4, maxticks=9)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator, offset_formats=OFFSETS))
    axes.xaxis.get_offset_text().set_fontsize(7.5)
    for began, ended in scene.told.left_out:
        axes.axvspan(float(days(began)), float(days(ended)), color=theme.rule, alpha=0.5, linewidth=0)
    for step in scene.told.steps:
        axes.axvline(float(days(step)), color=theme.soft, linewidth=0.9, linestyle=(0, (1, 2)))
    if scene.trace.abort_at is not None:
        _mark_abort(axes, float(days(scene.trace.abort_at)), theme.ink)


def _mark_abort(axes: Axes, moment: float, ink: str) -> None:
    """Draw when the abort was proved, and say so at the top of the line, on the side that has room."""
    axes.axvline(moment, color=ink, linewidth=1.1, linestyle=(0, (5, 1, 1, 1)))
    begin, end = axes.get_xlim()
    late = moment - begin > 0.7 * (end - begin)
    axes.annotate(
        "ABORT proved", xy=(moment, 1.0), xycoords=("data", "axes fraction"), xytext=(-3 if late else 3, -2),
        textcoords="offset points", ha="right" if late else "left", va="top", fontsize=7.5, color=ink,
    )  # fmt: skip


def odds(axes: Axes, lines: Sequence[Floats], goals: Sequence[float]) -> None:
    """Make the vertical axis one of odds (natural logarithms inside), with room for every line and goal."""
    values = np.concatenate([*lines, np.zeros(1)])
    values = values[np.isfinite(values)]
    top = max(*goals, min(float(values.max()), LARGEST_ODDS), 0.0)
    bottom = min(max(float(values.min()), SMALLEST_ODDS), 0.0)
    bottom = min(bottom, -0.12 * top)
    axes.set_ylim(bottom - 0.03 * (top - bottom), top + 0.14 * (top - bottom))
    low, high = (bound / math.log(10) for bound in axes.get_ylim())
    stride = max(1, math.ceil((high - low) / 7))
    exponents = [e for e in range(math.ceil(low), math.floor(high) + 1) if e % stride == 0]
    labelled(axes, [e * math.log(10) for e in exponents], [captions.power(e) for e in exponents])


def ratios(axes: Axes, values: Sequence[float]) -> None:
    """Make the vertical axis a logarithmic one of ratios that shows ``values`` and 1."""
    inside = [v for v in [*values, 1.0] if math.isfinite(v) and v > 0]
    low, high = max(min(inside) / 1.25, 1e-3), min(max(inside) * 1.25, 1e3)
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    span = math.log(high / low)
    labelled(axes, spread(NICE_RATIOS, lambda v: math.log(v / low) / span), None)


def spread(wanted: Sequence[float], place: Callable[[float], float], room: float = ROOM) -> list[float]:
    """Return those of ``wanted`` that lie on the axis (0 to 1) and not too near to one before them, rising."""
    taken: list[float] = []
    for value in wanted:
        where = place(value)
        if 0 <= where <= 1 and all(abs(where - place(other)) >= room for other in taken):
            taken.append(value)
    return sorted(taken)


def labelled(axes: Axes, places: Sequence[float], labels: Sequence[str] | None, across: bool = False) -> None:
    """Put labels at places of the vertical axis, or of the horizontal one; ratios by default."""
    axis = axes.xaxis if across else axes.yaxis
    texts = [captions.bound(place, "ratio") for place in places] if labels is None else list(labels)
    axis.set_major_locator(FixedLocator(list(places)))
    axis.set_major_formatter(FixedFormatter(texts))
    axis.set_minor_locator(NullLocator())


def threshold(axes: Axes, value: float, text: str, colour: str, below: bool = False) -> None:
    """Draw a horizontal line that says what it means, at its right end."""
    axes.axhline(value, color=colour, linewidth=1.1, linestyle=(0, (4, 2)))
    axes.annotate(
        text, xy=(1.0, value), xycoords=("axes fraction", "data"), xytext=(-3, -3 if below else 2),
        textcoords="offset points", ha="right", va="top" if below else "bottom", fontsize=7.5, color=colour,
        annotation_clip=False,
    )  # fmt: skip
