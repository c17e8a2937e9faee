"""A call that answers from recorded traffic and keeps what it was asked, to compare the two."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from .wire import Answer, Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request of a model, with the number of the recorded request that answered it."""

    t: float
    n: int
    method: str
    target: str
    body: Any


def target_of(url: str) -> str:
    """Return path and query of *url*, the form in which captures keep it."""
    parts = urlsplit(url)
    return parts.path + (f"?{parts.query}" if parts.query else "")


@dataclass(slots=True, kw_only=True)
class Recorded:
    """
    Answers each request with the next recorded answer for its method and target.

    A request that the controller never made is an AssertionError. *broken* maps a target to the error it
    meets, *down* says whether the server is gone at a time, *during* is called while an answer is awaited.
    """

    requests: Sequence[Mapping[str, Any]]
    clock: Clock
    broken: Mapping[str, Exception] = field(default_factory=dict)
    down: Callable[[float], bool] = lambda _: False
    during: Mapping[int, Callable[[], None]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    _used: set[int] = field(default_factory=set)

    def __call__(self, method: str, url: str, body: Any) -> Answer:
        if url in self.broken:
            raise self.broken[url]
        if self.down(self.clock.now):
            raise ConnectionError("connection refused")
        target = target_of(url)
        for request in self.requests:
            if request["n"] not in self._used and (request["method"], request["target"]) == (method, target):
                return self._answer(request, body)
        at = self.clock.now - self.requests[0]["t"]
        raise AssertionError(f"{at:.1f} s: the controller made no such request: {method} {target}")

    def _answer(self, request: Mapping[str, Any], body: Any) -> Answer:
        self._used.add(request["n"])
        self.asked.append(
            Asked(
                t=self.clock.now,
                n=request["n"],
                method=request["method"],
                target=request["target"],
                body=body,
            )
        )
        answered = request["answered"]
        if request["n"] in self.during:
            self.during[request["n"]]()
        self.clock.advance(answered["delay_s"])
        status = answered["status"]
        headers = {"Location": "/redirected"} if status in (302, 307) else {}
        return status, headers, answered["body"].encode()

    def missed(self, leave_out: Collection[int] = ()) -> list[int]:
        """Return the numbers of recorded requests that the model did not make."""
        return [r["n"] for r in self.requests if r["n"] not in self._used and r["n"] not in leave_out]

    def late(self, seconds: float) -> list[tuple[int, float]]:
        """Return the requests made more than *seconds* before or after the recorded ones, with how much."""
        recorded = {request["n"]: request["t"] for request in self.requests}
        apart = [(asked.n, round(asked.t - recorded[asked.n], 2)) for asked in self.asked]
        return [(n, gap) for n, gap in apart if abs(gap) > seconds]

    def swapped(self, tolerance: float) -> list[tuple[int, int]]:
        """Return pairs asked in the other order than recorded, where the record has them clearly apart."""
        recorded = {request["n"]: request["t"] for request in self.requests}
        order = [asked.n for asked in self.asked]
        return [
            (late, early)
            for place, late in enumerate(order)
            for early in order[place + 1 :]
            if recorded[late] > recorded[early] + tolerance
        ]
