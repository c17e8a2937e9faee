"""
Reports and releases as pages: static HTML, no scripts, nothing loaded from anywhere but plots from this service.

The style sheet stands inside the page, so that a saved page still looks right; `CONTENT_SECURITY_POLICY` allows exactly
that sheet, and pictures of our own.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Final
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined

from analysis.types import Json
from webhook.explain import bar, findings, questions, sizes, words
from webhook.explain.flags import flag
from webhook.explain.reading import Document, amount, code, line, lines, part, parts, when
from webhook.plots import captions

STYLE: Final = files("webhook").joinpath("pages", "style.css").read_text(encoding="utf-8")
_DIGEST = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
CONTENT_SECURITY_POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_DIGEST}'; img-src 'self' data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""The header that belongs to every page made here."""

TONES: Final = {
    "promote": "good", "promoted": "good", "promoting": "good", "no_worse": "good", "better": "good",
    "within_limit": "good", "within_variation": "good", "within_budget": "good",
    "abort": "bad", "aborted": "bad", "worse": "bad", "over_limit": "bad", "over_budget": "bad",
    "hold": "wait", "held": "wait", "degraded": "wait", "progressing": "calm", "superseded": "calm",
}  # fmt: skip
SIGNS: Final = {"good": "✓", "bad": "✕", "wait": "❚❚", "calm": "–"}


def _tone(word: Json) -> str:
    """Return one of four closed words for the colour of a verdict, a state or a phase."""
    return TONES.get(line(word).lower(), "calm")


def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("webhook", "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(
        flag=flag, words=words, questions=questions, sizes=sizes, findings=findings, bar=bar, style=STYLE, signs=SIGNS
    )
    made.filters.update(tone=_tone, line=line, code=code, lines=lines, parts=parts, part=part, when=when, amount=amount)
    return made


_PAGES: Final = _environment()


def render(report: Document, base: str = "") -> str:
    """
    Return the page of one report.

    Parameters
    ----------
    report : mapping
        A document of the format ``weighbridge-report/1``; whatever is missing is left out of the page.
    base : str, default ""
        What stands before ``/v1`` in links: the path under which the service is reached.
    """
    evidence = parts(part(report, "detail").get("evidence"))
    asked = part(report, "questions") if not evidence else {}
    return _PAGES.get_template("report.html").render(
        report=report,
        detail=part(report, "detail"),
        evidence=evidence,
        # A report of ours without evidence (a source was down) may still name what it could not ask.
        asked=[{"name": line(name), "state": line(state)} for name, state in asked.items()],
        base=base,
        links=_links(part(report, "release"), base),
        address=f"{base}/v1/reports/{_segment(report.get('id'))}",
        plots=captions.plotted(report) if line(report.get("id")) else [],
        shown_by=captions.alternative,
        segment=_segment,
    )


def releases(attempts: Sequence[Mapping[str, Json]], base: str = "") -> str:
    """
    Return the page of all releases.

    Parameters
    ----------
    attempts : sequence of mapping
        Attempt documents, newest first: ``cluster namespace name revision attempt phase history``.
    base : str, default ""
        As for `render`.
    """
    rows = [(attempt, _links(attempt, base), _newest(attempt)) for attempt in attempts]
    return _PAGES.get_template("releases.html").render(rows=rows, base=base)


def release(attempt: Document, reports: Sequence[Mapping[str, Json]], base: str = "") -> str:
    """
    Return the page of one attempt: its phase, its history, its verdicts.

    Parameters
    ----------
    attempt : mapping
        Its document, as stored: ``cluster namespace name revision attempt phase history`` and more.
    reports : sequence of mapping
        Report documents, newest first.
    base : str, default ""
        As for `render`.
    """
    rows = [(report, f"{base}/v1/reports/{_segment(report.get('id'))}") for report in reports]
    return _PAGES.get_template("release.html").render(
        attempt=attempt, rows=rows, base=base, links=_links(attempt, base), facts=_facts(attempt)
    )


def _facts(attempt: Document) -> list[tuple[str, str]]:
    """Return label and text of what identifies an attempt; a text may be empty."""
    pinned = part(attempt, "policies")
    return [
        ("cluster", line(attempt.get("cluster"))),
        ("revision", line(attempt.get("revision"))),
        ("against", line(attempt.get("stable_revision"))),
        ("attempt", line(attempt.get("attempt"))),
        ("change", line(attempt.get("annotation"))),
        ("policy", ", ".join(line(name) for name in pinned)),
        ("started", when(attempt.get("started_at"))),
        ("ended", when(attempt.get("ended_at"))),
        ("closed", words.closing(attempt)),
    ]


def _segment(value: Json) -> str:
    """Return a value as one segment of a path."""
    return quote(str(value), safe="") if isinstance(value, str | int) else ""


def _links(who: Document, base: str) -> dict[str, str]:
    """Return the addresses of a release and of its revision; none where it has no name."""
    if not line(who.get("name")):
        return {}
    named = f"{base}/v1/releases/{_segment(who.get('namespace'))}/{_segment(who.get('name'))}"
    return {"name": named, "revision": f"{named}/{_segment(who.get('revision'))}"}


def _newest(attempt: Document) -> Document:
    events = parts(attempt.get("history"))
    return events[-1] if events else {}
