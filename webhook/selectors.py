"""
Filling names into PromQL: every value is escaped for the place where it stands.

A value inside a ``=~`` or ``!~`` matcher is a literal within a regular expression within a string, inside any
other string it is a literal. Outside strings no value is ever filled in, so a name cannot become code.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from analysis.errors import InvalidPolicy
from webhook.errors import WebhookError

NAMES = ("namespace", "name", "target", "service", "ingress", "route", "baseline", "canary", "cluster")
"""What a selector may ask for as ``$namespace`` and so on; ``$side`` is expanded before."""

_NAME = re.compile(r"\$(" + "|".join(NAMES) + r")\b")
_LITERAL = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|`[^`]*`')
_REGEX_OPERATOR = re.compile(r"[=!]~\s*\Z")
_ESCAPE = re.compile(r"\\(?:([abfnrtv\\'\"])|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3}))")
_PLAIN = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_LABEL_MATCHER = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\s*(?:=~|!~|!=|=)\s*\Z")
_SIDED = re.compile(r"[A-Za-z_:][A-Za-z0-9_:]*\s*\{[^{}]*\$side[^{}]*\}")
_SELECTOR = re.compile(r"\s*([A-Za-z_:][A-Za-z0-9_:]*)\s*(\{.*\})?\s*\Z", re.DOTALL)


class EmptySelector(WebhookError):
    """
    A selector asks for a value that the caller left empty: it would match nothing, or everything.

    Parameters
    ----------
    name : str
        Which value, without ``$``.
    """

    status = 400
    title = "Empty selector"

    def __init__(self, name: str) -> None:
        super().__init__(f"a selector uses ${name}, which is empty")
        self.name = name


def quote(value: str) -> str:
    r"""
    Return ``value`` as a PromQL string literal.

    >>> print(quote('a"b\\c'))
    "a\"b\\c"
    """
    out = []
    for character in value:
        if character in '"\\':
            out.append("\\" + character)
        elif character.isprintable():
            out.append(character)
        else:
            out.append(f"\\U{ord(character):08x}")
    return '"' + "".join(out) + '"'


def quote_regex(value: str) -> str:
    r"""
    Return a regular expression (RE2) that matches exactly ``value``.

    >>> print(quote_regex("a.b-c|d"))
    a\.b-c\|d
    """
    return re.sub(r"[\\.+*?()|\[\]{}^$]", r"\\\g<0>", value)


def unquote(literal: str) -> str:
    """Return what a PromQL string literal (double, single or back quotes) stands for."""
    body = literal[1:-1]
    return body if literal[0] == "`" else _ESCAPE.sub(_unescape, body)


def _unescape(match: re.Match[str]) -> str:
    plain, *numbers, octal = match.groups()
    if plain is not None:
        return _PLAIN.get(plain, plain)
    return chr(int(octal, 8) if octal else int(next(number for number in numbers if number), 16))


def fill(text: str, names: Mapping[str, str]) -> str:
    """
    Return PromQL with every ``$name`` inside its string literals replaced.

    Parameters
    ----------
    text : str
        PromQL, or the inside of a selector's braces.
    names : mapping
        Values by name, see `NAMES`; an absent one counts as empty.

    Raises
    ------
    EmptySelector
        The text asks for a value that is empty.
    InvalidPolicy
        A ``$name`` stands outside a string, where no value can be escaped.
    """
    out, position = [], 0
    for match in _LITERAL.finditer(text):
        before = text[position : match.start()]
        _refuse_outside(before)
        out.append(before)
        out.append(_fill_literal(match.group(), bool(_REGEX_OPERATOR.search(before)), names))
        position = match.end()
    _refuse_outside(text[position:])
    out.append(text[position:])
    return "".join(out)


def _refuse_outside(code: str) -> None:
    if found := _NAME.search(code):
        raise InvalidPolicy(f"must stand inside a quoted string: {found.group()}")


def _fill_literal(literal: str, is_regex: bool, names: Mapping[str, str]) -> str:
    if not _NAME.search(literal):
        return literal

    def value(match: re.Match[str]) -> str:
        found = names.get(match.group(1)) or ""
        if not found:
            raise EmptySelector(match.group(1))
        return quote_regex(found) if is_regex else found

    return quote(_NAME.sub(value, unquote(literal)))


def expand_side(text: str, matchers: str) -> str:
    """Return ``text`` with ``$side`` outside strings replaced by label matchers."""
    return _outside(text, lambda code: code.replace("$side", matchers))


def set_label(text: str, label: str) -> str:
    """Return ``text`` with the placeholder ``LABEL`` outside strings replaced by a label's name."""
    return _outside(text, lambda code: re.sub(r"\bLABEL\b", label, code))


