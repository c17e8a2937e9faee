"""A report as plain text for a terminal: verdict and reason first, no line longer than 100 columns."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence

from webhook.explain import findings, questions, sizes, words
from webhook.explain.flags import flag
from webhook.explain.reading import Document, code, line, lines, part, parts, when

COLUMNS = 100
LABEL = 10
WORDS = re.compile(r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s])+""")
"""Words of a query: a quoted string belongs to its word, blanks and all."""
UNIT = re.compile(r"(?<=[\d,]) (?=(?:%|pp|ms|s|min|h|days|: \d|replicas?|looks?)(?!\w))|(?<=:) (?=\d)")
"""The blank between a number and its unit, at which no line is broken."""
HISTORY = 10
"""How many of the newest events of a release are told."""
QUESTION_WIDTHS = (14, 21, 21, 20, 22)
EDGE_WIDTHS = (24, 11, 11, 22, 30)
EDGE_TITLES = ("requests", "baseline", "canary", "odds for more", "odds for more than tolerated")
PROOF_WIDTHS = (20, 29, 19, 30)
EVENT_WIDTHS = (22, 7, 11, 58)


def render(report: Document) -> str:
    """
    Return a report document as plain text.

    Parameters
    ----------
    report : mapping
        A document of the format ``weighbridge-report/1``; whatever is missing is left out of the text.

    Returns
    -------
    str
        Lines of at most 100 columns, but for words inside resolved queries that are longer; ends with a
        line end. Its first line holds the verdict and the reason.
    """
    told = [
        *_top(report),
        *_questions(report),
        *_evidence(report),
        *_listed("LEFT OUT", [words.left_out(item) for item in parts(part(report, "detail").get("left_out"))]),
        *_listed("REMARKS", words.remarks(report)),
        *_history(report),
        *_queries(report),
        *_listed("THE SAME AGAIN", words.recompute(report)),
    ]
    return "\n".join(row.rstrip() for row in told) + "\n"


def _top(report: Document) -> Iterator[str]:
    yield from _wrapped(words.headline(report), words.reason(report), gap="  ")
    if warning := words.mode(report):
        yield ""
        yield from _wrapped("!!", warning, gap="  ")
    yield ""
    url = line(report.get("url"))
    said = (
        ("release", words.release(report)),
        ("change", line(part(report, "detail").get("annotation"))),
        ("policy", ", ".join(filter(None, (line(report.get("policy")), _mode(report))))),
        ("window", words.window(report)),
        ("traffic", words.traffic(report)),
        ("split", words.split(report)),
        ("forecast", questions.forecast(part(report, "forecast"))),
        ("override", words.override(report)),
        ("closed", words.closing(report)),
        ("asked", when(part(report, "detail").get("asked_at"))),
        ("took", words.timing(report)),
        ("report", " ".join(filter(None, (line(report.get("id")), url)))),
    )
    for label, text in said:
        if text:
            yield from _wrapped(label.ljust(LABEL), text)


def _mode(report: Document) -> str:
    mode = line(report.get("mode"))
    return f"mode {mode}" if mode else ""


def _questions(report: Document) -> Iterator[str]:
    evidence = parts(part(report, "detail").get("evidence"))
    if not evidence:
        # A degraded report has no evidence, but may still name the questions it could not ask.
        asked = part(report, "questions")
        yield from _listed(
            "QUESTIONS", [f"{line(name)}: {questions.state({'state': state})}" for name, state in asked.items()]
        )
        return
    yield from ("", "QUESTIONS")
    yield from _row(("", "", "baseline", "canary", "canary / baseline"), QUESTION_WIDTHS)
    for item in evidence:
        cells = (
            line(item.get("name")) or "unnamed",
            questions.state(item),
            sizes.counts(item, "baseline", short=True) or "–",
            sizes.counts(item, "canary", short=True) or "–",
            sizes.effect(item) or "–",
        )
        yield from _row(cells, QUESTION_WIDTHS)


