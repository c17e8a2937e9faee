"""Programs that run beside the tests: started with a log of their own, waited for, and ended by their own number."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

Found = TypeVar("Found")
TAIL = 3000
"""Characters of a log that a failure quotes."""


@dataclass(slots=True)
class Patience:
    """How many times as long as usual everything may take: more than 1 on a machine that has other work to do."""

    factor: float = 1.0


PATIENCE = Patience()


class NeverReady(AssertionError):
    """Something did not come about within its time limit; says what was seen last."""


def wait_for(
    look: Callable[[], Found | None],
    what: str,
    *,
    limit: float,
    every: float = 0.2,
    seen: Callable[[], object] | None = None,
) -> Found:
    """
    Return the first answer of ``look`` that is neither None nor False.

    Parameters
    ----------
    look : callable
        Asked again and again; an `OSError` counts as "not yet".
    what : str
        For the failure: what was waited for.
    limit, every : float
        Seconds in all, times `PATIENCE`, and between two looks.
    seen : callable, optional
        What to show of the world when it did not come.
    """
    limit *= PATIENCE.factor
    end = time.monotonic() + limit
    fault: OSError | None = None
    while True:
        try:
            found = look()
            if found is not None and found is not False:
                return found
        except OSError as error:
            fault = error
        if time.monotonic() > end:
            shown = f"; seen last: {seen()}" if seen else ""
            raise NeverReady(f"{what}: not within {limit:g} s{f' ({fault})' if fault else ''}{shown}")
        time.sleep(every)


class Process:
    """
    A program with a log file.

    Parameters
    ----------
    name : str
        Of the log file.
    command : sequence of str
    folder : Path
        Where its log goes, and where it runs.
    environ : mapping, optional
        Its whole environment; default: only a PATH and a home.
    """

    def __init__(
        self, name: str, command: Sequence[str], folder: Path, environ: Mapping[str, str] | None = None
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.log = folder / f"{name}.log"
        self._command = [str(word) for word in command]
        self._folder = folder
        self._environ = (
            dict(environ) if environ is not None else {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": str(folder)}
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; its output is added to the log."""
        assert self._process is None, f"{self.name} runs already"
        with self.log.open("ab") as sink:
            self._process = subprocess.Popen(
                self._command, cwd=self._folder, env=self._environ, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink,
                start_new_session=True,
            )  # fmt: skip

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def wait_until(self, ready: Callable[[], object], *, limit: float = 120.0) -> None:
        """Wait until ``ready`` says so; fail with the end of the log if it does not or the program ends before."""

        def look() -> bool:
            if not self.running:
                raise NeverReady(f"{self.name} ended by itself: {self.tail()}")
            return bool(ready())

        wait_for(look, f"{self.name} to be ready", limit=limit, every=0.1, seen=self.tail)

    def tail(self) -> str:
        """Return the end of the log."""
        return self.log.read_text(errors="replace")[-TAIL:] if self.log.exists() else ""

    def stop(self, *, grace: float = 5.0) -> None:
        """End it politely, then firmly."""
        if self._process is None:
            return
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(grace)
        self.kill()

    def kill(self) -> None:
        """End it as a machine that fails would, with every process that it started."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None