def asks_for_label(text: str) -> bool:
    """Return whether the placeholder ``LABEL`` stands in ``text`` outside strings."""
    return set_label(text, "x") != text


def _outside(text: str, change: Callable[[str], str]) -> str:
    out, position = [], 0
    for match in _LITERAL.finditer(text):
        out += [change(text[position : match.start()]), match.group()]
        position = match.end()
    return "".join([*out, change(text[position:])])


def label_names(text: str) -> list[str]:
    """Return the names of the labels that matchers in ``text`` speak of, in order, without repeats."""
    return list(dict.fromkeys(matcher.label for matcher in matchers(text)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Matcher:
    """One label matcher of a selector: the label, and the whole as it stands there."""

    label: str
    text: str


def matchers(text: str) -> Iterator[Matcher]:
    """
    Yield the label matchers in a text, in order.

    >>> [matcher.text for matcher in matchers('namespace="shop", pod=~"a,b"')]
    ['namespace="shop"', 'pod=~"a,b"']
    """
    for match in _LITERAL.finditer(text):
        if name := _LABEL_MATCHER.search(text, 0, match.start()):
            yield Matcher(label=name.group(1), text=text[name.start(1) : match.end()])


def suffixed(selector: str, suffix: str) -> str:
    """
    Return a selector of the metric ``name + suffix`` with the same matchers.

    >>> suffixed('http_request_duration_seconds{pod="a"}', "_bucket")
    'http_request_duration_seconds_bucket{pod="a"}'
    """
    match = _SELECTOR.match(selector)
    if match is None:
        raise InvalidPolicy(f"must be a metric with label matchers, got {selector!r}")
    return f"{match.group(1)}{suffix}{match.group(2) or ''}"


def first_selector(text: str) -> str | None:
    """
    Return the first metric with matchers in an expression that asks for ``$side``, or None if there is none.

    >>> first_selector('sum by (pod) (rate(cpu_seconds_total{$side, container="app"}[1m]))')
    'cpu_seconds_total{$side, container="app"}'
    """
    # Braces within strings are no braces.
    bare = _LITERAL.sub(lambda match: "_" * len(match.group()), text)
    match = _SIDED.search(bare)
    return text[match.start() : match.end()] if match else None


def narrowed(selector: str, matcher: str) -> str:
    """
    Return a selector with one matcher more.

    >>> narrowed('latency_seconds{pod="a"}', 'quantile=""'), narrowed("latency_seconds", 'quantile=""')
    ('latency_seconds{pod="a", quantile=""}', 'latency_seconds{quantile=""}')
    """
    match = _SELECTOR.match(selector)
    if match is None:
        raise InvalidPolicy(f"must be a metric with label matchers, got {selector!r}")
    inside = (match.group(2) or "{}")[1:-1].strip().rstrip(",")
    return f"{match.group(1)}{{{', '.join(part for part in (inside, matcher) if part)}}}"


def metric_name(selector: str) -> str:
    """Return the metric that a selector reads, or the whole text where it is no plain selector."""
    match = _SELECTOR.match(selector)
    return match.group(1) if match else selector.strip()
