"""Plots on demand: one is drawn at a time, within a bounded wait, and what was drawn last is kept."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Final

from analysis.compare.tracks import Track
from analysis.trace import Trace
from analysis.types import Json
from webhook.errors import Busy, NotFound
from webhook.plots import captions

FORMS: Final = {"svg": "image/svg+xml", "png": "image/png"}
"""Forms of a plot with the type that each is sent as."""
COLOURS: Final = ("light", "dark")
WAIT_S: Final = 10.0
"""A caller waits so long for those before it; a page of ten plots takes about as long."""
KEPT_PLOTS: Final = 64
KEPT_TRACES: Final = 2
"""A page asks for the plots of one report after the other: its trace is worked out once."""


class Shelf:
    """
    Draws plots, and keeps the newest.

    Parameters
    ----------
    wait_s : float
        How long a caller waits while others are drawn.

    Notes
    -----
    The plotting library holds its settings for the whole process, so plots are drawn one after the other. That also
    bounds what they take from verdicts: one core, and no more memory than one plot needs. What is drawn is a function
    of the report and its record, so a plot that is kept is never wrong.
    """

    def __init__(self, wait_s: float = WAIT_S) -> None:
        self._wait_s = wait_s
        self._drawing = threading.Lock()
        self._plots: OrderedDict[tuple[str, ...], bytes] = OrderedDict()
        self._traces: OrderedDict[str, Trace] = OrderedDict()
        self._tracks: OrderedDict[tuple[str, str], Track | None] = OrderedDict()

    def plot(
        self, report: Mapping[str, Json], question: str, form: str, theme: str, traced: Callable[[], Trace]
    ) -> bytes:
        """
        Return the plot of one question of a report.

        Parameters
        ----------
        report : mapping
            Its document.
        question : str
        form : {"svg", "png"}
        theme : {"light", "dark"}
        traced : callable
            Works out the trace of the report's record; called only where it is not at hand.

        Raises
        ------
        NotFound
            The report has no plot of this question.
        Busy
            Others were drawn for longer than a caller waits.
        """
        if question not in captions.plotted(report):
            raise NotFound(f"this report has no plot of {question!r}; it has {_listed(captions.plotted(report))}")
        identity = str(report["id"])
        key = (identity, question, form, theme)
        if not self._drawing.acquire(timeout=self._wait_s):
            raise Busy(f"plots are drawn one at a time and others took over {self._wait_s:g} s: ask again")
        try:
            if key not in self._plots:
                self._plots[key] = self._drawn(report, question, form, theme, traced)
                while len(self._plots) > KEPT_PLOTS:
                    self._plots.popitem(last=False)
            self._plots.move_to_end(key)
            return self._plots[key]
        finally:
            self._drawing.release()

    def _drawn(
        self, report: Mapping[str, Json], question: str, form: str, theme: str, traced: Callable[[], Trace]
    ) -> bytes:
        from webhook.plots.files import rendered  # brings the plotting library, 0.4 s that a service start need not pay

        identity = str(report["id"])
        if identity not in self._traces:
            self._traces[identity] = traced()
            while len(self._traces) > KEPT_TRACES:
                self._traces.popitem(last=False)
        trace = self._traces[identity]
        if (identity, question) not in self._tracks:
            self._tracks[identity, question] = trace.questions[question].track()
            while len(self._tracks) > KEPT_PLOTS:
                self._tracks.popitem(last=False)
        return rendered(report, trace, question, self._tracks[identity, question], form, theme)


def _listed(names: list[str]) -> str:
    return ", ".join(names) if names else "none"
