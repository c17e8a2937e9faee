"""Plots on demand: drawn once, one at a time, within a bounded wait."""

from __future__ import annotations

import threading

import pytest

from analysis.trace import trace
from tests.analysis.kinds_examples import every_kind, release
from tests.webhook.plots.report_examples import reported
from webhook.errors import Busy, NotFound
from webhook.plots import shelf
from webhook.plots.shelf import Shelf


class Traced:
    """Works out a trace, and counts how often it had to."""

    def __init__(self):
        self.times = 0

    def __call__(self):
        self.times += 1
        found = release(harm=False)
        return trace(every_kind(), found, float(found.ends[-1]))


def test_what_was_drawn_is_kept():
    """A second reader gets the same bytes without any work; another theme needs no second trace."""
    kept, traced = Shelf(), Traced()
    first = kept.plot(reported(), "heap", "svg", "light", traced)
    assert kept.plot(reported(), "heap", "svg", "light", traced) is first
    assert kept.plot(reported(), "heap", "svg", "dark", traced) != first
    assert traced.times == 1


def test_only_the_newest_are_kept(monkeypatch):
    """The shelf has room for so many plots and traces, whoever asks."""
    monkeypatch.setattr(shelf, "KEPT_PLOTS", 1)
    monkeypatch.setattr(shelf, "KEPT_TRACES", 1)
    kept, traced = Shelf(), Traced()
    first = kept.plot(reported(), "heap", "svg", "light", traced)
    other = {**reported(), "id": "r_other"}
    kept.plot(other, "heap", "svg", "light", traced)
    again = kept.plot(reported(), "heap", "svg", "light", traced)
    assert again == first
    assert again is not first
    assert traced.times == 3


def test_a_caller_does_not_wait_for_ever():
    """While another plot is drawn for longer than a caller waits, the caller hears so."""
    kept = Shelf(wait_s=0.01)
    drawing, enough = threading.Event(), threading.Event()

    def slow():
        drawing.set()
        assert enough.wait(timeout=30)
        return Traced()()

    other = threading.Thread(target=kept.plot, args=(reported(), "heap", "svg", "light", slow))
    other.start()
    try:
        assert drawing.wait(timeout=30)
        with pytest.raises(Busy, match="one at a time"):
            kept.plot(reported(), "cpu", "svg", "light", Traced())
    finally:
        enough.set()
        other.join(timeout=60)
    assert kept.plot(reported(), "heap", "svg", "light", Traced()).startswith(b"<?xml")


def test_a_failure_leaves_the_way_free():
    """What cannot be traced is the caller's error; the next one is served."""
    kept = Shelf(wait_s=0.01)

    def gone():
        raise NotFound("no record is kept for this report")

    with pytest.raises(NotFound):
        kept.plot(reported(), "heap", "svg", "light", gone)
    assert kept.plot(reported(), "heap", "svg", "light", Traced())


def test_what_has_no_plot_is_not_found():
    """Limits have none, nor has a question that was not asked; the others are named."""
    for name in ("classic", "nonsense", ""):
        with pytest.raises(NotFound, match="error-rate, latency, cpu, summary, heap, timeouts"):
            Shelf().plot(reported(), name, "svg", "light", Traced())
