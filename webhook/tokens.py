"""The tokens file: its entries, what they allow, and what is refused about them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any

import yaml


class Verb(StrEnum):
    """What a token may do. No verb includes another: a token that stands in Git may only ask."""

    ASK = "ask"
    OPERATE = "operate"
    ASSIGN = "assign"
    READ = "read"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """One verb in the namespaces that match one of the globs."""

    verb: Verb
    namespaces: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who asks: the name of the token, and what it may."""

    name: str
    scopes: tuple[Scope, ...]

    def may(self, verb: Verb, namespace: str | None) -> bool:
        """
        Return whether this verb is allowed there.

        ``""`` (no namespace in particular) matches ``*`` only; None asks for the verb anywhere.
        """
        globs = [glob for scope in self.scopes if scope.verb == verb for glob in scope.namespaces]
        if namespace is None:
            return bool(globs)
        return any(fnmatchcase(namespace, glob) for glob in globs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One entry: the ``sha256:`` digest of a secret, whose it is, and until when (unix seconds)."""

    digest: str
    principal: Principal
    expires: float | None = None

    @classmethod
    def from_entry(cls, entry: Any, place: str) -> Token:
        """Return the token of one entry; ``ValueError`` with place, rule and value."""
        known = _only(entry, {"name", "hash", "scopes"}, {"expires"}, place)
        name, digest = known["name"], known["hash"]
        if not isinstance(name, str) or not re.fullmatch(r"[^\x00-\x1f\x7f]{1,80}", name):
            raise ValueError(f"{place}/name: must be text of 1 to 80 characters, got {name!r}")
        if not isinstance(digest, str) or not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
            # The value is not repeated: somebody may have put the secret itself there.
            raise ValueError(f"{place}/hash: must be sha256: and 64 hexadecimal digits")
        scopes = known["scopes"]
        if not isinstance(scopes, list) or not scopes:
            raise ValueError(f"{place}/scopes: must be a list of at least one scope, got {scopes!r}")
        read = tuple(_scope(scope, f"{place}/scopes/{n}") for n, scope in enumerate(scopes))
        expires = None if known.get("expires") is None else _instant(known["expires"], f"{place}/expires")
        return cls(digest=digest, principal=Principal(name=name, scopes=read), expires=expires)


def read_tokens(content: bytes) -> tuple[Token, ...]:
    """
    Return the tokens of a file: a YAML or JSON list of ``{name, hash, scopes, expires?}``.

    Raises
    ------
    ValueError
        Anything that is not exactly that, with its place.
    """
    try:
        entries = yaml.safe_load(content)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        raise ValueError(f"{where}must be YAML or JSON") from error
    if not isinstance(entries, list):
        raise ValueError("must be a list of tokens")
    tokens = tuple(Token.from_entry(entry, f"/{n}") for n, entry in enumerate(entries))
    for key, values in (("name", [t.principal.name for t in tokens]), ("hash", [t.digest for t in tokens])):
        if len(set(values)) < len(values):
            twice = next(n for n, value in enumerate(values) if value in values[:n])
            raise ValueError(f"/{twice}/{key}: is there twice")
    return tokens


def _only(entry: Any, needed: set[str], allowed: set[str], place: str) -> Mapping[str, Any]:
    if not isinstance(entry, dict):
        raise ValueError(f"{place}: must be a mapping, got {type(entry).__name__}")
    for key in sorted(needed - entry.keys()):
        raise ValueError(f"{place}/{key}: is missing")
    for key in sorted(map(str, entry.keys() - needed - allowed)):
        raise ValueError(f"{place}/{key}: unknown key; known are {', '.join(sorted(needed | allowed))}")
    return entry


def _scope(scope: Any, place: str) -> Scope:
    known = _only(scope, {"verb", "namespaces"}, set(), place)
    verb, globs = known["verb"], known["namespaces"]
    if verb not in list(Verb):
        words = ", ".join(repr(str(word)) for word in Verb)
        raise ValueError(f"{place}/verb: must be one of {words}, got {verb!r}")
    if not isinstance(globs, list) or not globs or not all(isinstance(g, str) and g for g in globs):
        raise ValueError(f"{place}/namespaces: must be a list of at least one glob, got {globs!r}")
    return Scope(verb=Verb(verb), namespaces=tuple(globs))


def _instant(value: Any, place: str) -> float:
    """Return unix seconds of RFC 3339 text, or of what YAML made of it; without a zone it is UTC."""
    try:
        if isinstance(value, str):
            value = datetime.fromisoformat(value)
        elif isinstance(value, date) and not isinstance(value, datetime):
            value = datetime.combine(value, time())
        if isinstance(value, datetime):
            return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    except ValueError:
        pass
    raise ValueError(f"{place}: must be a time such as 2027-01-31T00:00:00Z, got {value!r}")
