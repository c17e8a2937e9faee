"""One panel for each thing that a person asks of a question: sides, effect, harm, promise, latencies."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from analysis.compare.latency_effects import seconds
from analysis.compare.tracks import Track
from analysis.grid import Floats
from analysis.sides import Distribution, Series
from analysis.types import Side
from analysis.words import count, ratio, share
from webhook.plots import captions
from webhook.plots.axes import Scene, days, labelled, odds, over_time, ratios, spread, threshold

DASHED: Final = (0, (5, 2))
DOTTED: Final = (0, (1, 1.5))
SHARES: Final = [1.0, 0.1, 0.01, 0.001, 1e-4, 0.5, 1e-5, 0.25, 0.05, 1e-6, 0.75]
LEGEND_ROW: Final = 18
"""Points between title and axes."""
FEW: Final = 80
"""Up to so many points each has a mark of its own."""


def sides(axes: Axes, scene: Scene) -> None:
    """Draw what both sides did, and where single stable replicas lay."""
    found, told, theme = scene.told.series, scene.told, scene.theme
    assert isinstance(found, Series)
    title, unit = captions.sides(told, found)
    _titled(axes, title, unit)
    over_time(axes, scene)
    times = days(found.times)
    marks = "o" if len(times) <= FEW else ""
    if found.band is not None:
        axes.axhspan(
            *found.band, color=theme.baseline, alpha=0.15, linewidth=0, label="single stable replicas, 95 % of values"
        )
    axes.plot(times, found.baseline, color=theme.baseline, marker=marks, markersize=2.5, label="baseline")
    axes.plot(
        times, found.canary, color=theme.canary, marker="s" if marks else "", markersize=2.5, linestyle=DASHED,
        label="canary",
    )  # fmt: skip
    if told.kind in ("proportion", "rate"):
        axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: captions.kept(told.kind, value)))
    _legend(axes)


def effect(axes: Axes, scene: Scene) -> None:
    """Draw the estimate with its confidence sequence, equality, and what is tolerated."""
    track, theme = scene.track, scene.theme
    assert isinstance(track, Track)
    _titled(axes, *captions.EFFECTS[track.measure])
    over_time(axes, scene)
    _scale(axes, track)
    times = days(scene.trace.ends[track.looks])
    low, high = axes.get_ylim()
    lower, upper = (np.clip(np.nan_to_num(bound, nan=low), low, high) for bound in (track.low, track.high))
    axes.fill_between(
        times, lower, upper, where=~np.isnan(track.estimate), step="post", color=theme.canary, alpha=0.22, linewidth=0,
        label=f"{share(track.level)} bounds, at all looks at once",
    )  # fmt: skip
    axes.plot(times, track.estimate, color=theme.canary, drawstyle="steps-post", label="estimate")
    _last(axes, times, track)
    axes.axhline(1.0 if track.measure == "ratio" else 0.0, color=theme.ink, linewidth=1.0)
    _limits(axes, track, theme.ink, theme.soft)
    _legend(axes)


def natural(axes: Axes, scene: Scene) -> None:
    """Draw how a series without counts moved, and which change would have been beyond its own variation."""
    theme = scene.theme
    assert scene.told.natural is not None
    found, ends = scene.told.natural
    _titled(axes, *captions.NATURAL)
    over_time(axes, scene)
    times = days(ends[found.samples])
    ratios(axes, [*found.ratio, *(found.abort[-1] ** side for side in (1, -1) if found.sign in (side, 0))])
    for side in (1, -1):
        if found.sign in (side, 0):
            hold, abort = found.hold**side, found.abort**side
            first = found.sign == side or side == 1
            axes.plot(times, hold, color=theme.harm, linestyle=DASHED, drawstyle="steps-post",
                      label="HOLD beyond" if first else None)  # fmt: skip
            axes.plot(times, abort, color=theme.ink, linestyle=DOTTED, drawstyle="steps-post",
                      label="ABORT beyond, if it stays" if first else None)  # fmt: skip
    axes.plot(times, found.ratio, color=theme.canary, drawstyle="steps-post", label="canary / baseline so far")
    axes.axhline(1.0, color=theme.ink, linewidth=1.0)
    _legend(axes)


def _scale(axes: Axes, track: Track) -> None:
    limits = [v for v in (track.tolerated, track.last_step) if v is not None]
    newest = [track.low[-1], track.high[-1]]
    if track.measure == "ratio":
        settled = track.estimate[len(track.estimate) // 4 :]
        ratios(axes, [*limits, *newest, *settled[np.isfinite(settled)]])
        return
    shown = [v for v in (*limits, *newest, *track.estimate, 0.0) if math.isfinite(v)]
    room = 0.15 * (max(shown) - min(shown)) or 1.0
    axes.set_ylim(min(shown) - room, max(shown) + room)


def _last(axes: Axes, times: Floats, track: Track) -> None:
    if not math.isnan(track.estimate[-1]):
        axes.plot(times[-1:], track.estimate[-1:], color="none", marker="o", markersize=4, markeredgecolor="none",
                  markerfacecolor=axes.lines[-1].get_color())  # fmt: skip


def _limits(axes: Axes, track: Track, ink: str, soft: str) -> None:
    """Draw what is tolerated, and the harm beyond it."""
    if track.tolerated is None:
        return
    low, high = axes.get_ylim()
    beyond = (track.tolerated, high) if track.harm_above else (low, track.tolerated)
    axes.axhspan(*beyond, facecolor="none", edgecolor=soft, hatch="///", alpha=0.35, linewidth=0)
    where = "beyond" if track.harm_above else "below"
    text = f"tolerated up to {captions.bound(track.tolerated, track.measure)}, ABORT may be proved {where}"
    threshold(axes, track.tolerated, text, ink, below=not track.harm_above)
    other = track.last_step
    if other is not None and abs(other / track.tolerated - 1 if track.tolerated else other) > 0.01:
        threshold(axes, other, f"PROMOTE at the last step within {captions.bound(other, track.measure)}", soft)


def harm(axes: Axes, scene: Scene) -> None:
    """Draw the evidence against the canary: the question's own, and that of all questions together."""
    told, theme = scene.told, scene.theme
    _titled(axes, *captions.HARM)
    over_time(axes, scene)
    counted = math.log(told.share) if told.share > 0 else 0.0
    note = captions.share(told.share) if told.share > 0 else ", stops nothing"
    worse, beyond = told.log_e["worse"] + counted, told.log_e["abort"] + counted
    _evidence(axes, scene, worse, theme.harm, "-", f"worse than stable{note}")
    _evidence(axes, scene, beyond, theme.size, DASHED, f"and beyond the tolerance{note}")
    lines, goals = [worse, beyond], []
    if told.share > 0:
        goals.append(told.goals["worse"])
        threshold(axes, goals[-1], captions.goal("worse", goals[-1]), theme.harm)
    if told.may_abort:
        lines.append(scene.trace.peak)
        _evidence(axes, scene, scene.trace.peak, theme.ink, DOTTED, "all questions, highest so far")
        goals.append(scene.trace.abort_goal)
        threshold(axes, goals[-1], captions.goal("abort", goals[-1]), theme.ink)
    odds(axes, lines, goals or [0.0, math.log(10)])
    _legend(axes)


