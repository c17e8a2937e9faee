"""Debian's Redis on loopback ports, alone or watched by Sentinel; each server has a folder and a process of its own."""

from __future__ import annotations

import resource
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from tests.prometheus_server import free_port

PATIENCE_S = 30.0


def wait_until(holds: Callable[[], Any], what: str) -> None:
    """Return as soon as ``holds()`` is true; an error of Redis counts as not yet."""
    ends = time.monotonic() + PATIENCE_S
    while time.monotonic() < ends:
        try:
            if holds():
                return
        except RedisError:
            pass
        time.sleep(0.02)
    raise AssertionError(f"did not happen within {PATIENCE_S:g} s: {what}")


class RedisServer:
    """
    One process: a server, or a Sentinel.

    Parameters
    ----------
    folder : Path
        Where it keeps its files and its log.
    options : str
        Options of its command line.
    sentinel : str
        Configuration; makes it a Sentinel.
    """

    def __init__(self, folder: Path, *options: str, sentinel: str = "") -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        folder.mkdir(parents=True, exist_ok=True)
        config = folder / "redis.conf"
        config.write_text(sentinel)
        self._command = ["redis-server", str(config), "--port", str(self.port), "--bind", "127.0.0.1"]
        self._command += ["--dir", str(folder), "--logfile", str(folder / "log"), "--daemonize", "no", *options]
        self._command += ["--sentinel"] if sentinel else ["--save", "", "--repl-diskless-sync-delay", "0"]
        self.process: subprocess.Popen[bytes] | None = None
        # Two attempts, so that a test which looks in the middle of a restart is not told of its own broken connection.
        password = options[options.index("--requirepass") + 1] if "--requirepass" in options else None
        self.client = Redis(port=self.port, password=password, protocol=2, socket_timeout=5)

    def add_options(self, *options: str) -> None:
        """Add options of the command line for the next start."""
        self._command += options

    def start(self) -> RedisServer:
        """Start it (again, with the files that are there), and return when it answers."""
        # Signals as Python has them: a file over its limit is then an error to the server, as a full disk is.
        self.process = subprocess.Popen(self._command, restore_signals=False)
        wait_until(self._answers, f"redis-server on {self.port}")
        return self

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "log").read_text()[-2000:]
        return bool(self.client.ping())

    def signal(self, number: int) -> None:
        """Send a signal to the process that was started here."""
        assert self.process is not None
        self.process.send_signal(number)

    def files_may_hold(self, size: int) -> None:
        """Let no file of the running server grow beyond ``size`` bytes."""
        assert self.process is not None
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (size, size))

    def kill(self) -> None:
        """End it at once, as a crash does."""
        self.signal(signal.SIGKILL)
        assert self.process is not None
        self.process.wait()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Keep it from answering for the length of a ``with`` block: connections stay open."""
        self.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it if it runs, and wait for it."""
        self.client.close()
        if self.process is not None and self.process.poll() is None:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()


@contextmanager
def running(*options: str, durable: bool = True) -> Iterator[RedisServer]:
    """Run a server for the length of a ``with`` block; ``durable``: every write is in its file before its answer."""
    with tempfile.TemporaryDirectory(prefix="weighbridge-redis-") as folder:
        kept = ("--appendonly", "yes", "--appendfsync", "always") if durable else ()
        server = RedisServer(Path(folder), *kept, *options)
        try:
            yield server.start()
        finally:
            server.stop()


class Watched:
    """A master, its replicas and the Sentinels that watch them; ``url`` is what a store is given."""

    def __init__(self, folder: Path, replicas: int) -> None:
        self.master = RedisServer(folder / "master")
        self.replicas = [
            RedisServer(folder / f"replica-{n}", "--replicaof", f"127.0.0.1 {self.master.port}")
            for n in range(replicas)
        ]
        told = (
            f"sentinel monitor wb 127.0.0.1 {self.master.port} 2\n"
            "sentinel down-after-milliseconds wb 1500\nsentinel failover-timeout wb 6000\n"
        )
        self.sentinels = [RedisServer(folder / f"sentinel-{n}", sentinel=told) for n in range(3)]
        places = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        self.url = f"redis+sentinel://{places}/wb"

    @property
    def everything(self) -> list[RedisServer]:
        """Every process, the master first."""
        return [self.master, *self.replicas, *self.sentinels]

    def start(self) -> None:
        """Start everything; return when every Sentinel knows of all the others and of every replica."""
        for server in self.everything:
            server.start()
        for sentinel in self.sentinels:
            wait_until(lambda s=sentinel: self._knows_all(s), "the Sentinels find each other")  # type: ignore[misc]

    def _knows_all(self, sentinel: RedisServer) -> bool:
        state: Any = sentinel.client.sentinel_master("wb")
        others = int(state["num-other-sentinels"])
        return (others, int(state["num-slaves"])) == (len(self.sentinels) - 1, len(self.replicas))

    def new_master(self) -> RedisServer:
        """Return the replica that was made master, when Sentinel has named one and it says so itself."""
        found: list[RedisServer] = []

        def promoted() -> bool:
            for replica in self.replicas:
                if replica.client.info("replication")["role"] == "master":
                    found.append(replica)
                    return True
            return False

        wait_until(promoted, "failover")
        return found[0]


@contextmanager
def watched(replicas: int = 2) -> Iterator[Watched]:
    """Run a master, replicas and three Sentinels for the length of a ``with`` block."""
    with tempfile.TemporaryDirectory(prefix="weighbridge-sentinel-") as folder:
        all_of_them = Watched(Path(folder), replicas)
        try:
            all_of_them.start()
            yield all_of_them
        finally:
            for server in reversed(all_of_them.everything):
                server.stop()


@contextmanager
def deaf() -> Iterator[int]:
    """Listen on a port of loopback and never answer; yields the port."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(16)
        yield listening.getsockname()[1]