def _evidence(report: Document) -> Iterator[str]:
    for item in parts(part(report, "detail").get("evidence")):
        yield ""
        yield from _wrapped(
            f"{line(item.get('name')) or 'unnamed'}:", line(item.get("reason")) or questions.state(item), gap=" "
        )
        for label, text in _facts(item):
            if text:
                yield from _wrapped(f"  {label.ljust(LABEL)}", text)
        edges = list(findings.edges(item))
        if edges:
            yield from _row(EDGE_TITLES, EDGE_WIDTHS)
        for edge in edges:
            yield from _row(edge, EDGE_WIDTHS)
        proofs = list(questions.proofs(item))
        if proofs:
            yield from _row(("odds", "in favour of", "evidence", "opens"), PROOF_WIDTHS)
        for proof in proofs:
            reached = "reached: " if proof.reached else ""
            yield from _row((proof.odds, proof.claim, proof.log_e, reached + proof.opens), PROOF_WIDTHS)


def _facts(item: Document) -> Iterator[tuple[str, str]]:
    """Yield label and text of what is no table about one question; a text may be empty."""
    yield "question", questions.standing(item)
    yield "proof", questions.proof(item)
    yield from ((side, sizes.counts(item, side)) for side in ("baseline", "canary"))
    yield "effect", ", ".join(filter(None, (sizes.effect(item), sizes.level(item))))
    yield "evidence", line(item.get("odds"))
    yield "guilty", findings.guilty(item)
    yield from (("variation", text) for text in findings.variation(item))
    yield "noise", questions.noise(item)
    for limit in parts(item.get("limits")):
        yield (
            "limit",
            ": ".join(filter(None, (questions.state(limit) if limit.get("state") else "", line(limit.get("text"))))),
        )
    yield from (("forecast", text) for text in questions.forecasts(item))
    yield from (("advice", text) for text in lines(item.get("advice")))
    yield from (("note", flag(text)) for text in lines(item.get("flags")))
    yield from (("detail", text) for text in findings.details(item))


def _history(report: Document) -> Iterator[str]:
    events = parts(part(report, "detail").get("history"))
    if not events:
        return
    hidden = len(events) - HISTORY
    yield from ("", "HISTORY" + (f" (newest {HISTORY} of {len(events)})" if hidden > 0 else ""))
    for item in events[-HISTORY:]:
        yield from _row(words.event(item), EVENT_WIDTHS)


def _queries(report: Document) -> Iterator[str]:
    found = parts(part(report, "detail").get("queries"))
    if found:
        yield from ("", "QUERIES")
    for item in found:
        yield f"  {words.query(item)}"[:COLUMNS]
        yield from _query(code(item.get("expr")))


def _query(expr: str) -> Iterator[str]:
    """Yield a query on several lines, broken at blanks outside quotes only: it is there to be copied."""
    row = ""
    for word in WORDS.findall(expr):
        if row and len(row) + 1 + len(word) > COLUMNS - 4:
            yield f"    {row}"
            row = ""
        row = f"{row} {word}" if row else word
    if row:
        yield f"    {row}"


def _listed(title: str, texts: Sequence[str]) -> Iterator[str]:
    """Yield a titled list; nothing at all if it is empty."""
    if texts:
        yield from ("", title)
    for text in texts:
        yield from _wrapped("  -", text, gap=" ")


def _wrapped(label: str, text: str, gap: str = "") -> list[str]:
    """Return ``label`` and ``text``, following lines under the text (under a long label, near the edge)."""
    beside = len(label) + len(gap)
    margin = " " * (beside if beside <= 14 else 6)
    return _folded(f"{label}{gap}{text}", COLUMNS, margin)


def _folded(text: str, width: int, margin: str = "") -> list[str]:
    """Return ``text`` on lines of at most ``width`` columns, numbers beside their units; never no line at all."""
    rows = textwrap.wrap(UNIT.sub("\N{NO-BREAK SPACE}", text), width, subsequent_indent=margin, break_on_hyphens=False)
    return [row.replace("\N{NO-BREAK SPACE}", " ") for row in rows] or [""]


def _row(cells: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    """Yield the lines of one row of a table: each cell is wrapped inside its own column."""
    # Between two columns stands a blank; the last one needs none.
    room = [width - 1 for width in widths[:-1]] + [widths[-1]]
    columns = [_folded(cell, width) for cell, width in zip(cells, room, strict=True)]
    for number in range(max(len(column) for column in columns)):
        shown = (column[number] if number < len(column) else "" for column in columns)
        yield "  " + "".join(text.ljust(width) for text, width in zip(shown, widths, strict=True))