def promise(axes: Axes, scene: Scene) -> None:
    """Draw the evidence that it is safe to go on: to the next step, and to the end."""
    told, theme = scene.told, scene.theme
    _titled(axes, *captions.PROMISE)
    over_time(axes, scene)
    for name, colour, dashes, label in (
        ("step", theme.go, "-", "the next step costs no more than its budget"),
        ("promote", theme.safe, DASHED, "no worse than tolerated"),
    ):
        _evidence(axes, scene, told.log_e[name], colour, dashes, label)
        threshold(axes, told.goals[name], captions.goal(name, told.goals[name]), colour)
    odds(axes, [told.log_e["step"], told.log_e["promote"]], [told.goals["step"], told.goals["promote"]])
    _legend(axes)


def latencies(axes: Axes, scene: Scene) -> None:
    """Draw which share of requests takes longer than any time, on both sides, and what is tolerated."""
    found, theme = scene.told.distribution, scene.theme
    assert isinstance(found, Distribution)
    _titled(axes, *captions.LATENCY)
    axes.set_xscale("log")
    axes.set_yscale("log")
    stable, canary = ({"slower": found.slower(side), "all": _all(found, side)} for side in Side)
    for told, colour, marker, dashes, name in (
        (stable, theme.baseline, "o", "-", "baseline"),
        (canary, theme.canary, "s", DASHED, "canary"),
    ):
        seen = np.where(told["slower"] > 0, told["slower"], np.nan)
        label = f"{name}, {count(told['all'][0])} requests"
        axes.plot(found.edges, seen, color=colour, marker=marker, markersize=4, linestyle=dashes, label=label)
    seen = np.where(stable["slower"] > 0, stable["slower"], np.nan)
    axes.plot(found.edges * found.shift, seen, color=theme.soft, linewidth=1, linestyle=DOTTED,
              label=f"tolerated: {ratio(found.shift)} as long")  # fmt: skip
    axes.plot(found.edges, np.minimum(seen * found.exceedance, 1), color=theme.soft, linewidth=1, linestyle=(0, (3, 3)),
              label=f"tolerated: {ratio(found.exceedance)} as many")  # fmt: skip
    _latency_axes(axes, found, theme.ink)
    _legend(axes)


