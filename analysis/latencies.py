"""From a record to histograms: the aligned arrays of a question of kind ``latency``, or why there are none."""

from __future__ import annotations

from typing import Final

import numpy as np

from analysis import silences
from analysis.compare.latency import LatencyData, history_of
from analysis.compare.latency_noise import LatencyNoise
from analysis.compare.latency_parts import LatencyQuestion
from analysis.compare.latency_summary import from_summary
from analysis.policy import Latency, Policy
from analysis.record import QuestionRecord, Record, SideSeries
from analysis.resumed import Recalled
from analysis.silences import Silence
from analysis.types import FloatArray, State

NOISE_NOTE: Final = "latency_noise"
"""Where a record keeps the summary of a long history, see `analysis.compare.latency_summary.summary`."""
UNITS: Final = {"s": 1.0, "ms": 1e-3}


def asked(question: Latency, policy: Policy) -> LatencyQuestion:
    """Return what a question asks, in the words of the arithmetic; edges in seconds."""
    return LatencyQuestion(
        shift=question.tolerance.shift,
        exceedance=question.tolerance.exceedance,
        slo_edges=tuple(edge * UNITS[question.unit] for edge in question.slo_edges),
        harm_budget=policy.harm_budget,
        alphas=policy.alpha,
    )


def silence(question: Latency, record: Record) -> Silence | None:
    """
    Return why a question cannot be judged on this record, or None if it can; see `analysis.silences.silence`.

    Buckets without an edge in common are ``incomparable`` too.
    """
    quiet = silences.silence(question, record, ("counts",))
    if quiet is None and not record.questions[question.name].edges:
        label = question.name.replace("-", " ")
        return Silence(state=State.INCOMPARABLE, reason=f"{label}: the two versions have no bucket edge in common")
    return quiet


def latency_data(question: Latency, record: Record) -> LatencyData | None:
    """
    Return the aligned histograms of a question; sides without a replica get one that never had a request.

    Parameters
    ----------
    question : Latency
    record : Record

    Returns
    -------
    LatencyData or None
        Edges in seconds. Rows of the baseline and of its short history are the same replicas. None if the record holds
        no bucket edge or no look: there is nothing to weigh, and `silence` says why.
    """
    found = record.questions.get(question.name)
    if found is None or not found.edges or not len(record.ends):
        return None
    edges = np.array(found.edges, dtype=np.float64) * UNITS[question.unit]
    noise, earlier = _history(found, edges, record.grid.length)
    names = found.baseline.replicas or ("",)
    before = None
    if earlier is not None:
        names = tuple(sorted({*names, *earlier.replicas}))
        before = _rows(earlier, names, earlier.fields["counts"].shape[1], len(edges) + 1)
    looks, buckets = len(record.ends), len(edges) + 1
    return LatencyData(
        baseline=_rows(found.baseline, names, looks, buckets),
        canary=_rows(found.canary, found.canary.replicas or ("",), looks, buckets),
        edges=edges,
        left_out=~found.used,
        ends=record.ends,
        seconds=record.lengths,
        visible=found.visible,
        history=noise,
        earlier=before,
    )


def _history(found: QuestionRecord, edges: FloatArray, length: float) -> tuple[LatencyNoise | None, SideSeries | None]:
    """Return what is known of stable's history, and its looks where they are too few to be summed up."""
    told = found.notes.get(NOISE_NOTE)
    if told is not None:
        return from_summary(told, len(edges)), None
    if found.history is None or "counts" not in found.history.fields:
        return None, None
    counts = found.history.fields["counts"]
    seconds = np.full(counts.shape[1], length)

    def learned() -> tuple[LatencyNoise, bool]:
        noise, looks = history_of(counts, edges, seconds, found.visible)
        return noise, looks is not None

    noise, short = HISTORIES.value(repr(found.visible).encode(), (counts, edges, seconds), learned)
    return noise, found.history if short else None


HISTORIES: Final[Recalled[tuple[LatencyNoise, bool]]] = Recalled(32)
"""What earlier calls learned of the same history, and whether that is too little."""


def _rows(series: SideSeries, names: tuple[str, ...], looks: int, buckets: int) -> FloatArray:
    if names == series.replicas and "counts" in series.fields:
        return series.fields["counts"]
    array = np.full((len(names), looks, buckets), np.nan)
    if "counts" in series.fields:
        for row, replica in enumerate(series.replicas):
            array[names.index(replica)] = series.fields["counts"][row]
    return array
