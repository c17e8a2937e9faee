"""What is wrong with a document: file, place, rule and value, all of it and not only the first."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from analysis.errors import InvalidPolicy
from analysis.types import Json

SHOWN = 80
"""Characters of a wrong value that are repeated."""


def shown(value: Json) -> str:
    """Return a wrong value on one line of at most `SHOWN` characters."""
    try:
        text = repr(value)
    except RecursionError:
        text = "nested without end"
    text = f"{type(value).__name__} {text}" if isinstance(value, dict | list) else text
    return _line(text)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``", did you mean 'x'?"`` for the known word next to ``word``, else an empty string."""
    if len(word) > SHOWN:
        return ""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f", did you mean {near[0]!r}?" if near else ""


def step(place: str, key: object) -> str:
    """
    Return the JSON pointer of ``key`` inside ``place`` (RFC 6901: ``~`` is ``~0``, ``/`` is ``~1``).

    A pointer is printed and logged, so a key longer than `SHOWN` is cut, and what cannot be printed is escaped.
    """
    return f"{place}/{_line(str(key)).replace('~', '~0').replace('/', '~1')}"


def _line(text: str) -> str:
    """Return text on one line of at most `SHOWN` characters that can be printed and encoded."""
    text = text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
    return text if text.isprintable() else text.encode("unicode_escape", "surrogatepass").decode("ascii")[:SHOWN]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """
    One thing that is wrong.

    Parameters
    ----------
    place : str
        JSON pointer inside the document; empty for the document itself.
    rule : str
        What is asked and what was found, e.g. ``must be true or false, got 'no'``.
    file : str, default ""
        File name without its folder.
    """

    place: str
    rule: str
    file: str = ""

    def __str__(self) -> str:
        return ": ".join(part for part in (self.file, self.place, self.rule) if part)


class PolicyProblems(InvalidPolicy):
    """
    A policy with at least one problem.

    Parameters
    ----------
    problems : sequence of Problem
        In the order of the document. ``message`` and ``place`` are those of the first.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        first = problems[0]
        more = "" if len(problems) == 1 else f" (and {len(problems) - 1} more)"
        head = f"{first.file}: " if first.file else ""
        super().__init__(f"{first.rule}{more}", f"{head}{first.place}" if first.place else first.file)
        self.problems = tuple(problems)

    def within(self, place: str) -> PolicyProblems:
        """Return the same problems of a policy that stands at ``place`` of a larger document."""
        return PolicyProblems([replace(problem, place=place + problem.place) for problem in self.problems])
