"""
What callers ask: the body of ``/v1`` (strict) and of the controllers (loose), query strings, Flagger's hooks.

Strict readers refuse what they do not know; loose ones skip it and take strings for everything, because
controllers fill templates. What cannot be read raises `BadRequest` in both.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from analysis.types import Json, Stage
from webhook.errors import BadRequest
from webhook.schema import scalars
from webhook.schema.problems import did_you_mean, shown, step
from webhook.schema.scalars import refuse


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """
    One question for a verdict.

    Parameters
    ----------
    policy : str or mapping or None
        A name, or a whole policy as it came.
    stage : Stage or None
    namespace, name, cluster, revision, stable_revision, annotation : str
        Of the release: at most 253 characters each, without control characters; empty where nothing was said.
    step : int or None
        Index of the current step, from 0.
    weight, next_weight : float or None
        Shares of traffic in [0, 1].
    started_at, at, from_, to : float or None
        Unix seconds; ``from_`` lies before ``to``.
    dry_run : bool
        Open no attempt.
    data : mapping or None
        Inline data as it came (see ``data.py``), never empty.
    """

    policy: str | Mapping[str, Json] | None = None
    stage: Stage | None = None
    namespace: str = ""
    name: str = ""
    cluster: str = ""
    revision: str = ""
    stable_revision: str = ""
    step: int | None = None
    weight: float | None = None
    next_weight: float | None = None
    started_at: float | None = None
    annotation: str = ""
    at: float | None = None
    from_: float | None = None
    to: float | None = None
    dry_run: bool = False
    data: Mapping[str, Json] | None = None

    def __post_init__(self) -> None:
        if self.from_ is not None and self.to is not None and not self.from_ < self.to:
            raise BadRequest(f"must lie before 'to' ({self.to:.3f}), got {self.from_:.3f}", "/from")


@dataclass(frozen=True, slots=True, kw_only=True)
class FlaggerCall:
    """
    The payload of a Flagger hook.

    Parameters
    ----------
    name, namespace : str
        Of the canary.
    phase, checksum : str
        As Flagger sends them; empty if it did not.
    metadata : mapping of str to str
        The hook's own keys; an event adds ``eventMessage``, ``eventType`` and ``timestamp`` (unix milliseconds).
    """

    name: str
    namespace: str
    phase: str = ""
    checksum: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)


_Reader = Callable[..., Any]


def _stage(value: Json, place: str, *, loose: bool = False) -> Stage | None:
    if scalars.absent(value, loose):
        return None
    words = [stage.value for stage in Stage]
    word = value.strip().lower() if loose and isinstance(value, str) else value
    if word not in words:
        near = did_you_mean(word, words) if isinstance(word, str) else ""
        raise BadRequest(f"must be one of {', '.join(words)}, got {shown(value)}{near}", place)
    return Stage(word)


def _policy(value: Json, place: str, *, loose: bool = False) -> str | Mapping[str, Json] | None:
    whole = isinstance(value, dict) or (loose and isinstance(value, str) and value.lstrip().startswith("{"))
    if whole:
        return scalars.mapping(value, place, loose=loose)
    return scalars.name(value, place, loose=loose)


RELEASE: dict[str, _Reader] = {
    "namespace": scalars.name,
    "name": scalars.name,
    "cluster": scalars.name,
    "revision": scalars.name,
    "stable_revision": scalars.name,
    "step": scalars.whole,
    "weight": scalars.share,
    "next_weight": scalars.share,
    "started_at": scalars.time,
    "annotation": scalars.name,
}
FLAT: dict[str, _Reader] = {
    "policy": scalars.name,
    "stage": _stage,
    "at": scalars.time,
    "from": scalars.time,
    "to": scalars.time,
    "dry_run": scalars.flag,
}


def _release(value: Json, place: str, *, loose: bool = False) -> dict[str, Any]:
    found = scalars.mapping(value, place, loose=loose)
    return {} if found is None else _fields(found, RELEASE, place, loose=loose)


def _data(value: Json, place: str, *, loose: bool = False) -> Mapping[str, Json] | None:
    found = scalars.mapping(value, place, loose=loose)
    if found is not None and not found.get("questions"):
        raise BadRequest("needs 'questions' with at least one question", place)
    return found


BODY: dict[str, _Reader] = FLAT | {"policy": _policy, "release": _release, "data": _data}


def _fields(value: Mapping[str, Json], readers: Mapping[str, _Reader], place: str, *, loose: bool) -> dict[str, Any]:
    if not loose:
        refuse_unknown(value, readers, place)
    read = {key: reader(value.get(key), step(place, key), loose=loose) for key, reader in readers.items()}
    return {key: found for key, found in read.items() if found is not None}


def refuse_unknown(value: Mapping[str, Json], known: Collection[str], place: str) -> None:
    """Raise `BadRequest` for the first key of ``value`` that is not ``known``."""
    for key in value:
        if key not in known:
            near = did_you_mean(key, known) or f"; known are {', '.join(known)}"
            raise BadRequest(f"unknown key {shown(key)}{near}", step(place, key))


def _ask(found: dict[str, Any], release: dict[str, Any]) -> Ask:
    return Ask(**{"from_" if key == "from" else key: value for key, value in found.items()}, **release)


def read_ask(body: Json, *, loose: bool) -> Ask:
    """
    Return the question of a parsed body.

    Parameters
    ----------
    body : JSON value
        As `scalars.parsed` returned it.
    loose : bool
        True for the controllers: unknown keys are skipped, everything may be a string, empty means absent.

    Raises
    ------
    BadRequest
        Place, rule and value of the first thing that is wrong.
    """
    if not isinstance(body, dict):
        raise refuse("", "the body must be a JSON object", body)
    found = _fields(body, BODY, "", loose=loose)
    return _ask(found, found.pop("release", {}))


def read_query(pairs: Iterable[tuple[str, str]], *, loose: bool, skip: Collection[str] = ()) -> Ask:
    """
    Return the question of a query string, which carries the flat fields: those of a release stand at the top.

    Parameters
    ----------
    pairs : iterable of (str, str)
        Decoded, in order.
    loose : bool
        True: unknown names are skipped, of a repeated one the last counts.
    skip : collection of str
        Names that belong to somebody else.
    """
    found: dict[str, str] = {}
    for key, value in pairs:
        if key in found and not loose:
            raise BadRequest(f"must stand once, got {shown(value)} too", step("", key))
        if key not in skip:
            found[key] = _zone(value) if key in ("at", "from", "to", "started_at") else value
    known = FLAT | RELEASE
    if not loose:
        refuse_unknown(found, known, "")
    read = _fields(found, known, "", loose=True)
    release = {key: read.pop(key) for key in RELEASE if key in read}
    return _ask(read, release)


def _zone(text: str) -> str:
    """Return a time whose ``+`` of the zone was decoded to a space with its ``+`` again."""
    return f"{text[:-6]}+{text[-5:]}" if len(text) > 19 and text[-6:-5] == " " and text[-3:-2] == ":" else text


def read_body(raw: bytes, *, loose: bool) -> Ask:
    """Return the question of a body; where ``loose`` an empty body asks about nothing in particular."""
    return read_ask({} if loose and not raw.strip() else scalars.parsed(raw), loose=loose)


def read_flagger(body: Json) -> FlaggerCall:
    """
    Return the payload of a Flagger hook; keys that it does not know are skipped.

    Raises
    ------
    BadRequest
        No object, no name or namespace, metadata that is no mapping of text.
    """
    if not isinstance(body, dict):
        raise refuse("", "the body must be a JSON object", body)
    texts = {
        key: scalars.name(body.get(key), f"/{key}", loose=True) for key in ("name", "namespace", "phase", "checksum")
    }
    for key in ("name", "namespace"):
        if texts[key] is None:
            raise refuse(f"/{key}", "must be text", body.get(key))
    metadata = scalars.mapping(body.get("metadata"), "/metadata", loose=True) or {}
    return FlaggerCall(
        metadata={key: _metadatum(value, step("/metadata", key)) for key, value in metadata.items()},
        **{key: text for key, text in texts.items() if text is not None},
    )


def _metadatum(value: Json, place: str) -> str:
    if isinstance(value, (dict, list)):
        raise refuse(place, "must be text", value)
    text = "" if value is None else value if isinstance(value, str) else str(value)
    return text.encode("utf-8", "replace").decode()
