"""
Connections to Redis: how they are made, how long they wait, and which servers are refused.

Timeouts are short, because one verdict talks to the store four or five times within its deadline: a second to connect
and a second for an answer. A connection that broke is made again once, at once; nothing waits and tries longer, because
a store that is away is a hold and the controller asks again.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from redis import Redis
from redis.backoff import NoBackoff
from redis.connection import Connection, ConnectionPool, SSLConnection, UnixDomainSocketConnection
from redis.credentials import CredentialProvider
from redis.exceptions import ConnectionError as NotConnected
from redis.exceptions import DataError, NoPermissionError, RedisError, ResponseError
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError, Sentinel

from webhook.redis_url import RedisAddress

CONNECT_S: Final = 1.0
ANSWER_S: Final = 1.0
SENTINEL_S: Final = 0.3
"""Seconds for one Sentinel: of three, two may be gone and a verdict still ends in time."""
LONGEST_WORDS = 200
ABOUT_COMMAND: Final = re.compile(r"^Command # \d+ \(.*\) of pipeline caused error: ")
ABOUT_SCRIPT: Final = re.compile(r",? script: [0-9a-f]{40}, on @user_script:\d+\.?")


class UnfitServer(ResponseError):
    """A server that answers, and that we must not trust with anything."""


class PasswordFile(CredentialProvider):
    """
    Credentials whose password stands in a file, read at each connection: mounted secrets change.

    Parameters
    ----------
    username : str
        Empty for the default user.
    path : str
    """

    def __init__(self, username: str, path: str) -> None:
        self._username = username
        self._path = Path(path)

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        """Return the password, after the user if there is one; `DataError` where the file cannot be read."""
        try:
            password = self._path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"password file {self._path.name}: {error}") from error
        return (self._username, password) if self._username else (password,)


def connected(address: RedisAddress) -> Any:
    """
    Return a client of the server, or of whatever server Sentinel names; opens nothing yet.

    Untyped: what redis-py says of its answers covers every option of every command.
    """
    options = _options(address)
    if address.path:
        del options["socket_keepalive"]  # a socket of this machine has none
        pool = ConnectionPool(connection_class=UnixDomainSocketConnection, path=address.path, **options)
        return Redis(connection_pool=pool)
    if address.tls:
        options |= _certificates(address)
    if address.service:
        # Made with an empty list, because the Sentinels' own connections take other options than the server's.
        make: Any = Sentinel
        sentinel = make([])
        sentinel.sentinels = [_sentinel(address, host, port) for host, port in address.hosts]
        if address.tls:
            options["ssl"] = True
        return sentinel.master_for(address.service, **options)
    ((host, port),) = address.hosts
    kind = SSLConnection if address.tls else Connection
    return Redis(connection_pool=ConnectionPool(connection_class=kind, host=host, port=port, **options))


def _sentinel(address: RedisAddress, host: str, port: int) -> Redis:
    options = _common(SENTINEL_S, SENTINEL_S, retries=0)
    options |= _credentials(address.sentinel_username, address.sentinel_password, address.sentinel_password_file)
    if address.tls:
        options |= _certificates(address)
    kind = SSLConnection if address.tls else Connection
    return Redis(connection_pool=ConnectionPool(connection_class=kind, host=host, port=port, **options))


def _options(address: RedisAddress) -> dict[str, Any]:
    options = _common(CONNECT_S, ANSWER_S, retries=1)
    options |= _credentials(address.username, address.password, address.password_file)
    options["db"] = address.db

    def fit(connection: Any) -> None:
        connection.on_connect()
        connection.send_command("INFO")
        try:
            told = connection.read_response()
        except NoPermissionError:
            return  # a user that may not ask: then whoever made the user answers for the server
        refuse_unfit(_facts(told), address)

    options["redis_connect_func"] = fit
    return options


def _common(connect: float, answer: float, retries: int) -> dict[str, Any]:
    return {
        "socket_connect_timeout": connect,
        "socket_timeout": answer,
        "socket_keepalive": True,
        # Once, and not after a timeout: whoever did not answer within a second is asked at the next verdict.
        "retry": Retry(NoBackoff(), retries, supported_errors=(NotConnected,)),
        # Every server and proxy speaks it, and it needs no handshake.
        "protocol": 2,
        "driver_info": None,
    }


def _credentials(username: str, password: str, file: str) -> dict[str, Any]:
    if file:
        return {"credential_provider": PasswordFile(username, file)}
    return {"username": username or None, "password": password or None}


def _certificates(address: RedisAddress) -> dict[str, Any]:
    return {
        "ssl_ca_certs": address.ca_file or None,
        "ssl_certfile": address.cert_file or None,
        "ssl_keyfile": address.key_file or None,
    }


def _facts(told: bytes) -> dict[str, str]:
    """Return what INFO says, by name."""
    lines = (line.partition(":") for line in told.decode("utf-8", "replace").splitlines())
    return {name: value.strip() for name, colon, value in lines if colon}


def refuse_unfit(facts: dict[str, str], address: RedisAddress) -> None:
    """
    Return if a server may be trusted with what was acknowledged.

    Parameters
    ----------
    facts : dict of str to str
        What ``INFO`` said.
    address : RedisAddress

    Raises
    ------
    UnfitServer
        It is a replica, it may throw away what it keeps, or it forgets everything when it stops.
    """
    if facts.get("role") == "slave":
        raise UnfitServer("is a replica: what it says may be old; name the master, or Sentinel")
    policy = facts.get("maxmemory_policy", "noeviction")
    if policy.startswith("allkeys"):
        raise UnfitServer(f"throws keys away when it is full: set maxmemory-policy noeviction, it is {policy}")
    if address.persistent and address.replicas == 0 and facts.get("aof_enabled") == "0":
        raise UnfitServer(
            "forgets what was acknowledged when it crashes: set appendonly yes, let replicas confirm (?replicas=1), "
            "or accept it (?persistent=no)"
        )


def in_words(error: Exception) -> str:
    """Return what a library or a system says, in one line, without the command or the script that it was said about."""
    if isinstance(error, MasterNotFoundError):
        return "no Sentinel names a master"
    said = " ".join(str(error).split()) or type(error).__name__
    said = ABOUT_SCRIPT.sub("", ABOUT_COMMAND.sub("", said))
    return said if len(said) <= LONGEST_WORDS else said[: LONGEST_WORDS - 1] + "…"


FAULTS = (RedisError, OSError)
"""What talking to Redis raises."""
