"""
Text to plain values: YAML read as people mean it, JSON read strictly, both bounded.

YAML is read with the words of YAML 1.2: only ``true`` and ``false`` are flags (``no``, ``on``, ``yes`` stay
words), ``1e-3`` is a number, dates and ``4:30`` stay text. A key that stands twice is an error, anchors and
``<<`` work, and what they unfold to is bounded. No tag ever makes a Python object.
"""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

from analysis.types import Json
from webhook.schema.problems import PolicyProblems, Problem, shown

LARGEST = 256 * 1024
"""Bytes of one policy file; a long policy has 10 kB."""
MOST_VALUES = 50_000
"""Values of one document after anchors are unfolded."""
NESTED = "must not nest this deeply"


class _Loader(yaml.SafeLoader):
    """YAML 1.2 words and no key twice."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  the base class has it as an attribute

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuse keys that stand twice before merged ones join them."""
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key must be one word", key.start_mark)
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {shown(key.value)} stands twice", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?(0|[1-9][0-9]*)", "-+0123456789"),
    ("float", r"[-+]?((\.[0-9]+|[0-9]+\.[0-9]*)([eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+)", "-+0123456789."),
    ("merge", r"<<", "<"),
):  # fmt: skip
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), [*_first])
_Loader.add_constructor("tag:yaml.org,2002:int", lambda loader, node: int(str(node.value)))
_Loader.add_constructor("tag:yaml.org,2002:float", lambda loader, node: float(str(node.value)))


def parse(raw: bytes, file: str) -> Json:
    """
    Return the content of a YAML file, or of a JSON file if its name ends in ``.json``.

    Raises
    ------
    PolicyProblems
        Too large, not UTF-8, not YAML or JSON (with line and column), a key twice, unfolding without end.
    """
    if len(raw) > LARGEST:
        raise _problem(f"must have at most {LARGEST} bytes, got more", file)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _problem(f"must be UTF-8, got byte {raw[error.start]:#04x} at {error.start}", file) from error
    try:
        content = json_value(text) if file.endswith(".json") else _yaml(text)
    except (json.JSONDecodeError, yaml.MarkedYAMLError) as error:
        raise _problem(_words(error), file) from error
    except (yaml.YAMLError, ValueError) as error:
        raise _problem(" ".join(str(error).split()), file) from error
    except RecursionError as error:
        raise _problem(NESTED, file) from error
    if _unfolded(content) > MOST_VALUES:
        raise _problem(f"must not unfold to more than {MOST_VALUES} values", file)
    return content


def _yaml(text: str) -> Json:
    loader = _Loader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def _words(error: json.JSONDecodeError | yaml.MarkedYAMLError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"must be JSON: {error.msg} at line {error.lineno}, column {error.colno}"
    mark = error.problem_mark or error.context_mark
    place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    return f"must be YAML: {error.problem or error.context}{place}"


def _problem(rule: str, file: str) -> PolicyProblems:
    return PolicyProblems([Problem(file=file, place="", rule=rule)])


def _unfolded(content: Json) -> int:
    """Return how many values a document has with its anchors written out; above the limit if it holds itself."""
    sizes: dict[int, int] = {}
    stack: list[tuple[Json, bool]] = [(content, False)]
    while stack:
        value, counted = stack.pop()
        parts = _parts(value)
        if counted:
            sizes[id(value)] = 1 + sum(sizes.get(id(part), 1) for part in parts)
        elif sizes.get(id(value)) == 0:
            return MOST_VALUES + 1
        elif parts and id(value) not in sizes:
            sizes[id(value)] = 0
            stack.append((value, True))
            stack.extend((part, False) for part in parts if _parts(part))
    return sizes.get(id(content), 1)


def _parts(value: Json) -> list[Json]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def json_value(text: str | bytes) -> Json:
    """
    Return the value of a JSON text; a key that stands twice is an error.

    ``NaN`` and ``Infinity`` are read as numbers, so that the reader of the value can name their place.

    Raises
    ------
    ValueError
        ``json.JSONDecodeError`` with line and column, or wrong UTF-8.
    RecursionError
        Nested thousands of levels deep.
    """
    return json.loads(text, object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {shown(twice)} stands twice")
    return found
