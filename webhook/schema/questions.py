"""The kinds of questions a policy may ask: their keys, one table each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from analysis.policy import (
    Gauge,
    Group,
    Latency,
    LatencyTolerance,
    Limit,
    Limits,
    Objective,
    Proportion,
    Quantile,
    Question,
    Rate,
    Ratio,
    Select,
    Tolerance,
)
from analysis.types import Direction, Json, May, NoData, Weight
from webhook.schema.problems import Problem, did_you_mean, shown
from webhook.schema.shapes import BROKEN, Constant, Duration, Flag, Key, ListOf, Number, Object, Text, Word
from webhook.sides import PAIRS

NAME = Text(
    pattern="^[a-z0-9]([a-z0-9-]*[a-z0-9])?$",
    rule="must be lower-case letters, digits and inner dashes",
    longest=63,
)
SELECTOR = Text(pattern=r"\$side", rule="must hold $side, which stands for the matchers of one side")
LABEL = Text(pattern=r'^[^"\\{}\s]+$', rule="must be a label name", longest=256)
MATCHERS = Text(empty=True)
SELECT = Object(
    make=Select,
    keys={
        "by": Key(Word(words=tuple(PAIRS))),
        "baseline": Key(Text()),
        "canary": Key(Text()),
        "replica": Key(ListOf(LABEL, most=20)),
        "exclude": Key(MATCHERS),
    },
)
REPLICA_FROM = Object(
    keys={
        "series": Key(Text(), required=True),
        "match": Key(ListOf(LABEL, least=1, most=20), required=True),
        "label": Key(LABEL, required=True),
    },
    take=lambda value, name: value[name],
)
BOTH_RULE = "must be increase or decrease: evidence from counts asks on which side harm lies (both: gauge, quantile)"


@dataclass(frozen=True, slots=True, kw_only=True)
class OneWay:
    """The direction of a question that is proved by counts: both ways at once is no question to them."""

    word = Word(words=tuple(way.value for way in Direction if way is not Direction.BOTH), kind=Direction)

    def read(self, value: Json, place: str, problems: list[Problem]) -> Any:
        """Return the direction."""
        if value == Direction.BOTH.value:
            problems.append(Problem(place=place, rule=f"{BOTH_RULE}, got {shown(value)}"))
            return BROKEN
        return self.word.read(value, place, problems)

    def write(self, value: Direction) -> Json:
        """Return the word."""
        return value.value

    def schema(self) -> dict[str, Json]:
        """Return the two words."""
        return self.word.schema()


COMMON = {
    "name": Key(NAME, required=True),
    "weight": Key(Word.of(Weight)),
    "muted": Key(Flag()),
    "required": Key(Flag()),
    "may": Key(Word.of(May)),
    "no_data": Key(Word.of(NoData)),
    "direction": Key(OneWay()),
    "select": Key(SELECT),
    "exclude": Key(MATCHERS),
    "label": Key(ListOf(LABEL, most=20)),
    "proof": Key(Word(words=("sequential", "variation"))),
    "variation_may": Key(Word(words=("abort", "hold"))),
    "pod_limited": Key(Word(words=("variation", "hold"))),
    "replica_from": Key(REPLICA_FROM),
}


def _tolerance(usual: Tolerance) -> Key:
    """Return the key ``tolerance``; what it leaves out stays as the kind has it."""
    make: Callable[..., Tolerance] = lambda **names: replace(usual, **names)  # noqa: E731
    return Key(Object(make=make, keys={"ratio": Key(Number(low=1)), "absolute": Key(Number(low=0))}))


def _pair(first: str, second: str) -> Callable[[Mapping[str, Json]], Sequence[tuple[str, str]]]:
    """Return the check that two counters come together and never beside a ``query``."""

    def check(value: Mapping[str, Json]) -> Sequence[tuple[str, str]]:
        broken = []
        for here, other in ((first, second), (second, first)):
            if here in value and other not in value:
                broken.append(("", f"{here!r} needs {other!r} beside it"))
        if "query" in value and (first in value or second in value):
            broken.append(("query", f"must not stand beside {first!r} and {second!r}"))
        return broken

    return check


def _pair_rules(first: str, second: str) -> dict[str, Json]:
    return {
        "dependentRequired": {first: [second], second: [first]},
        "not": {"required": ["query", first]},
    }


def _one_of(first: str, second: str) -> Callable[[Mapping[str, Json]], Sequence[tuple[str, str]]]:
    """Return the check that exactly one of two keys is there."""

    def check(value: Mapping[str, Json]) -> Sequence[tuple[str, str]]:
        if (first in value) == (second in value):
            return [("", f"needs exactly one of {first!r} and {second!r}")]
        return []

    return check


def _either_rules(first: str, second: str) -> dict[str, Json]:
    return {"oneOf": [{"required": [first]}, {"required": [second]}]}


LIMIT = Object(
    make=Limit,
    keys={
        "question": Key(NAME, required=True),
        "max": Key(Number(low=0)),
        "max_increase": Key(Number(low=0)),
        "percentile": Key(Text(pattern=r"^p[0-9]{1,2}(\.[0-9]+)?$", rule="must be like p50, p95, p99")),
    },
    schema_rules=_either_rules("max", "max_increase"),
    check=_one_of("max", "max_increase"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A limit, or a group of them."""

    def read(self, value: Json, place: str, problems: list[Problem]) -> Any:
        """Return a `Limit` or `Group`."""
        grouped = isinstance(value, dict) and ("any_of" in value or "all_of" in value)
        return (GROUP if grouped else LIMIT).read(value, place, problems)

    def write(self, value: Any) -> Json:
        """Return the mapping of either."""
        return (GROUP if isinstance(value, Group) else LIMIT).write(value)

    def schema(self) -> dict[str, Json]:
        """Return references to both."""
        return {"anyOf": [{"$ref": "#/$defs/limit"}, {"$ref": "#/$defs/group"}]}


