"""What a record keeps of stable's past: a summary where that says it all, else the newest looks themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

import numpy as np

from analysis.closing import Closed
from analysis.compare import latency
from analysis.compare.latency_summary import summary
from analysis.latencies import NOISE_NOTE, UNITS
from analysis.noise import FEWEST_LOOKS, learn
from analysis.policy import Latency, Proportion, Question
from analysis.record import SideSeries, side_series
from analysis.types import FloatArray, Json, Side
from webhook.expressions import FIELDS
from webhook.schema.history import write_history

LONGEST_SHORT: Final = 1000
"""Most looks of a history without bad events that are kept one by one."""
MOST_LOOKS: Final = 480
FEWEST_KEPT: Final = 60
MOST_NUMBERS: Final = 24_000
"""Numbers that one question's history may hold beyond its newest 60 looks: a frame is written with every verdict."""
DIGITS: Final = 6
SETTLING: Final = 120.0
"""Seconds after which a replica that was not there when watching began is one that was born."""


def learned_of(
    closed: Closed, questions: Sequence[Question], length: float
) -> tuple[dict[str, Json], dict[str, Json], dict[str, dict[str, Json]]]:
    """
    Return what the baseline's looks teach, by question.

    Parameters
    ----------
    closed : Closed
        Looks of the stable history, all of one ``length`` in seconds.
    questions : sequence of Question
        Those of interest; one that the looks do not hold teaches nothing.

    Returns
    -------
    noise : dict
        Summaries of shares, see `analysis.noise.Noise`.
    history : dict
        Looks as `webhook.schema.history.write_history` writes them: where a summary would say too little, and of all
        that has none.
    notes : dict of dict
        ``latency_noise``: summaries of histograms.
    """
    noise: dict[str, Json] = {}
    history: dict[str, Json] = {}
    notes: dict[str, dict[str, Json]] = {}
    for question in questions:
        entries = [row["questions"].get(question.name, {}).get("baseline", {}) for row in closed.rows]
        series = side_series(entries)
        fields = series.fields
        if isinstance(question, Proportion) and {"bad", "total"} <= fields.keys():
            seconds = np.full(fields["bad"].shape[1], length)
            found = learn(fields["bad"], fields["total"], seconds, series.replicas != ("",))
            noise[question.name] = asdict(found)
            if found.counted < FEWEST_LOOKS:
                kept = [entry for entry in entries if entry][:LONGEST_SHORT]
                if kept:
                    history[question.name] = write_history(side_series(kept))
        elif isinstance(question, Latency) and "counts" in fields:
            told = _latency(question, series, closed.edges[question.name], length)
            if told is None:
                history[question.name] = write_history(_newest(series))
            else:
                notes[question.name] = {NOISE_NOTE: told}
        elif fields.keys() & {"values", *FIELDS.get(question.kind, ())}:
            history[question.name] = write_history(_newest(series))
    return noise, history, notes


def _latency(question: Latency, series: SideSeries, edges: Sequence[float], length: float) -> Json | None:
    """Return the summary of a history of histograms, None where its looks tell more."""
    counts = series.fields["counts"]
    bounds = np.array(edges, dtype=np.float64) * UNITS[question.unit]
    found, short = latency.history_of(counts, bounds, np.full(counts.shape[1], length), series.replicas != ("",))
    return None if short is not None else summary(found)


def _newest(series: SideSeries) -> SideSeries:
    """Return the newest looks that a frame has room for, levels to six digits; replicas that left are dropped."""
    a_look = sum(array[:, :1].size for array in series.fields.values())
    looks = min(MOST_LOOKS, max(FEWEST_KEPT, MOST_NUMBERS // max(a_look, 1)))
    newest = {name: array[:, -looks:] for name, array in series.fields.items()}
    there = np.any([np.isfinite(array.reshape(len(array), -1)).any(axis=1) for array in newest.values()], axis=0)
    return SideSeries(
        replicas=tuple(name for name, here in zip(series.replicas, there, strict=True) if here),
        fields={name: _rounded(array[there]) if name == "values" else array[there] for name, array in newest.items()},
    )


def _rounded(values: FloatArray) -> FloatArray:
    """Return numbers to six significant digits: what noise is learned from needs no more."""
    rounded = [float(f"{value:.{DIGITS}g}") for value in values.ravel().tolist()]
    return np.array(rounded, dtype=np.float64).reshape(values.shape)


def first_sights(frame: dict[str, Json], closed: Closed, *, history: bool) -> None:
    """
    Note in a frame which replicas were born, and when: ``notes`` of a question get ``births``, replica to unix seconds.

    Parameters
    ----------
    frame : dict
        With ``start``. Added to it are ``old``, replicas that are no births, and ``watched``, questions with a history.
    closed : Closed
        Looks of the history, or of the run.
    history : bool
        Which of the two.

    Notes
    -----
    A replica that is there when the history of its question begins is old, whether the source can tell of no more or
    there was no more. Without a history so is one of the baseline that is there when the run begins; one of the canary
    is born when it is first seen.
    """
    old: dict[str, list[str]] = dict(frame.get("old", {}))
    watched: set[str] = set(frame.get("watched", ()))
    notes: dict[str, Json] = dict(frame.get("notes", {}))
    for name, sides in closed.seen.items():
        elders, born = set(old.get(name, ())), dict(notes.get(name, {}).get("births", {}))
        sights = [first for replicas in sides.values() for first in replicas.values()]
        begun = min(sights, default=0.0) if history else float(frame["start"])
        for side, replicas in sides.items():
            elder = history or (side is Side.BASELINE and name not in watched)
            for replica, first in replicas.items():
                if replica in elders or replica in born:
                    continue
                if elder and first <= begun + SETTLING:
                    elders.add(replica)
                else:
                    born[replica] = first
        old[name] = sorted(elders)
        if born:
            notes[name] = {**notes.get(name, {}), "births": dict(sorted(born.items()))}
        if history and sights:
            watched.add(name)
    frame["old"], frame["watched"], frame["notes"] = old, sorted(watched), notes
