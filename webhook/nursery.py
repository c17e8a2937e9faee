"""What the history of a workload teaches of young replicas: how each one that was born in it departed from the old."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from analysis.closing import Closed
from analysis.policy import Gauge, Latency, Quantile, Question, Ratio
from analysis.record import QuestionRecord, SideSeries, side_series
from analysis.types import FloatArray, Json
from analysis.variations import values_of
from analysis.warmup import birth_curve, grown_up, learned_length
from analysis.youth import BIRTHS, WARM_UP

DAYS_OLD = -np.inf
"""When replicas were born that were there before anybody watched."""


def learn_births(frame: dict[str, Json], closed: Closed, questions: Sequence[Question]) -> None:
    """
    Note in a frame how long young replicas differ from old ones, by question: ``warm_up`` in its notes.

    Parameters
    ----------
    frame : dict
        With the births that were seen in its notes; added to them is ``{"length": seconds or None, "births": number}``,
        the births that were seen from their youth to their old age. None: fewer than five of them.
    closed : Closed
        Looks of stable's history.
    questions : sequence of Question
        Levels and latencies among them are learned from.
    """
    notes: dict[str, Json] = dict(frame.get("notes", {}))
    ends = np.array([row["end"] for row in closed.rows], dtype=np.float64)
    for question in questions:
        born = notes.get(question.name, {}).get(BIRTHS, {})
        if not born or not isinstance(question, Gauge | Latency | Quantile | Ratio):
            continue
        entries = [row["questions"].get(question.name, {}).get("baseline", {}) for row in closed.rows]
        found = curves(question, side_series(entries), closed.edges.get(question.name, ()), born, ends, born.keys())
        grown = [curve for curve in found.values() if grown_up(curve)]
        if not grown:
            continue
        told = {"length": learned_length(np.array(grown)), "births": len(grown)}
        notes[question.name] = {**notes[question.name], WARM_UP: told}
    frame["notes"] = notes


def curves(
    question: Question,
    series: SideSeries,
    edges: tuple[float, ...],
    born: Mapping[str, float],
    ends: FloatArray,
    wanted: Collection[str],
) -> dict[str, FloatArray]:
    """
    Return how some young replicas departed from the old ones, see `analysis.warmup.birth_curve`.

    Parameters
    ----------
    question : Question
    series : SideSeries
        Young and old replicas, R of them in K looks.
    edges : tuple of float
        Bucket bounds, of histograms.
    born : mapping
        Unix seconds by replica; who is not named was always there.
    ends : (K,) float64
        Ends of the looks, unix seconds.
    wanted : collection of str
        Whose curves are asked for.

    Returns
    -------
    dict of str to (60,) float64
    """
    nobody = SideSeries(replicas=(), fields={})
    left_out = (None,) * len(ends)
    found = QuestionRecord(baseline=series, canary=nobody, left_out=left_out, edges=edges)
    values = values_of(question, found, series)
    if values is None:
        return {}
    ages = ends[None, :] - np.array([born.get(name, DAYS_OLD) for name in series.replicas])[:, None]
    rows = {name: row for row, name in enumerate(series.replicas) if name in wanted}
    return {
        name: birth_curve(values[row], np.delete(values, row, axis=0), ages[row], np.delete(ages, row, axis=0))
        for name, row in rows.items()
    }
