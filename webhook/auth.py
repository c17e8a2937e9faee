"""
Who may ask what: hashed tokens from a file, each with verbs and namespaces.

A token comes as ``Authorization: Bearer``, ``X-API-Key``, the password of Basic (all that the user part
of a URL can send) or as the first part of the path, ``/t/TOKEN/…`` (all that Flagger can send). The
file holds SHA-256 sums only; tokens are 256 random bits, so a slow hash would protect nothing more.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from webhook.errors import Forbidden, NotAuthorised
from webhook.settings import InvalidSettings, Settings
from webhook.settings_values import is_loopback
from webhook.tokens import Principal, Scope, Token, Verb, read_tokens

PATH_TOKEN = "weighbridge.path_token"
"""Key of the WSGI environment under which `PathToken` leaves what it took out of the path."""

ANONYMOUS = Principal(name="anonymous", scopes=tuple(Scope(verb=verb, namespaces=("*",)) for verb in Verb))
"""Whoever asks where authorisation is off."""


class PathToken:
    """
    WSGI middleware: take the token out of ``/t/TOKEN/…`` before anything can log or route it.

    Parameters
    ----------
    wsgi_app : WSGI callable
        What answers the path without the token.
    """

    def __init__(self, wsgi_app: Callable[[dict[str, Any], Any], Iterable[bytes]]) -> None:
        self._app = wsgi_app

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer like the inner application; what a client sent under our own key is dropped."""
        environ.pop(PATH_TOKEN, None)
        slash, _, tail = environ.get("PATH_INFO", "").partition("/t/")
        head, _, rest = tail.partition("/")
        if head and not slash:
            environ[PATH_TOKEN] = head
            environ["PATH_INFO"] = f"/{rest}"
            # What servers leave of the request line would show the token to every error page and log.
            for key in ("RAW_URI", "REQUEST_URI"):
                if key in environ:
                    query = f"?{environ['QUERY_STRING']}" if environ.get("QUERY_STRING") else ""
                    environ[key] = f"/{rest}{query}"
        return self._app(environ, start_response)


