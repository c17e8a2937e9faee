"""``--plots DIR``: the plots of a report as files, one SVG and one PNG for each question."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.types import Json
from webhook.commands.terminal import Exit, fail

if TYPE_CHECKING:
    from analysis.trace import Trace


def write(folder: str, report: Mapping[str, Json], traced: Callable[[], Trace]) -> None:
    """
    Draw every plot of a report into a folder, with a progress bar; one that is there is overwritten.

    Parameters
    ----------
    folder : str
        Made if it is not there.
    report : mapping
        The document of a report.
    traced : callable
        Works out how its verdict came about; called only if there is something to draw.
    """
    from webhook.commands.progress import Bar
    from webhook.plots import captions
    from webhook.plots.shelf import FORMS

    names = captions.plotted(report)
    place = Path(folder)
    try:
        place.mkdir(parents=True, exist_ok=True)
        if not names:
            return
        from webhook.plots.files import rendered

        trace = traced()
        bar = Bar(sys.stderr, len(names))
        for name in names:
            track = trace.questions[name].track()
            for form in FORMS:
                (place / f"{name}.{form}").write_bytes(rendered(report, trace, name, track, form, "light"))
            bar.advance(word=name)
        bar.close()
    except OSError as error:
        fail(f"--plots {folder}: cannot be written: {error.strerror}", Exit.CANNOT_WRITE)
