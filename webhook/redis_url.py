"""
Where a Redis store is, as one URL says it: one server, a socket, or what Sentinel knows by a name.

::

    redis://[user[:password]@]host[:6379][/db]               one server; rediss:// with TLS
    unix://[user[:password]@]/path/of/the.sock[?db=1]         one server of this machine
    redis+sentinel://[user[:password]@]host[:26379],host…/service[/db]     rediss+sentinel:// with TLS

Behind ``?`` stand the options of `OPTIONS`. Nothing here opens anything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote

SCHEMES = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel")
REDIS_PORT, SENTINEL_PORT = 6379, 26_379
MOST_REPLICAS = 9
HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:\[\]/@]+)(?::(\d{1,5}))?")
FLAGS = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
OPTIONS = (
    "replicas", "persistent", "password_file", "ca_file", "cert_file", "key_file", "db", "sentinel_username",
    "sentinel_password", "sentinel_password_file",
)  # fmt: skip
"""
What may stand behind ``?``: how many replicas confirm a write before it counts (0; with Sentinel 1), whether a server
that keeps nothing over a crash is refused (yes), files with the password, with the certificates to trust and with our
own, the database of a socket, and what Sentinel itself wants to hear.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisAddress:
    """
    One Redis store.

    ``hosts`` is the server, or every Sentinel where ``service`` is not empty; empty for a socket, whose file is
    ``path``. ``replicas`` have to confirm a write before it counts; ``persistent`` refuses a server that keeps nothing
    over a crash. File names are empty where there is none.
    """

    hosts: tuple[tuple[str, int], ...] = ()
    service: str = ""
    path: str = ""
    db: int = 0
    tls: bool = False
    username: str = ""
    password: str = field(default="", repr=False)
    password_file: str = ""
    sentinel_username: str = ""
    sentinel_password: str = field(default="", repr=False)
    sentinel_password_file: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    replicas: int = 0
    persistent: bool = True

    @property
    def shown(self) -> str:
        """Return where it is, for messages: no credentials."""
        if self.path:
            return self.path
        places = ",".join(f"{host}:{port}" for host, port in self.hosts)
        return f"{self.service} of {places}" if self.service else places


def is_redis(store: str) -> bool:
    """Return whether the setting ``store`` names a Redis."""
    return store.partition("://")[0].lower() in SCHEMES and "://" in store


def without_secrets(store: str) -> str:
    """Return the setting ``store`` for messages: what stands before ``@`` and behind ``?`` is left out."""
    scheme, found, rest = store.partition("://")
    place, asked, _ = rest.partition("?")
    return f"{scheme}{found}{place.rpartition('@')[2]}{'?…' if asked else ''}"


def read_redis_url(url: str) -> RedisAddress:
    """
    Return the address that a URL names.

    Raises
    ------
    ValueError
        The rule that is broken. The URL itself is not repeated: it may hold a password.
    """
    scheme, _, rest = url.partition("://")
    scheme = scheme.lower()
    if scheme not in SCHEMES:
        raise ValueError(f"must begin with one of {', '.join(s + '://' for s in SCHEMES)}")
    place, _, query = rest.partition("?")
    options = _options(query)
    user, at, where = place.rpartition("@")
    name, _, password = user.partition(":") if at else ("", "", "")
    found: dict[str, object] = {
        "username": unquote(name),
        "password": unquote(password),
        "tls": scheme.startswith("rediss"),
    }
    if scheme == "unix":
        found |= _socket(where, options)
    else:
        found |= _network(where, sentinel=scheme.endswith("+sentinel"))
        if "db" in options:
            raise ValueError("must name the database in its path (/1), not as an option")
    found |= {key: options[key] for key in OPTIONS if key in options and key.endswith(("_file", "name", "_password"))}
    if found["password"] and found.get("password_file"):
        raise ValueError("must hold a password or a password_file, not both")
    if bool(found.get("cert_file")) != bool(found.get("key_file")):
        raise ValueError("must name cert_file and key_file together")
    return _address(found, options)


def _address(found: Mapping[str, object], options: Mapping[str, str]) -> RedisAddress:
    usual = "1" if found.get("service") else "0"
    replicas = _whole(options.get("replicas", usual), "replicas", MOST_REPLICAS)
    persistent = options.get("persistent", "yes").lower()
    if persistent not in FLAGS:
        raise ValueError("must say yes or no for persistent")
    known: dict[str, object] = {**found, "replicas": replicas, "persistent": FLAGS[persistent]}
    return RedisAddress(**known)  # type: ignore[arg-type]


def _options(query: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key not in OPTIONS:
            raise ValueError(f"has no option {key!r}; known are {', '.join(OPTIONS)}")
        if key in found:
            raise ValueError(f"must hold {key} once")
        found[key] = value
    return found


def _socket(where: str, options: Mapping[str, str]) -> dict[str, object]:
    path = unquote(where)
    if not path.startswith("/") or len(path) < 2:
        raise ValueError("must name an absolute path, as in unix:///run/redis/redis.sock")
    return {"path": path, "db": _whole(options.get("db", "0"), "db", 1_000_000)}


def _network(where: str, *, sentinel: bool) -> dict[str, object]:
    netloc, _, path = where.partition("/")
    parts = [unquote(part) for part in path.split("/") if part]
    usual = SENTINEL_PORT if sentinel else REDIS_PORT
    hosts = tuple(_host(text, usual) for text in netloc.split(","))
    if len(hosts) > 1 and not sentinel:
        raise ValueError("must name one host; several are Sentinels, as in redis+sentinel://a,b,c/service")
    service = ""
    if sentinel:
        if not parts:
            raise ValueError("must name the service that Sentinel watches, as in redis+sentinel://a,b,c/service")
        service, *parts = parts
    if len(parts) > 1:
        raise ValueError("must end after the number of the database")
    return {"hosts": hosts, "service": service, "db": _whole(parts[0], "db", 1_000_000) if parts else 0}


def _host(text: str, usual: int) -> tuple[str, int]:
    match = HOST.fullmatch(text)
    if not match or not 0 < int(match[2] or usual) <= 65_535:
        raise ValueError("must name HOST or HOST:PORT")
    return match[1].strip("[]"), int(match[2] or usual)


def _whole(text: str, what: str, most: int) -> int:
    if not re.fullmatch(r"\d{1,7}", text, re.ASCII) or int(text) > most:
        raise ValueError(f"must hold a whole number from 0 to {most} for {what}")
    return int(text)
