"""
Shapes of documents: each reads a plain value into a typed one, writes it back, and says so as JSON Schema.

One table of fields is the parser, the printer and the schema at once, so the three cannot drift apart.
`Shape.read` collects every problem of a document and returns `BROKEN` for what it could not read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from decimal import Decimal
from enum import Enum, StrEnum
from itertools import pairwise
from typing import Any, Final, Protocol

from analysis.errors import InvalidPolicy
from analysis.types import Json
from webhook.schema.problems import Problem, did_you_mean, shown, step


class _Broken(Enum):
    BROKEN = 0


BROKEN: Final = _Broken.BROKEN
LARGEST = 1e15
"""Whole numbers stay exact below it."""
UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
DURATION = r"[0-9]{1,9}(\.[0-9]{1,18})?[smhd]"
NOT_ZERO = r"(?!0+(\.0+)?[smhd]$)"


class Shape(Protocol):
    """What a value must look like, and what it becomes."""

    def read(self, value: Json, place: str, problems: list[Problem]) -> Any:
        """Return the typed value, or `BROKEN` after adding to ``problems`` what is wrong at ``place``."""
        ...

    def write(self, value: Any) -> Json:
        """Return what `read` would read as ``value``; ``None`` means: leave it out."""
        ...

    def schema(self) -> dict[str, Json]:
        """Return the JSON Schema (draft 2020-12) of what `read` takes."""
        ...


def _refuse(problems: list[Problem], place: str, rule: str, value: Json) -> Any:
    problems.append(Problem(place=place, rule=f"{rule}, got {shown(value)}"))
    return BROKEN


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """Text of at most ``longest`` characters that matches ``pattern`` (``rule`` says it in words)."""

    pattern: str | None = None
    rule: str = "must be text"
    longest: int = 8192
    empty: bool = False

    def read(self, value: Json, place: str, problems: list[Problem]) -> Any:
        """Return the text."""
        if not isinstance(value, str):
            return _refuse(problems, place, self.rule, value)
        if not (value or self.empty) or len(value) > self.longest:
            least = 0 if self.empty else 1
            return _refuse(problems, place, f"must have {least} to {self.longest} characters", value)
        if any("\ud800" <= letter <= "\udfff" for letter in value):
            return _refuse(problems, place, "must be text that UTF-8 can carry", value)
        # Python's $ would let one line end pass.
        if self.pattern and not (re.search(self.pattern, value) and value[-1:] != "\n"):
            return _refuse(problems, place, self.rule, value)
        return value

    def write(self, value: Any) -> Json:
        """Return the text."""
        return value

    def schema(self) -> dict[str, Json]:
        """Return type, lengths and pattern."""
        found: dict[str, Json] = {"type": "string", "maxLength": self.longest}
        if not self.empty:
            found["minLength"] = 1
        if self.pattern:
            found["pattern"] = self.pattern
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One of a closed set of words, read into ``kind`` (a ``StrEnum`` or ``str``)."""

    words: tuple[str, ...]
    kind: type[str] = str

    @classmethod
    def of(cls, kind: type[StrEnum]) -> Word:
        """Return the shape of an enumeration's words."""
        return cls(words=tuple(member.value for member in kind), kind=kind)

    def read(self, value: Json, place: str, problems: list[Problem]) -> Any:
        """Return the member."""
        if isinstance(value, str) and value in self.words:
            return self.kind(value)
        near = did_you_mean(value, self.words) if isinstance(value, str) else ""
        problems.append(Problem(place=place, rule=f"must be one of {', '.join(self.words)}, got {shown(value)}{near}"))
        return BROKEN

    def write(self, value: Any) -> Json:
        """Return the word."""
        return None if value is None else str(value)

    def schema(self) -> dict[str, Json]:
        """Return the words."""
        return {"enum": list(self.words)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A finite number between ``low`` and ``high``; an ``open`` bound is not reached."""

    low: float = -LARGEST
    high: float = LARGEST
    open_low: bool = False
    open_high: bool = False
    whole: bool = False

    @property
    def rule(self) -> str:
        """Return the rule in words."""
        kind = "a whole number" if self.whole else "a number"
        bounds = []
        if self.low > -LARGEST:
            bounds.append(f"{'above' if self.open_low else 'at least'} {self.low:g}")
        if self.high < LARGEST:
            bounds.append(f"{'below' if self.open_high else 'at most'} {self.high:g}")
        return f"must be {kind}{' ' if bounds else ''}{' and '.join(bounds)}"

    def read(self, value: Json, place: str, problems: list[Problem]) -> Any:
        """Return the number as ``float``, or ``int`` if it must be whole."""
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not self._fits(value):
            return _refuse(problems, place, self.rule, value)
        return int(value) if self.whole else float(value)

    def _fits(self, value: float) -> bool:
        above = value > self.low if self.open_low else value >= self.low
        below = value < self.high if self.open_high else value <= self.high
        return above and below and not (self.whole and value != int(value))

    def write(self, value: Any) -> Json:
        """Return the number, as `read` gives it."""
        return None if value is None else int(value) if self.whole else float(value)

    def schema(self) -> dict[str, Json]:
        """Return type and bounds."""
        return {
            "type": "integer" if self.whole else "number",
            "exclusiveMinimum" if self.open_low else "minimum": self.low,
            "exclusiveMaximum" if self.open_high else "maximum": self.high,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """True or false; ``yes``, ``no``, ``on`` and ``off`` are words, not flags."""

    def read(self, value: Json, place: str, problems: list[Problem]) -> Any:
        """Return the flag."""
        return value if isinstance(value, bool) else _refuse(problems, place, "must be true or false", value)

    def write(self, value: Any) -> Json:
        """Return the flag."""
        return value

    def schema(self) -> dict[str, Json]:
        """Return the type."""
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Duration:
    """A duration like ``30s 5m 4h 7d``, read into seconds; ``auto`` (if allowed) is read into ``None``."""

    positive: bool = False
    auto: bool = False

    @property
    def pattern(self) -> str:
        """Return the pattern of the text."""
        body = f"{NOT_ZERO if self.positive else ''}{DURATION}"
        return f"^(auto|{body})$" if self.auto else f"^{body}$"

    def read(self, value: Json, place: str, problems: list[Problem]) -> Any:
        """Return seconds."""
        if isinstance(value, str) and re.fullmatch(self.pattern, value):
            return None if value == "auto" else float(Decimal(value[:-1]) * UNITS[value[-1]])
        longer = "a duration longer than 0" if self.positive else "a duration"
        auto = "auto or " if self.auto else ""
        return _refuse(problems, place, f"must be {auto}{longer} like 30s 5m 4h 7d", value)

    def write(self, value: Any) -> Json:
        """Return the shortest text in one unit."""
        if value is None:
            return "auto" if self.auto else None
        for unit, seconds in UNITS.items():
            if value and value % seconds == 0:
                return f"{int(value // seconds)}{unit}"
        return f"{Decimal(repr(float(value))):f}s"

    def schema(self) -> dict[str, Json]:
        """Return type and pattern."""
        return {"type": "string", "pattern": self.pattern}


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """One word that must stand there; reads into nothing."""

    word: str

    def read(self, value: Json, place: str, problems: list[Problem]) -> Any:
        """Return the word."""
        return value if value == self.word else _refuse(problems, place, f"must be {self.word}", value)

    def write(self, value: Any) -> Json:
        """Return the word."""
        return self.word

    def schema(self) -> dict[str, Json]:
        """Return the word."""
        return {"const": self.word}


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOf:
    """A list, read into a tuple; ``single``: one item may stand alone. ``rising`` items rise strictly."""

    item: Shape = field(kw_only=False)
    least: int = 0
    most: int = 1000
    single: bool = False
    rising: bool = False

    def read(self, value: Json, place: str, problems: list[Problem]) -> Any:
        """Return the tuple."""
        if self.single and not isinstance(value, list):
            only = self.item.read(value, place, problems)
            return only if only is BROKEN else (only,)
        if not isinstance(value, list) or not self.least <= len(value) <= self.most:
            return _refuse(problems, place, f"must be a list of {self.least} to {self.most}", value)
        read = tuple(self.item.read(item, step(place, n), problems) for n, item in enumerate(value))
        if any(item is BROKEN for item in read):
            return BROKEN
        if self.rising and any(right <= left for left, right in pairwise(read)):
            return _refuse(problems, place, "must rise", value)
        return read

    def write(self, value: Any) -> Json:
        """Return the list."""
        return None if value is None else [self.item.write(item) for item in value]

    def schema(self) -> dict[str, Json]:
        """Return items and lengths."""
        many = {"type": "array", "items": self.item.schema(), "minItems": self.least, "maxItems": self.most}
        return {"anyOf": [self.item.schema(), many]} if self.single else many


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """
    One key of a mapping.

    Parameters
    ----------
    shape : Shape
    name : str, default ""
        Name on the type; empty: as the key. ``*``: what the mapping holds belongs to the type itself.
    required : bool
    """

    shape: Shape = field(kw_only=False)
    name: str = ""
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Object:
    """
    A mapping with known keys, read into what ``make(**names)`` returns.

    Parameters
    ----------
    keys : mapping of str to Key
    make : callable
        A dataclass, or anything that takes the names; its `InvalidPolicy` becomes a problem here.
    take : callable
        ``take(value, name)`` returns what `make` was given.
    schema_rules : mapping
        What holds between keys, in words of JSON Schema; ``check`` is the same for `read`.
    check : callable or None
        ``check(mapping)`` yields ``(key, rule)`` for each broken rule; an empty key means the mapping itself.
    """

    keys: Mapping[str, Key]
    make: Callable[..., Any] = dict
    take: Callable[[Any, str], Any] = getattr
    schema_rules: Mapping[str, Json] = field(default_factory=dict)
    check: Callable[[Mapping[str, Json]], Sequence[tuple[str, str]]] | None = None

    def read(self, value: Json, place: str, problems: list[Problem]) -> Any:
        """Return the made value."""
        names = self.names(value, place, problems)
        if names is BROKEN:
            return BROKEN
        try:
            return self.make(**names)
        except InvalidPolicy as error:
            problems.append(Problem(place=place + error.place, rule=error.message))
            return BROKEN

    def names(self, value: Json, place: str, problems: list[Problem]) -> Any:
        """Return what ``make`` takes, without making it."""
        if not isinstance(value, dict):
            return _refuse(problems, place, f"must be a mapping of {', '.join(self.keys)}", value)
        before = len(problems)
        for key in value:
            if key not in self.keys:
                near = did_you_mean(key, self.keys) if isinstance(key, str) else ""
                known = near or f"; known are {', '.join(self.keys)}"
                problems.append(Problem(place=step(place, key), rule=f"unknown key {shown(key)}{known}"))
        names: dict[str, Any] = {}
        for key, slot in self.keys.items():
            if key not in value:
                if slot.required:
                    problems.append(Problem(place=place, rule=f"needs the key {key!r}"))
                continue
            read = slot.shape.read(value[key], step(place, key), problems)
            if slot.name == "*" and read is not BROKEN:
                names.update(read)
            elif not isinstance(slot.shape, Constant):
                names[slot.name or key] = read
        for key, rule in self.check(value) if self.check else ():
            problems.append(Problem(place=step(place, key) if key else place, rule=rule))
        return BROKEN if len(problems) > before else names

    def write(self, value: Any) -> Json:
        """Return the mapping; what is ``None``, or empty as it is by default, is left out."""
        if value is None:
            return None
        written: dict[str, Json] = {}
        for key, slot in self.keys.items():
            if isinstance(slot.shape, Constant):
                written[key] = slot.shape.word
                continue
            part = value if slot.name == "*" else self.take(value, slot.name or key)
            plain = slot.shape.write(part)
            usual = plain == [] and self._empty(value, slot.name or key)
            if plain is not None and plain != {} and not usual:
                written[key] = plain
        return written

    @staticmethod
    def _empty(value: Any, name: str) -> bool:
        if not is_dataclass(value):
            return False
        return any(f.name == name and f.default is not MISSING and f.default == () for f in fields(value))

    def schema(self) -> dict[str, Json]:
        """Return properties, what is required, and the rules between keys."""
        found: dict[str, Json] = {
            "type": "object",
            "additionalProperties": False,
            "properties": {key: slot.shape.schema() for key, slot in self.keys.items()},
        }
        needed = [key for key, slot in self.keys.items() if slot.required]
        if needed:
            found["required"] = needed
        return found | dict(self.schema_rules)
