"""
Everything that can be set, in one frozen dataclass: unit and reason beside each field.

Each field is an option of ``weighbridge serve`` and a variable: ``listen`` is ``WEIGHBRIDGE_LISTEN``.
The environment is passed in; only the command line knows the real one.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from analysis.types import Mode
from webhook.errors import WebhookError
from webhook.redis_url import SCHEMES, is_redis, read_redis_url, without_secrets
from webhook.settings_values import (
    basic,
    choice,
    duration,
    headers,
    is_loopback,
    listen_address,
    mode,
    pause,
    size,
    switch,
    url,
    whole,
)

PREFIX = "WEIGHBRIDGE_"

SERVICE_LINK = re.compile(r"_SERVICE_HOST$|_SERVICE_PORT(_[A-Z0-9_]+)?$|_PORT(_\d+_(TCP|UDP|SCTP)(_[A-Z]+)?)?$")
"""
Variables that Kubernetes adds for every service of the namespace. A service that is called
``weighbridge`` makes some that begin like ours; they are not settings and not mistakes.
"""


class InvalidSettings(WebhookError):
    """A setting that cannot be: place (variable or option), rule and value."""

    title = "Invalid settings"


def _by(read: Callable[[str], Any]) -> dict[str, Callable[[str], Any]]:
    """Return the metadata of a field: how its text is read."""
    return {"read": read}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """
    What the service runs with. Durations are seconds, sizes bytes; paths are as given.

    Raises
    ------
    InvalidSettings
        A value that cannot be, or two that contradict each other.
    """

    # Where callers find us ------------------------------------------------------------------------
    listen: str = field(default="127.0.0.1:8080", metadata=_by(listen_address))
    """HOST:PORT. Loopback, because without tokens nobody beyond this machine may move a release."""
    public_url: str = field(default="", metadata=_by(url))
    """Where people reach us, for links in answers; empty: links are relative to the request's own host."""
    cluster: str = field(default="", metadata=_by(str))
    """Name of this cluster where several share a store; part of a release's identity."""

    tls_cert_file: Path | None = field(default=None, metadata=_by(Path))
    """PEM file with our certificate and its chain; read anew for each connection, so that a renewed one is served."""
    tls_key_file: Path | None = field(default=None, metadata=_by(Path))
    """PEM file with the key of that certificate."""

    # The source of measurements ------------------------------------------------------------------
    prometheus: str = field(default="", metadata=_by(url))
    """Base URL of Prometheus or what speaks like it; empty: only inline data can be judged."""
    prometheus_bearer_file: Path | None = field(default=None, metadata=_by(Path))
    """File with a bearer token, read anew when it changes: service-account tokens rotate hourly."""
    prometheus_basic: tuple[str, str] | None = field(default=None, metadata=_by(basic), repr=False)
    """USER:PASSWORD; also taken out of the URL, so that no log shows it."""
    prometheus_headers: Mapping[str, str] = field(default_factory=dict, metadata=_by(headers), repr=False)
    """``Name: value`` pairs, one a line or separated by ``;`` (``X-Scope-OrgID: team-a``)."""
    prometheus_ca_file: Path | None = field(default=None, metadata=_by(Path))
    """Certificates to trust instead of the system's."""

    # Policies and verdicts -----------------------------------------------------------------------
    policies: Path | None = field(default=None, metadata=_by(Path))
    """Folder of policies, one YAML file each; none: presets and the default policy only."""
    default_policy: str = field(default="", metadata=_by(str))
    """Name of the policy where nothing else fits; empty: preset ``http_requests_total``."""
    mode: Mode | None = field(default=None, metadata=_by(mode))
    """Overrides the mode of every policy: a new installation watches in ``shadow`` first."""
    placebo_every_s: float = field(default=0.0, metadata=_by(pause))
    """Seconds between two placebos of a service; 0 (``off``): none. Each reads as much as the first verdict on a
    release does, so an hour costs a source little; with it a broken promise makes us advise and no more."""

    # State ------------------------------------------------------------------------------------------
    store: str = field(default="memory:", metadata=_by(str), repr=False)
    """``sqlite:PATH``, ``memory:`` or the URL of a Redis. From an environment the default is a file of the user's."""
    retention_s: float = field(default=90 * 86_400.0, metadata=_by(duration))
    """Age at which reports that close nothing are dropped: a quarter answers "why" for any release."""

    # Who may ask ---------------------------------------------------------------------------------
    tokens_file: Path | None = field(default=None, metadata=_by(Path))
    """YAML or JSON list of hashed tokens with their scopes; read anew when it changes."""
    no_auth: bool = field(default=False, metadata=_by(switch))
    """Switches authorisation off beyond loopback, by name: for a mesh that does it already."""

    # Serving ----------------------------------------------------------------------------------------
    workers: int = field(default=1, metadata=_by(whole))
    """Processes. One: a verdict waits for the source, and computes for milliseconds; a second process
    costs its whole memory again and doubles what the source is asked for. Several work."""
    threads: int = field(default=8, metadata=_by(whole))
    """Threads of a process: how many requests may wait for the source at once. A healthy source keeps
    one for 50 ms; with a slow one eight still serve 1.3 requests a second at the full timeout."""
    deadline_s: float = field(default=8.0, metadata=_by(duration))
    """Seconds for a whole verdict. Argo Rollouts gives up after 10, Flagger after 5 to 10."""
    source_timeout_s: float = field(default=6.0, metadata=_by(duration))
    """Seconds of it for the source; the rest is for judging, the store and the way back."""
    body_limit: int = field(default=4 * 1024 * 1024, metadata=_by(size))
    """Largest request body in bytes: 1,000 series of inline data fit."""

    # Talking ----------------------------------------------------------------------------------------
    log_level: str = field(default="info", metadata=_by(choice("debug", "info", "warning", "error")))
    """Lowest level that is written."""
    log_format: str = field(default="json", metadata=_by(choice("json", "text")))
    """``json``: one object a line, for collectors. ``text``: for eyes."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "prometheus_headers", dict(self.prometheus_headers))
        for name in ("retention_s", "workers", "threads", "deadline_s", "source_timeout_s", "body_limit"):
            if not getattr(self, name) > 0:
                raise InvalidSettings(f"must be positive, got {getattr(self, name)!r}", name)
        if self.source_timeout_s >= self.deadline_s:
            rule = f"must be shorter than the deadline of {self.deadline_s:g} s"
            raise InvalidSettings(f"{rule}, got {self.source_timeout_s:g} s", "source_timeout_s")
        self._check_store()
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            missing = "tls_key_file" if self.tls_key_file is None else "tls_cert_file"
            raise InvalidSettings("certificate and key belong together; this one is missing", missing)
        if "@" in urlsplit(self.prometheus).netloc:
            raise InvalidSettings("must not hold credentials; use prometheus_basic", "prometheus")

    def _check_store(self) -> None:
        """Raise `InvalidSettings` for a store that cannot be; nothing of a URL is repeated that may be secret."""
        shown = without_secrets(self.store)
        if is_redis(self.store):
            try:
                read_redis_url(self.store)
            except ValueError as error:
                raise InvalidSettings(f"{error}, got {shown!r}", "store") from error
            return
        scheme, _, path = self.store.partition(":")
        if scheme not in ("memory", "sqlite") or (scheme == "sqlite") != bool(path):
            rule = f"must be sqlite:PATH, memory: or a URL ({', '.join(f'{name}://' for name in SCHEMES)})"
            raise InvalidSettings(f"{rule}, got {shown!r}", "store")
        in_one_process = scheme == "memory" or path == ":memory:"
        if in_one_process and self.workers > 1:
            rule = f"lives in one process, so {self.workers} workers would each remember something else"
            raise InvalidSettings(f"{rule}; use sqlite:PATH, got {shown!r}", "store")
        if path == ":memory:":
            raise InvalidSettings("must name a file; memory: is the store without one, got ':memory:'", "store")

    @property
    def host(self) -> str:
        """Host to bind, without the brackets of IPv6."""
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """Port to bind; 0 lets the system choose."""
        return int(self.listen.rpartition(":")[2])

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine can reach us."""
        return is_loopback(self.host)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], **overrides: Any) -> Settings:
        """
        Return settings from variables, with options of the command line on top.

        Parameters
        ----------
        environ : mapping of str to str
            The environment. An empty variable counts as absent: templates leave such behind.
        **overrides
            By field name; text is read like a variable, None counts as absent.

        Raises
        ------
        InvalidSettings
            A wrong value, or a variable that begins like ours and is none (with the nearest one).
        """
        fields = {f.name: f for f in dataclasses.fields(cls)}
        values: dict[str, Any] = {}
        for variable, text in environ.items():
            if not variable.startswith(PREFIX):
                continue
            name = _field_of(variable, fields)
            if name and text.strip():
                values[name] = _read(fields[name], text.strip(), variable)
        for name, value in overrides.items():
            if name not in fields:
                raise InvalidSettings(f"no such setting{_nearest(name, list(fields))}", name)
            if value is not None:
                option = "--" + _public(name).replace("_", "-")
                values[name] = _read(fields[name], value, option) if isinstance(value, str) else value
        _take_credentials(values)
        if "store" not in values:
            values["store"] = _default_store(environ)
        return cls(**values)