def _all(found: Distribution, side: Side) -> Floats:
    return (found.baseline if side is Side.BASELINE else found.canary)[-1:]


def _latency_axes(axes: Axes, found: Distribution, ink: str) -> None:
    both = np.concatenate([found.slower(side) for side in Side])
    least = float(np.min(both[both > 0], initial=0.5))
    axes.set_ylim(least / 1.5, 1.4)
    span = math.log(1.4 / (least / 1.5))
    places = spread(SHARES, lambda v: math.log(v / (least / 1.5)) / span)
    labelled(axes, places, [share(place) for place in places])
    begin, end = float(found.edges[0]) / 1.3, float(found.edges[-1]) * 1.3
    axes.set_xlim(begin, end)
    edges = spread(found.edges.tolist(), lambda v: math.log(v / begin) / math.log(end / begin))
    labelled(axes, edges, [seconds(edge) for edge in edges], across=True)
    axes.set_xlabel("longer than")
    for edge in found.objectives:
        axes.axvline(edge, color=ink, linewidth=1.1, linestyle=(0, (4, 2)))
        axes.annotate(f"objective {seconds(edge)}", xy=(edge, 1.0), xycoords=("data", "axes fraction"), xytext=(3, -2),
                      textcoords="offset points", ha="left", va="top", fontsize=7.5, color=ink)  # fmt: skip


def _evidence(axes: Axes, scene: Scene, log_e: Floats, colour: str, dashes: object, label: str) -> None:
    """Draw evidence from even odds at the start; a look's value stands until the next one closes."""
    times = days(np.concatenate([[scene.trace.start], scene.trace.ends]))
    values = np.concatenate([[0.0], np.where(np.isfinite(log_e), log_e, np.nan)])
    axes.plot(times, values, color=colour, linestyle=dashes, drawstyle="steps-post", label=label)


def _titled(axes: Axes, title: str, unit: str) -> None:
    axes.set_title(title, pad=LEGEND_ROW)
    axes.set_ylabel(unit)


def _legend(axes: Axes) -> None:
    """Put the legend between title and axes, on one row, where no line can run below it."""
    axes.legend(
        loc="lower left", bbox_to_anchor=(-0.004, 1.0), ncols=4, frameon=False, handlelength=2.6, borderpad=0.2,
        columnspacing=1.4, handletextpad=0.5, borderaxespad=0.1,
    )  # fmt: skip


PANELS: Final[Mapping[str, Callable[[Axes, Scene], None]]] = {
    "sides": sides,
    "effect": effect,
    "natural": natural,
    "harm": harm,
    "promise": promise,
    "latencies": latencies,
}