class Guard:
    """
    Says who a request is from and whether it may.

    Parameters
    ----------
    tokens_file : Path or None
        The tokens; read anew when the file changes. A broken or missing new version leaves the old one
        in force and `problem` says so. None: everybody is `ANONYMOUS`.
    local_only : bool
        Without tokens: only requests for this machine's own name, and none that a foreign web page sent.
    clock : callable, default time.time
        Unix seconds, for expiry.

    Raises
    ------
    InvalidSettings
        The file cannot be read or understood at the start.
    """

    def __init__(
        self,
        tokens_file: Path | None,
        *,
        local_only: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._file = tokens_file
        self._local_only = local_only
        self._clock = clock
        self._lock = threading.Lock()
        self._tokens: tuple[Token, ...] = ()
        self._stamp: tuple[int, ...] | None = None
        self._problem: str | None = None
        if self.problem:
            raise InvalidSettings(self.problem, "tokens_file")

    @classmethod
    def from_settings(cls, settings: Settings, clock: Callable[[], float] = time.time) -> Guard:
        """
        Return the guard of these settings, or refuse to start unguarded.

        Raises
        ------
        InvalidSettings
            No tokens although others than this machine can reach us, or tokens and ``no_auth`` at once.
        """
        if settings.tokens_file is not None:
            if settings.no_auth:
                raise InvalidSettings("contradicts tokens_file; give one of the two", "no_auth")
            return cls(settings.tokens_file, clock=clock)
        if not settings.no_auth and not settings.on_loopback:
            raise InvalidSettings(
                f"is needed to listen on {settings.listen}: anybody who reaches it could move a release. Make a "
                "token with `weighbridge token`, listen on 127.0.0.1, or say no_auth where a mesh authorises",
                "tokens_file",
            )
        return cls(None, local_only=not settings.no_auth, clock=clock)

    @property
    def required(self) -> bool:
        """Whether a request needs a token."""
        return self._file is not None

    @property
    def problem(self) -> str | None:
        """What is wrong with the file as it is now, also where nobody has shown a token since."""
        if self._file is not None:
            self._reload()
        return self._problem

    def authorise(self, environ: Mapping[str, Any], verb: Verb, namespace: str | None) -> Principal:
        """
        Return who asks, if they may.

        Parameters
        ----------
        environ : mapping
            The WSGI environment of the request, past `PathToken`.
        verb : Verb
            What is to be done.
        namespace : str or None
            Where; ``""`` stands for no namespace in particular and needs the scope ``*``. None asks for
            the verb anywhere: the caller then shows only what `Principal.may` allows.

        Raises
        ------
        NotAuthorised
            No token, an unknown or an expired one.
        Forbidden
            A token without this verb in this namespace; without tokens, a request from elsewhere.
        """
        principal = self.identify(environ)
        if not principal.may(verb, namespace):
            where = f" in namespace {namespace!r}" if namespace else ""
            raise Forbidden(f"{principal.name!r} may not {verb}{where}")
        return principal

    def identify(self, environ: Mapping[str, Any]) -> Principal:
        """Return who asks, whatever they may; raises as `authorise` does."""
        if self._file is None:
            if self._local_only:
                _refuse_elsewhere(environ)
            return ANONYMOUS
        self._reload()
        presented = list(candidates(environ))
        for secret in presented:
            if found := self._find(secret):
                if found.expires is not None and found.expires <= self._clock():
                    when = datetime.fromtimestamp(found.expires, UTC).isoformat()
                    raise NotAuthorised(f"the token {found.principal.name!r} expired at {when}")
                return found.principal
        raise NotAuthorised(
            "this token is not known" if presented else "needs a token: bearer, X-API-Key, Basic, /t/TOKEN/"
        )

    def _find(self, secret: str) -> Token | None:
        """Compare with every token in constant time: how long it takes tells nothing."""
        digest = digest_of(secret)
        found = None
        for token in self._tokens:
            if hmac.compare_digest(token.digest, digest):
                found = token
        return found

    def _reload(self) -> None:
        """Read the file if it is another than last time."""
        assert self._file is not None
        with self._lock:
            try:
                stat = self._file.stat()
                stamp = (stat.st_mtime_ns, stat.st_size, stat.st_ino, stat.st_dev)
                if stamp == self._stamp:
                    return
                # Remembered before reading: a change while we read is seen at the next request.
                self._stamp = stamp
                self._tokens = read_tokens(self._file.read_bytes())
                self._problem = None
            except (OSError, ValueError) as error:
                self._stamp = None if isinstance(error, OSError) else self._stamp
                self._problem = f"{self._file.name}: {error}"


def candidates(environ: Mapping[str, Any]) -> Iterator[str]:
    """Yield every token that a request presents: path, bearer, Basic password, API key."""
    if path := environ.get(PATH_TOKEN):
        yield path
    scheme, _, value = environ.get("HTTP_AUTHORIZATION", "").strip().partition(" ")
    if scheme.lower() == "bearer" and value.strip():
        yield value.strip()
    if scheme.lower() == "basic":
        try:
            password = base64.b64decode(value.strip(), validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            password = ""
        if password:
            yield password
    if key := environ.get("HTTP_X_API_KEY", "").strip():
        yield key


def digest_of(secret: str) -> str:
    """Return ``sha256:`` and the hexadecimal digest of a token, as the file holds it."""
    # Headers arrive as Latin-1: anything else was no token of ours and must not become an error.
    return "sha256:" + hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def new_token(
    name: str, verbs: Sequence[str], namespaces: Sequence[str], expires: str | None = None
) -> tuple[str, dict[str, Any]]:
    """
    Return a fresh secret and its entry for the tokens file.

    Parameters
    ----------
    name : str
        Who will hold it; shown in logs and audits.
    verbs : sequence of str
        Of ``ask operate assign read``.
    namespaces : sequence of str
        Globs.
    expires : str, optional
        RFC 3339 time.

    Raises
    ------
    ValueError
        An entry that the file would refuse.
    """
    secret = "wb_" + secrets.token_urlsafe(32)
    scopes = [{"verb": str(verb), "namespaces": list(namespaces)} for verb in verbs]
    entry: dict[str, Any] = {"name": name, "hash": digest_of(secret), "scopes": scopes}
    if expires is not None:
        entry["expires"] = expires
    Token.from_entry(entry, "/0")
    return secret, entry


def _refuse_elsewhere(environ: Mapping[str, Any]) -> None:
    """
    Refuse what a browser may have been talked into: without tokens, reaching us is all it takes.

    A page of another site may post to a loopback address, and a name that its owner points at
    127.0.0.1 makes that page "the same site"; the name in ``Host`` and ``Origin`` gives both away.
    """
    for header in ("HTTP_HOST", "HTTP_ORIGIN"):
        value = environ.get(header)
        if not value:
            continue
        try:
            host = urlsplit(value if "//" in value else f"//{value}").hostname or ""
        except ValueError:
            host = ""
        if not (is_loopback(host) or host.endswith(".localhost")):
            name = header.removeprefix("HTTP_").title()
            raise Forbidden(f"without tokens only this machine is served, and {name} says {value[:80]!r}")