def variables() -> list[str]:
    """Return the name of every variable, in the order of the fields."""
    return [PREFIX + _public(f.name).upper() for f in dataclasses.fields(Settings)]


def _public(name: str) -> str:
    """Return the name that people type: the unit belongs to the field, ``5m`` says it already."""
    return name.removesuffix("_s")


def _field_of(variable: str, fields: Mapping[str, Any]) -> str | None:
    """Return the field of a variable, None for one that Kubernetes made; raise for an unknown one."""
    for name in fields:
        if variable == PREFIX + _public(name).upper():
            return name
    if SERVICE_LINK.search(variable):
        return None
    raise InvalidSettings(f"no such setting{_nearest(variable, variables())}", variable)


def _nearest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
    return f"; the nearest is {near[0]}" if near else ""


def _read(setting: dataclasses.Field[Any], text: str, place: str) -> Any:
    try:
        return setting.metadata["read"](text)
    except ValueError as error:
        shown = "" if not setting.repr else f", got {text!r}"
        raise InvalidSettings(f"{error}{shown}", place) from error


def _take_credentials(values: dict[str, Any]) -> None:
    """Move ``user:password@`` from the URL of Prometheus to its own field."""
    parts = urlsplit(values.get("prometheus", ""))
    if parts.username is None:
        return
    values["prometheus"] = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    values.setdefault("prometheus_basic", (unquote(parts.username), unquote(parts.password or "")))


def _default_store(environ: Mapping[str, str]) -> str:
    """Return the file in the user's state folder (XDG base directories: a relative path is ignored)."""
    state = PurePosixPath(environ.get("XDG_STATE_HOME", ""))
    if not state.is_absolute():
        if not environ.get("HOME"):
            raise InvalidSettings(
                "must be given where neither XDG_STATE_HOME nor HOME says where state belongs", PREFIX + "STORE"
            )
        state = PurePosixPath(environ["HOME"]) / ".local" / "state"
    return f"sqlite:{state / 'weighbridge' / 'weighbridge.db'}"
