"""
What reaches the gates on the wire: Flagger's payload, read as the load tester reads it, and the options that we add.

The load tester decodes with Go's ``encoding/json``: names of fields match in any case, of a repeated one the last
counts, null changes nothing, unknown ones are skipped, a value of the wrong type is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from analysis.types import Json
from webhook.answers import Hook
from webhook.doors import Doors, Word
from webhook.errors import BadRequest
from webhook.schema import scalars
from webhook.schema.override import LONGEST
from webhook.schema.problems import Problem
from webhook.schema.report import instant
from webhook.schema.shapes import BROKEN, Duration

TEXTS = ("name", "namespace", "phase", "checksum")
OPTIONS = ("hook", "revision", "expires_in", "once", "actor", "reason")
HOOKS = tuple(hook.value for hook in Hook if hook not in (Hook.ARGO, Hook.EVENT))
NO_JSON = "the body must be the JSON of a Flagger hook"


class Unreadable(BadRequest):
    """A body that the load tester cannot decode either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Knock:
    """One request to a gate: the payload, and what was added; ``options`` are as they came, by name."""

    name: str = ""
    namespace: str = ""
    checksum: str = ""
    options: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """The options of one request, read: empty, None and False where they are absent."""

    hook: str = ""
    revision: str = ""
    expires_in: float | None = None
    once: bool = False
    actor: str = ""
    reason: str = ""


def read_knock(raw: bytes, query: Mapping[str, str]) -> Knock:
    """
    Return the payload of a request with its options: those of the query win, then those of the body, then metadata.

    Raises
    ------
    Unreadable
        What the load tester cannot decode either.
    """
    try:
        pairs = json.loads(
            raw.decode("utf-8", "replace"),
            object_pairs_hook=_Pairs, parse_constant=_refused, parse_int=_number, parse_float=_number,
        )  # fmt: skip
    except (ValueError, RecursionError) as error:
        raise Unreadable(NO_JSON) from error
    if pairs is None:
        return Knock(options=_chosen(query))
    if not isinstance(pairs, _Pairs):
        raise Unreadable(NO_JSON)
    texts: dict[str, str] = {}
    metadata: dict[str, Json] = {}
    own: dict[str, Json] = {}
    for key, value in pairs:
        folded = key.lower()
        if folded in TEXTS and value is not None:
            texts[folded] = _text(value)
        elif folded == "metadata" and value is not None:
            metadata |= _metadata(value)
        elif key in OPTIONS:
            own[key] = value
    return Knock(
        name=texts.get("name", ""),
        namespace=texts.get("namespace", ""),
        checksum=texts.get("checksum", ""),
        options=_chosen({**metadata, **own, **query}),
    )


class _Pairs(list[tuple[str, Json]]):
    """An object of JSON as it stands: every pair, in order."""


def _refused(word: str) -> Json:
    raise ValueError(f"{word} is no JSON")


def _number(text: str) -> float:
    return float(text) if len(text) < 32 else 0.0  # no field of ours is a number: only its type matters


def _text(value: Json) -> str:
    if not isinstance(value, str):
        raise Unreadable(NO_JSON)
    return value.encode("utf-8", "replace").decode()


def _metadata(value: Json) -> dict[str, Json]:
    if not isinstance(value, _Pairs):
        raise Unreadable(NO_JSON)
    return {key: "" if text is None else _text(text) for key, text in value}


def _chosen(found: Mapping[str, Json]) -> dict[str, Json]:
    return {key: found[key] for key in OPTIONS if key in found}


def read_wish(options: Mapping[str, Json]) -> Wish:
    """
    Return the options of a request.

    Raises
    ------
    BadRequest
        Name, rule and value of the first that is wrong.
    """
    hook = scalars.name(options.get("hook"), "hook", loose=True) or ""
    if hook and hook not in HOOKS:
        raise scalars.refuse("hook", f"must be one of {', '.join(HOOKS)}", hook)
    revision = scalars.name(options.get("revision"), "revision", loose=True) or ""
    if hook == Hook.CONFIRM_ROLLOUT.value and revision:
        raise BadRequest(
            "cannot be named for confirm-rollout: Flagger sends the checksum of the one before", "revision"
        )
    return Wish(
        hook=hook,
        revision=revision,
        expires_in=_seconds(options.get("expires_in")),
        once=scalars.flag(options.get("once"), "once", loose=True) or False,
        actor=_line(options.get("actor"), "actor"),
        reason=_line(options.get("reason"), "reason"),
    )


def _seconds(value: Json) -> float | None:
    if scalars.absent(value, loose=True):
        return None
    problems: list[Problem] = []
    seconds = Duration(positive=True).read(value, "expires_in", problems)
    if seconds is BROKEN:
        raise BadRequest(problems[0].rule, "expires_in")
    return float(seconds)


def _line(value: Json, place: str) -> str:
    if scalars.absent(value, loose=True):
        return ""
    if not isinstance(value, str) or len(value) > LONGEST:
        raise scalars.refuse(place, f"must be text of at most {LONGEST} characters", value)
    return " ".join(value.encode("utf-8", "replace").decode().split())


def shown_doors(doors: Doors, at: float, *, history: bool) -> dict[str, Json]:
    """Return the gates of a canary as callers see them: what holds now, the newest word first, and who did what."""
    found: dict[str, Json] = {"cluster": doors.cluster, "namespace": doors.namespace, "name": doors.name}
    found["gates"] = [_shown_word(word, at) for word in reversed(doors.words)]
    if history:
        found["history"] = [_shown_line(line) for line in reversed(doors.history)]
    return found


def _shown_line(line: Mapping[str, Json]) -> dict[str, Json]:
    return {
        **line,
        "time": instant(line["time"]),
        "hook": line["hook"] or None,
        "revision": line["revision"] or None,
    }


def _shown_word(word: Word, at: float) -> dict[str, Json]:
    return {
        "gate": word.kind.value,
        "hook": word.hook or None,
        "revision": word.revision or None,
        "state": word.state(at).value,
        "actor": word.actor,
        "principal": word.principal,
        "reason": word.reason,
        "at": instant(word.at),
        "expires_at": instant(word.expires_at) if word.expires_at is not None else None,
        "once": word.once,
        "used_at": instant(word.used_at) if word.used_at is not None else None,
    }
