"""What both controllers share: a virtual clock and an HTTP client that behaves like Go's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

Answer = tuple[int, Mapping[str, str], bytes]
"""Status, headers, body."""

Call = Callable[[str, str, Any], Answer]
"""``call(method, url, body)``: *body* is None, a text, or an object to send as JSON.

It raises ConnectionError when nobody answers and TimeoutError when nobody answers in time. A server that
needs time says so by moving the clock.
"""

REDIRECTS = 10
REWRITING = frozenset({301, 302, 303})
REPLAYING = frozenset({307, 308})
TIMED_OUT = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"


@dataclass(slots=True)
class Clock:
    """Unix time in seconds that only moves when somebody moves it."""

    now: float = 0.0

    def advance(self, seconds: float) -> None:
        """Let *seconds* pass."""
        self.now += seconds


@dataclass(frozen=True, slots=True)
class TransportError(Exception):
    """Nobody answered, or not in time; *text* is what Go's client would say."""

    text: str

    def __str__(self) -> str:
        return self.text


def exchange(call: Call, clock: Clock, method: str, url: str, body: Any, timeout: float) -> Answer:
    """
    Return the final answer to one request, redirects followed as Go follows them.

    301, 302 and 303 drop method and body, 307 and 308 keep them. An answer that comes later than *timeout*
    seconds is a TransportError at that moment, like a refused connection.
    """
    started = clock.now
    where, how, what = url, method, body
    for _ in range(REDIRECTS):
        try:
            status, headers, content = call(how, where, what)
        except TimeoutError as error:
            clock.now = started + timeout
            raise TransportError(f'{how.capitalize()} "{where}": {TIMED_OUT}') from error
        except ConnectionError as error:
            raise TransportError(f'{how.capitalize()} "{where}": {error}') from error
        if clock.now - started > timeout:
            clock.now = started + timeout
            raise TransportError(f'{how.capitalize()} "{where}": {TIMED_OUT}')
        target = {name.lower(): value for name, value in headers.items()}.get("location")
        if target is None or status not in REWRITING | REPLAYING:
            return status, headers, content
        where = urljoin(where, target)
        if status in REWRITING:
            how, what = ("HEAD" if how == "HEAD" else "GET"), None
    raise TransportError(f'{how.capitalize()} "{where}": stopped after {REDIRECTS} redirects')
