"""The export of a record: policy, grid, noise and every look in one JSON document, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from analysis.errors import AnalysisError, InvalidRecord
from analysis.noise import Noise
from analysis.policy import Policy
from analysis.record import FORMAT, MAX_LOOKS, Grid, QuestionRecord, Record, from_rows, rows
from analysis.types import Json, Pairing
from webhook.schema import policy as wire
from webhook.schema.history import read_history, write_history
from webhook.schema.problems import PolicyProblems, shown, step

TOP = ("format", "release", "policy", "grid", "pairing", "aligned", "noise", "questions", "looks", "events")


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """
    What a record file holds.

    Parameters
    ----------
    policy : Policy
        As it was pinned, with its digest.
    record : Record
    release : mapping
        Who was judged: the release of the report document, and what else was said of it.
    window : mapping or None
        ``start`` and ``end`` of the stable history that the noise was learned from.
    left_out : tuple
        What of that history was not used, and why.
    """

    policy: Policy
    record: Record
    release: Mapping[str, Json] = field(default_factory=dict)
    window: Mapping[str, Json] | None = None
    left_out: tuple[Json, ...] = ()


def write_record(export: Export) -> dict[str, Json]:
    """
    Return the document of a record; `read_record` gives the same record again, bit for bit.

    Returns
    -------
    dict
        Strict JSON: ``format release policy grid pairing aligned noise questions looks events``. A missing
        number is null.
    """
    record = export.record
    return {
        "format": FORMAT,
        "release": dict(export.release),
        "policy": wire.store(export.policy),
        "grid": {
            "start": record.grid.start,
            "length": record.grid.length,
            "lengthening": record.grid.lengthening,
        },
        "pairing": record.pairing.value,
        "aligned": record.aligned,
        "noise": {
            "questions": {n: asdict(q.noise) for n, q in record.questions.items() if q.noise is not None},
            "window": None if export.window is None else dict(export.window),
            "left_out": list(export.left_out),
        },
        "questions": {name: _about(question) for name, question in record.questions.items()},
        "looks": rows(record),
        "events": list(record.events),
    }


def _about(question: QuestionRecord) -> dict[str, Json]:
    """Return what a question's record holds besides its looks."""
    about: dict[str, Json] = {
        "visible": question.visible,
        "edges": list(question.edges),
        "notes": dict(question.notes),
    }
    if question.history is not None:
        about["history"] = write_history(question.history)
    return about


def read_record(document: Json) -> Export:
    """
    Return what `write_record` wrote.

    Raises
    ------
    InvalidRecord
        Place, rule and value of what is wrong: another format, missing parts, ends that do not rise, shapes
        that change.
    InvalidPolicy
        The policy in it is not one that was stored.
    """
    top = _mapping(document, "")
    if top.get("format") != FORMAT:
        raise _wrong("/format", f"must be {FORMAT}", top.get("format"))
    for key in top:
        if key not in TOP:
            raise _wrong(step("", key), f"unknown key; known are {', '.join(TOP)}", key)
    try:
        policy = wire.restore(_mapping(top.get("policy"), "/policy"))
    except PolicyProblems as error:
        raise error.within("/policy") from error
    noise = _mapping(top.get("noise", {}), "/noise")
    window = noise.get("window")
    return Export(
        policy=policy,
        record=_record(top, noise),
        release=_mapping(top.get("release", {}), "/release"),
        window=None if window is None else _mapping(window, "/noise/window"),
        left_out=tuple(_list(noise.get("left_out", []), "/noise/left_out")),
    )