MEMBERS = Key(ListOf(Member(), least=1))


def _group(any_of: tuple[Any, ...] = (), all_of: tuple[Any, ...] = ()) -> Group:
    return Group(any_of=bool(any_of), members=any_of or all_of)


def _members(value: Group, name: str) -> tuple[Limit | Group, ...] | None:
    return value.members if value.any_of == (name == "any_of") else None


def _limits(any_of: tuple[Any, ...] = (), all_of: tuple[Any, ...] = (), **names: Any) -> Limits:
    return Limits(group=_group(any_of, all_of), **names)


def _of_limits(value: Limits, name: str) -> Any:
    return _members(value.group, name) if name in ("any_of", "all_of") else getattr(value, name)


GROUP = Object(
    make=_group,
    take=_members,
    keys={"any_of": MEMBERS, "all_of": MEMBERS},
    schema_rules=_either_rules("any_of", "all_of"),
    check=_one_of("any_of", "all_of"),
)


def _kind(kind: type[Question], **keys: Key) -> Object:
    return Object(make=kind, keys={"kind": Key(Constant(word=kind.kind), required=True)} | COMMON | keys)


QUERY = Key(SELECTOR)
WARM_UP = Key(Duration(auto=True))
ANY_WAY = Key(Word.of(Direction))
KINDS: dict[str, Object] = {
    "proportion": replace(
        _kind(
            Proportion,
            bad=Key(ListOf(SELECTOR, least=1, most=50, single=True)),
            total=Key(SELECTOR),
            query=QUERY,
            tolerance=_tolerance(Proportion(name="x").tolerance),
        ),
        check=_pair("bad", "total"),
        schema_rules=_pair_rules("bad", "total"),
    ),
    "rate": replace(
        _kind(
            Rate,
            events=Key(SELECTOR),
            exposure=Key(Text(pattern=r"\$side|^time$", rule="must hold $side, or be the word time")),
            query=QUERY,
            tolerance=_tolerance(Rate(name="x").tolerance),
        ),
        check=_pair("events", "exposure"),
        schema_rules=_pair_rules("events", "exposure"),
    ),
    "ratio": replace(
        _kind(
            Ratio,
            numerator=Key(SELECTOR),
            denominator=Key(SELECTOR),
            query=QUERY,
            tolerance=_tolerance(Ratio(name="x").tolerance),
            warm_up=WARM_UP,
        ),
        check=_pair("numerator", "denominator"),
        schema_rules=_pair_rules("numerator", "denominator"),
    ),
    "latency": replace(
        _kind(
            Latency,
            histogram=Key(SELECTOR),
            query=QUERY,
            unit=Key(Word(words=("s", "ms"))),
            slo_edges=Key(ListOf(Number(low=0, open_low=True), most=200, rising=True)),
            edges=Key(ListOf(Number(low=0, open_low=True), most=200, rising=True)),
            tolerance=Key(
                Object(
                    make=LatencyTolerance,
                    keys={"shift": Key(Number(low=1)), "exceedance": Key(Number(low=1))},
                )
            ),
            warm_up=WARM_UP,
        ),
        check=lambda value: (
            [("query", "must not stand beside 'histogram'")] if {"query", "histogram"} <= value.keys() else []
        ),
        schema_rules={"not": {"required": ["query", "histogram"]}},
    ),
    "gauge": _kind(
        Gauge, query=QUERY, direction=ANY_WAY, tolerance=_tolerance(Gauge(name="x").tolerance), warm_up=WARM_UP
    ),
    "quantile": _kind(
        Quantile, query=QUERY, direction=ANY_WAY, tolerance=_tolerance(Quantile(name="x").tolerance), warm_up=WARM_UP
    ),
    "limits": replace(
        _kind(
            Limits,
            any_of=MEMBERS,
            all_of=MEMBERS,
            min_requests=Key(Number(low=0)),
            consecutive=Key(Number(low=1, whole=True)),
        ),
        make=_limits,
        take=_of_limits,
        check=_one_of("any_of", "all_of"),
        schema_rules=_either_rules("any_of", "all_of"),
    ),
    "objective": replace(
        _kind(
            Objective,
            bad=Key(ListOf(SELECTOR, least=1, most=50, single=True)),
            total=Key(SELECTOR),
            target=Key(Number(low=0, high=1, open_low=True, open_high=True)),
            period=Key(Duration(positive=True)),
            budget=Key(
                Object(
                    keys={
                        "warn": Key(Number(low=0, high=1), name="budget_warn"),
                        "max_burn": Key(Number(low=0, open_low=True), name="budget_max_burn"),
                    }
                ),
                name="*",
            ),
        ),
        check=_pair("bad", "total"),
        schema_rules={"dependentRequired": {"bad": ["total"], "total": ["bad"]}},
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AnyQuestion:
    """A question of any kind, told apart by the key ``kind``."""

    def read(self, value: Json, place: str, problems: list[Problem]) -> Any:
        """Return the question."""
        kind = value.get("kind") if isinstance(value, dict) else None
        if isinstance(kind, str) and kind in KINDS:
            return KINDS[kind].read(value, place, problems)
        words = ", ".join(KINDS)
        if not isinstance(value, dict):
            rule = f"must be a mapping with name and kind, got {shown(value)}"
            problems.append(Problem(place=place, rule=rule))
        elif "kind" not in value:
            problems.append(Problem(place=place, rule=f"needs the key 'kind', one of {words}"))
        else:
            near = did_you_mean(kind, KINDS) if isinstance(kind, str) else ""
            problems.append(Problem(place=f"{place}/kind", rule=f"must be one of {words}, got {shown(kind)}{near}"))
        return BROKEN

    def write(self, value: Any) -> Json:
        """Return the mapping."""
        return KINDS[value.kind].write(value)

    def schema(self) -> dict[str, Json]:
        """Return references to all kinds."""
        return {"oneOf": [{"$ref": f"#/$defs/{kind}"} for kind in KINDS]}


def definitions() -> dict[str, Json]:
    """Return ``$defs`` of the JSON Schema: every kind of question, limits and their groups."""
    return {kind: shape.schema() for kind, shape in KINDS.items()} | {
        "limit": LIMIT.schema(),
        "group": GROUP.schema(),
    }
