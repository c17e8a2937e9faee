"""Probes of what the service depends on: each bounded, remembered for a moment, and never two at once."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping

from webhook import logs
from webhook.errors import WebhookError

REMEMBERED_S = 5.0
"""Seconds that an outcome stands: a kubelet and a person who ask at once cost one probe."""

BOUND_S = 0.8
"""Seconds all probes may take together: a kubelet waits 1 s by default, and must not find us unready."""


class Probe:
    """
    One probe.

    Parameters
    ----------
    name : str
        What it is about, as ``degraded`` names it.
    call : callable
        Returns if all is well, raises `WebhookError` otherwise.
    clock : callable, default time.monotonic
        Seconds.
    bound : float, default 0.8
        Seconds after which no answer is a bad answer. The call itself goes on in its thread, and while
        it does no other is begun: a source that hangs costs one thread, however often we are asked.
    """

    def __init__(
        self,
        name: str,
        call: Callable[[], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        bound: float = BOUND_S,
    ) -> None:
        self.name = name
        self._call = call
        self._clock = clock
        self._bound = bound
        self._lock = threading.Lock()
        self._running: threading.Event | None = None
        self._asked_at = -float("inf")
        self._fault: str | None = None
        self._late = False

    def begin(self) -> threading.Event | None:
        """Begin a probe unless one is running or the last outcome still stands; return what to wait for."""
        with self._lock:
            if self._running is None and self._clock() - self._asked_at >= REMEMBERED_S:
                self._asked_at = self._clock()
                self._running = threading.Event()
                threading.Thread(
                    target=self._run, args=(self._running,), name=f"probe-{self.name}", daemon=True
                ).start()
            return self._running

    def outcome(self, running: threading.Event | None, patience: float) -> str | None:
        """
        Return what is wrong, None if nothing is, waiting at most ``patience`` seconds for it.

        A call that is known to hang is not waited for again.
        """
        if running is not None and not running.wait(0.0 if self._late else patience):
            with self._lock:
                if self._running is running:  # else the answer came while we gave up
                    self._late = True
                    self._remember(f"no answer within {self._bound:g} s")
        return self._fault

    def _run(self, done: threading.Event) -> None:
        try:
            self._call()
            fault = None
        except WebhookError as error:
            fault = str(error)
        except Exception as error:  # noqa: BLE001 - a probe that breaks must not end its thread unheard
            fault = f"{type(error).__name__}: {error}"
        with self._lock:
            self._remember(fault)
            self._running, self._late = None, False
        done.set()

    def _remember(self, fault: str | None) -> None:
        """Keep the outcome, and say it once when it changes."""
        before, self._fault = self._fault, fault
        if (before is None) != (fault is None):
            word, level = ("recovered", logging.INFO) if fault is None else ("degraded", logging.WARNING)
            logs.event(word, level=level, name=self.name, reason=fault)


def degraded(probes: Mapping[str, Probe], patience: float = BOUND_S) -> list[str]:
    """Return the names of what is down, in order; all are asked at once, within ``patience`` seconds together."""
    running = [(probe, probe.begin()) for probe in probes.values()]
    ends = time.monotonic() + patience
    faults = [probe.outcome(begun, max(0.0, ends - time.monotonic())) for probe, begun in running]
    return [name for name, fault in zip(probes, faults) if fault is not None]
