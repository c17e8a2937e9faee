"""Scenarios at the same time, in one cluster: each in a thread and a namespace of its own, each with a time limit."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

EVERY_S = 0.2


class TooLong(AssertionError):
    """A scenario did not end within its time limit."""


@dataclass(slots=True, kw_only=True)
class Scenario:
    """
    One scenario: what is to be done, and how it went.

    Parameters
    ----------
    name : str
        For people.
    limit : float
        Seconds from its own start.
    call : callable
        Raises where something is not as promised.
    """

    name: str
    limit: float
    call: Callable[[], None]
    began: float | None = None
    ended: float | None = None
    fault: BaseException | None = None
    done: threading.Event = field(default_factory=threading.Event)

    @property
    def seconds(self) -> float:
        """How long it took, or takes up to now; 0 before its start."""
        return 0.0 if self.began is None else (self.ended or time.monotonic()) - self.began

    def play(self) -> None:
        """Run it in this thread and keep what it raised."""
        self.began = time.monotonic()
        try:
            self.call()
        except BaseException as fault:  # noqa: BLE001 - the thread that waits raises it again, whatever it is
            self.fault = fault
        self.ended = time.monotonic()
        self.done.set()

    def outcome(self) -> None:
        """Wait for its end; raise what it raised, or `TooLong`."""
        while not self.done.wait(EVERY_S):
            if self.seconds > self.limit:
                raise TooLong(f"{self.name}: not within {self.limit:g} s")
        if self.fault is not None:
            raise self.fault
        if self.seconds > self.limit:
            raise TooLong(f"{self.name}: took {self.seconds:.0f} s, {self.limit:g} s are allowed")


class Stage:
    """
    Plays scenarios, the longest first.

    Parameters
    ----------
    at_once : int
        How many play at the same time. A scenario that has hung keeps its place; its waits all end by themselves.
    """

    def __init__(self, at_once: int) -> None:
        self.scenarios: list[Scenario] = []
        self._at_once = at_once
        self._left: list[Scenario] = []
        self._lock = threading.Lock()

    def begin(self, scenarios: list[Scenario]) -> None:
        """Start the first ones; the others follow as places become free."""
        self.scenarios = scenarios
        self._left = sorted(scenarios, key=lambda scenario: -scenario.limit)
        for number in range(min(self._at_once, len(scenarios))):
            threading.Thread(target=self._work, name=f"scenario-{number}", daemon=True).start()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._left:
                    return
                scenario = self._left.pop(0)
            scenario.play()
