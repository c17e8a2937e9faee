"""
How the text of a setting is read: every function raises ``ValueError`` with the rule.

The value itself is not repeated in the message; whoever calls knows whether it is a secret.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Callable
from urllib.parse import urlsplit

from analysis.types import Mode

UNIT_S = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
UNIT_BYTES = {"": 1, "B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def duration(text: str) -> float:
    """Return seconds, > 0, of ``30s``, ``5m``, ``4h``, ``7d`` or a plain number of seconds."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?) *(ms|[smhd]?)", text)
    if not match or not 0 < float(match[1]) < math.inf:
        raise ValueError("must be a positive duration such as 30s, 5m, 4h or 7d")
    return float(match[1]) * UNIT_S[match[2]]


def pause(text: str) -> float:
    """Return seconds of a duration, 0 for ``off``."""
    return 0.0 if text.lower() == "off" else duration(text)


def size(text: str) -> int:
    """Return bytes, > 0, of ``4MiB``, ``512KiB`` or a plain number of bytes."""
    match = re.fullmatch(r"(\d+) *((?:[KMG]i)?B|)", text)
    if not match or int(match[1]) == 0:
        raise ValueError("must be a positive size such as 4MiB or a number of bytes")
    return int(match[1]) * UNIT_BYTES[match[2]]


def whole(text: str) -> int:
    """Return a whole number from 1 to 256."""
    if not re.fullmatch(r"\d{1,3}", text) or not 1 <= int(text) <= 256:
        raise ValueError("must be a whole number from 1 to 256")
    return int(text)


def switch(text: str) -> bool:
    """Return true for ``true yes on 1``, false for ``false no off 0``."""
    words = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
    if text.lower() not in words:
        raise ValueError("must be true or false")
    return words[text.lower()]


def choice(*words: str) -> Callable[[str], str]:
    """Return a reader that accepts these words, in any case."""

    def read(text: str) -> str:
        if text.lower() not in words:
            raise ValueError(f"must be one of {', '.join(repr(str(word)) for word in words)}")
        return text.lower()

    return read


def mode(text: str) -> Mode:
    """Return a mode by its word."""
    return Mode(choice(*Mode)(text))


def url(text: str) -> str:
    """Return an absolute http or https URL without query, fragment and final slash."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("must be a URL such as http://prometheus:9090, without query")
    return text.rstrip("/")


def listen_address(text: str) -> str:
    """Return ``HOST:PORT``; an IPv6 host stands in brackets, ``:PORT`` alone means every interface."""
    match = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^\s:\[\]/]*):(\d{1,5})", text)
    if not match or int(match[2]) > 65_535:
        raise ValueError("must be HOST:PORT such as 127.0.0.1:8080 or [::1]:8080")
    return f"{match[1] or '0.0.0.0'}:{match[2]}"


def is_loopback(host: str) -> bool:
    """Return whether a host to bind is this machine alone; a name other than localhost is not believed."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def basic(text: str) -> tuple[str, str]:
    """Return user and password of ``USER:PASSWORD``; the password may hold colons."""
    user, colon, password = text.partition(":")
    if not user or not colon:
        raise ValueError("must be USER:PASSWORD")
    return user, password


def headers(text: str) -> dict[str, str]:
    """Return header names and values of ``Name: value`` pairs, one a line or separated by ``;``."""
    found: dict[str, str] = {}
    for pair in filter(None, (part.strip() for part in re.split(r"[;\n]", text))):
        name, colon, value = (part.strip() for part in pair.partition(":"))
        if not colon or not HEADER.fullmatch(name):
            raise ValueError("must be pairs such as X-Scope-OrgID: team-a, separated by ;")
        found[name] = value
    return found
