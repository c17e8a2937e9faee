"""
Policies: the words of a YAML or JSON file to `analysis.policy.Policy`, and back.

What a file leaves out is filled from its preset and from the defaults of the types, so two files that ask the
same of a release have the same digest, however they are written.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from analysis.errors import InvalidPolicy
from analysis.policy import JUDGED, Alphas, Deadline, Group, Limit, Limits, Looks, Policy, Question
from analysis.types import Json, Mode
from webhook.schema.documents import NESTED
from webhook.schema.problems import PolicyProblems, Problem, did_you_mean, shown
from webhook.schema.questions import NAME, SELECT, AnyQuestion, definitions
from webhook.schema.shapes import BROKEN, Constant, Duration, Key, ListOf, Number, Object, Text, Word

API_VERSION = "weighbridge/v1"
SHARE = Number(low=0, high=1, open_low=True, open_high=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Then:
    """What a deadline does: ``hold``, ``abort``, or ``{promote_if: ratio}``; read into names of it."""

    word = Word(words=("hold", "abort"))
    ratio = Object(keys={"promote_if": Key(Number(low=0, open_low=True), required=True)})

    def read(self, value: Json, place: str, problems: list[Problem]) -> Any:
        """Return ``then`` and ``limit``."""
        if isinstance(value, dict):
            found = self.ratio.read(value, place, problems)
            return BROKEN if found is BROKEN else {"then": "promote_if", "limit": found["promote_if"]}
        if isinstance(value, str) and value in self.word.words:
            return {"then": value}
        problems.append(Problem(place=place, rule=f"must be hold, abort or {{promote_if: ratio}}, got {shown(value)}"))
        return BROKEN

    def write(self, value: Deadline) -> Json:
        """Return the word, or the ratio."""
        return value.then if value.limit is None else {"promote_if": value.limit}

    def schema(self) -> dict[str, Json]:
        """Return both forms."""
        return {"anyOf": [self.word.schema(), self.ratio.schema()]}


def _matched(namespace: str = "*", name: str = "*") -> tuple[str, str]:
    return namespace, name


POLICY = Object(
    make=Policy,
    keys={
        "apiVersion": Key(Constant(word=API_VERSION), required=True),
        "name": Key(NAME, required=True),
        "preset": Key(ListOf(Text(longest=63), least=1, most=10, single=True)),
        "match": Key(
            ListOf(
                Object(
                    make=_matched,
                    take=lambda value, name: value[0 if name == "namespace" else 1],
                    keys={"namespace": Key(Text(longest=253)), "name": Key(Text(longest=253))},
                    schema_rules={"minProperties": 1},
                    check=lambda value: [] if value else [("", "needs namespace or name")],
                )
            )
        ),
        "mode": Key(Word.of(Mode)),
        "controller": Key(Word(words=("argo", "flagger", "none"))),
        "source": Key(Text(longest=253)),
        "select": Key(SELECT),
        "looks": Key(
            Object(
                make=Looks,
                keys={
                    "scrape": Key(Duration(positive=True, auto=True)),
                    "length": Key(Duration(positive=True, auto=True)),
                    "lag": Key(Duration(auto=True)),
                    "warm_up": Key(Duration(auto=True)),
                },
            )
        ),
        "noise": Key(
            Object(keys={"history": Key(Duration()), "days": Key(Number(low=0, high=14, whole=True))}), name="*"
        ),
        "alpha": Key(
            Object(
                make=Alphas,
                keys={word: Key(SHARE) for word in ("abort", "tolerated", "freeze", "promote", "step")},
            )
        ),
        "freeze_limit": Key(Duration()),
        "harm_budget": Key(Number(low=0, open_low=True)),
        "steps": Key(ListOf(Number(low=0, high=1, open_low=True), rising=True)),
        "min_step": Key(Duration()),
        "min_requests": Key(Number(low=0)),
        "deadline": Key(
            Object(
                make=Deadline,
                keys={"after": Key(Duration(positive=True)), "then": Key(Then(), name="*")},
            )
        ),
        "first_traffic": Key(Duration()),
        "split": Key(Word(words=("hold", "report"))),
        "questions": Key(ListOf(AnyQuestion(), least=1, most=200)),
    },
    schema_rules={"anyOf": [{"required": ["questions"]}, {"required": ["preset"]}]},
    check=lambda value: [] if {"questions", "preset"} & value.keys() else [("", "needs questions, or a preset")],
)


def read(content: Json, presets: Mapping[str, Mapping[str, Json]], file: str = "") -> Policy:
    """
    Return the policy that ``content`` describes, with its preset filled in and its digest.

    Parameters
    ----------
    content : mapping
        As parsed from YAML or JSON.
    presets : mapping of str to mapping
        Presets by name: policies without ``apiVersion`` and ``name``.
    file : str
        File name for problems.

    Returns
    -------
    Policy
        Its own questions come first, then those of its presets in order, see `over`.
        Questions of a preset that are of a kind not judged yet are left
        out, or muted if a limit names them, and ``notes`` say so.

    Raises
    ------
    PolicyProblems
        Everything that is wrong with it.
    """
    problems: list[Problem] = []
    try:
        names = _names(content, problems)
        asked = names.get("preset", ())
        for preset in asked:
            if preset not in presets:
                near = did_you_mean(preset, presets)
                known = f"must be a known preset ({', '.join(sorted(presets))})"
                problems.append(Problem(place="/preset", rule=f"{known}, got {preset!r}{near}"))
        if not problems:
            base = _base(asked, presets)
            names = _names(over(content, base), problems) if asked else names
        if not problems:
            return _finished(_made(names, problems), content, base)
    except RecursionError:
        problems.append(Problem(place="", rule=NESTED))
    except _StopReading:
        pass
    raise PolicyProblems([replace(problem, file=file) for problem in problems])


class _StopReading(Exception):
    """The problems are collected already."""


def _names(content: Json, problems: list[Problem]) -> dict[str, Any]:
    names = POLICY.names(content, "", problems)
    return {} if names is BROKEN else names


def _made(names: dict[str, Any], problems: list[Problem]) -> Policy:
    try:
        return Policy(**names)
    except InvalidPolicy as error:
        problems.append(Problem(place=error.place, rule=error.message))
        raise _StopReading from error


def _base(asked: Sequence[str], presets: Mapping[str, Mapping[str, Json]]) -> dict[str, Json]:
    """Return what some presets say together, the first over the next; each stands over those that it names itself."""
    base: dict[str, Json] = {}
    for name in reversed(asked):
        preset = dict(presets[name])
        below = preset.pop("preset", ())
        base = over(over(preset, _base([below] if isinstance(below, str) else below, presets)), base)
    return base


def over(content: Mapping[str, Json], base: Mapping[str, Json]) -> dict[str, Json]:
    """
    Return the content of a policy with what it does not say itself taken from another.

    A question of the same name and kind keeps of the other what it does not say; ``select`` keeps its parts likewise,
    but a pair chosen with ``by`` replaces matchers.
    """
    theirs = {question["name"]: question for question in base.get("questions", [])}
    own = [
        _laid(theirs[q["name"]], q) if theirs.get(q["name"], {}).get("kind") == q["kind"] else q
        for q in content.get("questions", [])
    ]
    said = {question["name"] for question in own}
    rest = [question for name, question in theirs.items() if name not in said]
    return _laid(base, content) | {"questions": own + rest}


def _laid(below: Mapping[str, Json], above: Mapping[str, Json]) -> dict[str, Json]:
    result = dict(below) | dict(above)
    if "select" in below and "select" in above:
        kept = {"exclude"} if "by" in above["select"] else below["select"].keys()
        result["select"] = {k: v for k, v in below["select"].items() if k in kept} | above["select"]
    return result


def _finished(policy: Policy, content: Mapping[str, Json], preset: Mapping[str, Json]) -> Policy:
    """Leave out what only the preset asks and nobody judges; note it; add the digest."""
    own = {question["name"] for question in content.get("questions", [])}
    unread = {q["name"]: q["kind"] for q in preset.get("questions", []) if q["kind"] not in JUDGED}
    limited = {limit.question for question in policy.questions for limit in limits_of(question)}
    kept: list[Question] = []
    notes: list[str] = []
    for question in policy.questions:
        name = question.name
        if name not in unread or name in own:
            kept.append(question)
        elif name in limited:
            kept.append(replace(question, muted=True))
            notes.append(f"{name} is read for its limits only: kind {question.kind} is not judged yet")
        else:
            notes.append(f"{name} is left out: kind {question.kind} is not judged yet")
    policy = replace(policy, questions=tuple(kept), notes=tuple(notes))
    return replace(policy, digest=digest(policy))


def limits_of(question: Question) -> Iterator[Limit]:
    """Yield every limit of a question, those of nested groups included; other kinds have none."""
    waiting: list[Limit | Group] = [question.group] if isinstance(question, Limits) else []
    while waiting:
        member = waiting.pop()
        if isinstance(member, Group):
            waiting.extend(reversed(member.members))
        else:
            yield member


def dump(policy: Policy) -> dict[str, Json]:
    """Return the mapping of a policy with every default written out: `read` gives the same policy again."""
    written: dict[str, Json] = POLICY.write(policy)
    return written


def canonical(content: Json) -> bytes:
    """Return strict JSON with sorted keys and no spaces, as UTF-8: equal content, equal bytes."""
    text = json.dumps(content, allow_nan=False, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return text.encode()


def digest(policy: Policy) -> str:
    """Return the SHA-256 of the canonical JSON of all that a policy asks, as 64 hexadecimal digits."""
    return hashlib.sha256(canonical(dump(policy))).hexdigest()


def store(policy: Policy) -> dict[str, Json]:
    """Return `dump` with ``digest`` and ``notes``, as pinned to an attempt and exported with a record."""
    return dump(policy) | {"digest": policy.digest, "notes": list(policy.notes)}


def restore(content: Mapping[str, Json]) -> Policy:
    """
    Return the policy that `store` wrote; its preset is not filled in again, its digest is kept.

    Raises
    ------
    PolicyProblems
        It was not written by `store`.
    """
    plain = {key: value for key, value in content.items() if key not in ("digest", "notes")}
    problems: list[Problem] = []
    names = _names(plain, problems)
    kept, notes = content.get("digest", ""), content.get("notes", [])
    if not isinstance(kept, str):
        problems.append(Problem(place="/digest", rule=f"must be text, got {shown(kept)}"))
    if not isinstance(notes, Sequence) or not all(isinstance(note, str) for note in notes):
        problems.append(Problem(place="/notes", rule=f"must be a list of text, got {shown(notes)}"))
    try:
        policy = None if problems else _made(names, problems)
    except _StopReading:
        policy = None
    if policy is None:
        raise PolicyProblems(problems)
    return replace(policy, notes=tuple(notes), digest=kept or digest(policy))


def json_schema(presets: Sequence[str] = ()) -> dict[str, Json]:
    """
    Return the JSON Schema (draft 2020-12) of a policy file.

    It says what `read` says but for the rules that tie one place to another: names stand once, limits name
    known questions, ``steps`` and edges rise.
    """
    schema = POLICY.schema()
    if presets:
        known = {"enum": sorted(presets)}
        single, several = schema["properties"]["preset"]["anyOf"]
        schema["properties"]["preset"] = {"anyOf": [{**single, **known}, {**several, "items": known}]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Weighbridge policy",
        **schema,
        "$defs": definitions(),
    }
