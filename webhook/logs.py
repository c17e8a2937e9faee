"""
Logs: one JSON object a line on stderr, with a closed set of fields, and no secrets.

One line a decision; everything else that is said (the server, libraries, faults) becomes ``event`` and
``reason`` of the same shape, so that one filter finds all.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, TextIO

FIELDS = (
    "ts", "level", "event", "policy", "verdict", "would", "mode", "caller", "hook", "stage", "namespace", "name",
    "reason", "duration_ms", "source_ms", "request_id", "id", "logger", "trace",
)  # fmt: skip
"""Every field that a line may have, in this order."""

EXTRA = "weighbridge"
"""Attribute of a log record that holds our fields."""

REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
"""Id of the request that is being answered; empty outside one."""

SECRETS = re.compile(r"(/t/)[^/\s\"'?]+|\b(wb_)[A-Za-z0-9_-]{16,}|\b((?:bearer|basic) )[A-Za-z0-9+/=._~-]{8,}", re.I)
"""What must not be written even where somebody else's message holds it."""

LONGEST_REASON = 2000
"""Characters; a library that logs a whole body does not fill the disk."""

log = logging.getLogger("weighbridge")


def event(what: str, /, *, level: int = logging.INFO, **fields: Any) -> None:
    """
    Write one line.

    Parameters
    ----------
    what : str
        What happened, in snake case.
    level : int, default logging.INFO
        Of the standard library.
    **fields
        Of `FIELDS`; one that is None is left out, an unknown one is a mistake of the program.
    """
    unknown = fields.keys() - set(FIELDS)
    if unknown:
        raise TypeError(f"no log field is called {sorted(unknown)}")
    log.log(level, what, extra={EXTRA: {"event": what, **fields}})


def redacted(text: str) -> str:
    """Return a text with tokens and credentials replaced by ``***``."""
    return SECRETS.sub(lambda match: "".join(part for part in match.groups() if part) + "***", text)


class Lines(logging.Formatter):
    """
    Turn a record into one line.

    Parameters
    ----------
    as_json : bool
        True: one strict JSON object. False: time, level, event and the rest as words, for eyes.
    """

    def __init__(self, *, as_json: bool) -> None:
        super().__init__()
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; it never contains a line break."""
        fields = self._fields(record)
        if self._as_json:
            return json.dumps(fields, ensure_ascii=False, default=str)
        head = [fields.pop("ts"), fields.pop("level").upper(), fields.pop("event")]
        words = [f"{key}={json.dumps(value, ensure_ascii=False, default=str)}" for key, value in fields.items()]
        return " ".join([*head, *words])

    def _fields(self, record: logging.LogRecord) -> dict[str, Any]:
        """Return the fields that have a value, in the order of `FIELDS`."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        found: dict[str, Any] = {
            "ts": time.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "request_id": REQUEST_ID.get() or None,
        }
        ours: Mapping[str, Any] | None = getattr(record, EXTRA, None)
        if ours is None:
            found |= {"event": "log", "logger": record.name, "reason": record.getMessage()}
        else:
            found |= {key: value for key, value in ours.items() if value is not None}
        if record.exc_info:
            found["trace"] = self.formatException(record.exc_info)
        clean = {key: redacted(value) if isinstance(value, str) else value for key, value in found.items()}
        clean["reason"] = clean["reason"][:LONGEST_REASON] if clean.get("reason") else None
        return {key: clean[key] for key in FIELDS if clean.get(key) is not None}


def configure(level: str, form: str, stream: TextIO | None = None) -> None:
    """
    Send every log of the process to one stream.

    Parameters
    ----------
    level : {"debug", "info", "warning", "error"}
        Lowest level that is written; other libraries begin at warning.
    form : {"json", "text"}
        See `Lines`.
    stream : text stream, optional
        Default stderr.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(Lines(as_json=form == "json"))
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[level.upper()]))
    log.setLevel(level.upper())
    logging.getLogger("gunicorn").setLevel(level.upper())
