"""From a sheet to the bytes of a file: the same report gives the same bytes."""

from __future__ import annotations

import html
import io
import logging
from collections.abc import Mapping
from typing import Final

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG

from analysis.compare.tracks import Track
from analysis.trace import Trace
from analysis.types import Json
from webhook.plots import captions
from webhook.plots.axes import Scene
from webhook.plots.figure import drawn
from webhook.plots.theme import THEMES

DOTS_PER_INCH: Final = 144
CREATOR: Final = "Weighbridge"

logging.getLogger("matplotlib").setLevel(logging.ERROR)  # what it says of its caches is no event of ours


def rendered(
    report: Mapping[str, Json], trace: Trace, question: str, track: Track | None, form: str, theme: str
) -> bytes:
    """
    Return the plot of one question as a file.

    Parameters
    ----------
    report : mapping
        The document whose words stand on the sheet.
    trace : Trace
    question : str
        One of ``trace.questions``.
    track : Track or None
        Of that question.
    form : {"svg", "png"}
    theme : {"light", "dark"}

    Notes
    -----
    The library keeps its settings for the whole process: two threads must not render at the same time.
    """
    colours = THEMES[theme]
    title, _ = heading = captions.heading(report, question)
    with matplotlib.rc_context(colours.settings()):
        sheet = drawn(Scene(trace=trace, told=trace.questions[question], track=track, theme=colours), heading)
        out = io.BytesIO()
        if form == "png":
            told = {"Title": title, "Description": captions.alternative(report, question), "Software": CREATOR}
            sheet.set_dpi(DOTS_PER_INCH)
            FigureCanvasAgg(sheet).print_png(out, metadata=told)
            return out.getvalue()
        told = {"Title": title, "Description": captions.alternative(report, question), "Creator": CREATOR}
        FigureCanvasSVG(sheet).print_svg(out, metadata={**told, "Date": None})
    return described(out.getvalue(), told["Description"])


def described(drawn: bytes, text: str) -> bytes:
    """Return an SVG that says what it shows where readers of screens look for it: as a picture with title and text."""
    before, start, rest = drawn.partition(b"<svg ")
    head, _, body = rest.partition(b"<title>")
    shown = f'<desc id="text">{html.escape(text, quote=False)}</desc>\n <metadata>'
    body = body.replace(b"<metadata>", shown.encode(), 1)
    return before + start + b'role="img" aria-labelledby="title text" ' + head + b'<title id="title">' + body
