"""A TCP proxy on loopback that delays, loses or cuts what passes through it: the network's bad days, on purpose."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

CHUNK = 65_536


class Proxy:
    """
    Passes connections on to a port of loopback.

    Attributes
    ----------
    port : int
        Where it listens.
    delay : float
        Seconds by which every piece of an answer is late.
    cuts : int
        So many of the next answers are lost: the question passes, then the connection is closed.
    asked : int
        How many connections were made.
    """

    def __init__(self, target: int) -> None:
        self.delay = 0.0
        self.cuts = 0
        self.asked = 0
        self._target = target
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(30)
        self.port = int(self._listening.getsockname()[1])
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            self.asked += 1
            try:
                far = socket.create_connection(("127.0.0.1", self._target), timeout=30)
            except OSError:
                near.close()
                continue
            self._open += [near, far]
            threading.Thread(target=self._pass, args=(near, far, False), daemon=True).start()
            threading.Thread(target=self._pass, args=(far, near, True), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, answers: bool) -> None:
        try:
            while piece := source.recv(CHUNK):
                if answers and self._cut():
                    break
                if answers and self.delay:
                    time.sleep(self.delay)
                sink.sendall(piece)
        except OSError:
            pass  # the other thread closed it, or one side is gone
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _cut(self) -> bool:
        with self._lock:
            if self.cuts:
                self.cuts -= 1
                return True
            return False

    def close(self) -> None:
        """Stop listening and close every connection."""
        self._listening.close()
        for end in self._open:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@contextmanager
def proxied(target: int) -> Iterator[Proxy]:
    """Run a proxy to a port for the length of a ``with`` block."""
    made = Proxy(target)
    try:
        yield made
    finally:
        made.close()