def _record(top: Mapping[str, Json], noise: Mapping[str, Json]) -> Record:
    about = {
        name: _mapping(part, step("/questions", name))
        for name, part in _mapping(top.get("questions", {}), "/questions").items()
    }
    learned = _mapping(noise.get("questions", {}), "/noise/questions")
    aligned = top.get("aligned", True)
    if not isinstance(aligned, bool):
        raise _wrong("/aligned", "must be true or false", aligned)
    try:
        found = from_rows(
            _grid(_mapping(top.get("grid"), "/grid")),
            [_look(look, step("/looks", number)) for number, look in enumerate(_looks(top))],
            asked=about,
            noise={name: _noise(part, step("/noise/questions", name)) for name, part in learned.items()},
            history={
                name: read_history(part["history"], f"{step('/questions', name)}/history")
                for name, part in about.items()
                if part.get("history") is not None
            },
            edges={
                name: tuple(_number(edge, f"{step('/questions', name)}/edges") for edge in part.get("edges", []))
                for name, part in about.items()
            },
            notes={
                name: _mapping(part.get("notes", {}), f"{step('/questions', name)}/notes")
                for name, part in about.items()
            },
            hidden=[name for name, part in about.items() if part.get("visible") is False],
            pairing=_pairing(top.get("pairing", Pairing.CONCURRENT.value)),
            events=tuple(_list(top.get("events", []), "/events")),
        )
        return replace(found, aligned=aligned)
    except InvalidRecord:
        raise
    except AnalysisError as error:
        raise InvalidRecord(error.message, error.place) from error


def _wrong(place: str, rule: str, value: Json) -> InvalidRecord:
    return InvalidRecord(f"{rule}, got {shown(value)}", place)


def _mapping(value: Json, place: str) -> Mapping[str, Json]:
    if not isinstance(value, dict):
        raise _wrong(place, "must be an object", value)
    return value


def _list(value: Json, place: str) -> Sequence[Json]:
    if not isinstance(value, list):
        raise _wrong(place, "must be a list", value)
    return value


def _number(value: Json, place: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= 1e300:
        raise _wrong(place, "must be a finite number", value)
    return float(value)


def _pairing(value: Json) -> Pairing:
    if value not in [pairing.value for pairing in Pairing]:
        raise _wrong("/pairing", f"must be one of {', '.join(Pairing)}", value)
    return Pairing(value)


def _grid(value: Mapping[str, Json]) -> Grid:
    lengthening = value.get("lengthening", True)
    if not isinstance(lengthening, bool):
        raise _wrong("/grid/lengthening", "must be true or false", lengthening)
    return Grid(
        start=_number(value.get("start"), "/grid/start"),
        length=_number(value.get("length"), "/grid/length"),
        lengthening=lengthening,
    )


def _looks(top: Mapping[str, Json]) -> Sequence[Json]:
    looks = _list(top.get("looks"), "/looks")
    if len(looks) > MAX_LOOKS:
        raise InvalidRecord(f"must have at most {MAX_LOOKS:,} looks, got {len(looks):,}", "/looks")
    return looks


def _look(value: Json, place: str) -> Mapping[str, Json]:
    """Return a row after checking every part of it, with no key that `from_rows` would miss."""
    look = _mapping(value, place)
    weight = look.get("weight")
    left_out = _mapping(look.get("left_out", {}), f"{place}/left_out")
    for name, reason in left_out.items():
        if not (isinstance(reason, list) and len(reason) == 2 and all(isinstance(text, str) for text in reason)):
            raise _wrong(step(f"{place}/left_out", name), "must be code and text", reason)
    questions = _mapping(look.get("questions"), f"{place}/questions")
    for name, sides in questions.items():
        for side, replicas in _mapping(sides, step(f"{place}/questions", name)).items():
            inside = step(step(f"{place}/questions", name), side)
            for replica, values in _mapping(replicas, inside).items():
                for key, entry in _mapping(values, step(inside, replica)).items():
                    _check_entry(entry, step(step(inside, replica), key))
    return {
        "end": _number(look.get("end"), f"{place}/end"),
        "weight": None if weight is None else _number(weight, f"{place}/weight"),
        "questions": questions,
        "left_out": left_out,
    }


def _check_entry(entry: Json, place: str) -> None:
    for number in entry if isinstance(entry, list) and entry else [entry]:
        if number is not None or isinstance(entry, list):
            _number(number, place)


def _noise(value: Json, place: str) -> Noise:
    content: dict[str, Any] = {
        key: tuple(part) if isinstance(part, list) else part for key, part in _mapping(value, place).items()
    }
    known = {slot.name for slot in fields(Noise)}
    for key in content:
        if key not in known:
            raise _wrong(step(place, key), f"unknown key; known are {', '.join(sorted(known))}", key)
    try:
        return Noise(**content)
    except (TypeError, ValueError) as error:
        raise InvalidRecord(f"cannot be read: {error}", place) from error
    except AnalysisError as error:
        raise InvalidRecord(error.message, place) from error
