"""
The server: gunicorn, embedded, with threads.

Modules are imported once, before the workers are forked (a second worker then starts in milliseconds and
shares their memory); the application, its store, clients and threads are made in each worker, after the
fork. With several workers the metrics are shared through files in a folder of this run.
"""

from __future__ import annotations

import importlib
import logging
import os
import shutil
import socket
import struct
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from selectors import EVENT_READ
from typing import Any, NoReturn

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger
from gunicorn.workers.gthread import ThreadWorker

from webhook import logs
from webhook.auth import Guard
from webhook.settings import Settings

SHARED_MEMORY = Path("/dev/shm")
"""A worker's heartbeat on a slow disk can look like a hang; in memory it cannot."""

KEEP_ALIVE_S = 5
"""Longer than a controller's or kubelet's pause between two requests of one connection."""

CLIENT_SILENCE_S = 10
"""A client that stops in the middle of a request is given up, or eight of them would stop us for ever."""

REQUEST_LINE_LIMIT = 8190
"""Bytes; a GET carries its question, and maybe a token, in the line. The most that gunicorn allows."""


def serve(application: str, settings: Settings) -> NoReturn:
    """
    Serve until a signal ends it; requests under way are answered first.

    Parameters
    ----------
    application : str
        ``module:factory``; ``factory(settings)`` returns the WSGI application, once in each worker. The
        module must not have been imported yet where several workers share their metrics: prometheus-client
        decides at its import whether it counts in memory or in files.
    settings : Settings
        See there.

    Raises
    ------
    InvalidSettings
        Listening beyond this machine without tokens, or a tokens file that cannot be read.
    """
    logs.configure(settings.log_level, settings.log_format)
    Guard.from_settings(settings)
    shared = settings.workers > 1
    if shared and "prometheus_client" in sys.modules:
        raise RuntimeError("prometheus_client was imported before its folder was known; import it lazily")
    folder = tempfile.mkdtemp(prefix="weighbridge-metrics-", dir=_memory()) if shared else None
    parent = os.getpid()
    try:
        Arbiter(Application(application, settings, folder)).run()
    finally:
        # Workers leave through here too; the folder belongs to the parent.
        if folder and os.getpid() == parent:
            shutil.rmtree(folder, ignore_errors=True)
    raise SystemExit(0)


def _memory() -> str | None:
    """Return the folder in memory if there is one we may write to, else None: the default."""
    try:
        with tempfile.TemporaryFile(dir=SHARED_MEMORY):
            return str(SHARED_MEMORY)
    except OSError:
        return None


class Application(BaseApplication):  # type: ignore[misc]
    """
    What gunicorn asks for its settings and its application.

    Parameters
    ----------
    application : str
        See `serve`.
    settings : Settings
    metrics_folder : str or None
        Where several workers keep their metrics.
    """

    def __init__(self, application: str, settings: Settings, metrics_folder: str | None) -> None:
        self._module, _, self._factory = application.partition(":")
        self._settings = settings
        self._metrics_folder = metrics_folder
        super().__init__()

    def load_config(self) -> None:
        """Fill gunicorn's own settings; nothing is read from files, arguments or its variables."""
        for name, value in self._options().items():
            self.cfg.set(name, value)

    def _options(self) -> dict[str, Any]:
        settings = self._settings
        options: dict[str, Any] = {
            "bind": [settings.listen],
            "worker_class": Worker,
            "workers": settings.workers,
            "threads": settings.threads,
            "keepalive": KEEP_ALIVE_S,
            # The worker's main thread answers for its life, so a long verdict is no reason to kill it.
            "timeout": 30,
            "graceful_timeout": int(settings.deadline_s) + 2,
            "worker_tmp_dir": _memory(),
            "control_socket_disable": True,
            "limit_request_line": REQUEST_LINE_LIMIT,
            "limit_request_fields": 64,
            "preload_app": False,
            "accesslog": None,
            "logger_class": Journal,
            "on_starting": self._import_once,
            "when_ready": _ready,
        }
        if settings.tls_cert_file and settings.tls_key_file:
            # Gunicorn makes a context for every connection, so a renewed certificate needs no restart.
            options |= {"certfile": str(settings.tls_cert_file), "keyfile": str(settings.tls_key_file)}
        if self._metrics_folder:
            options["raw_env"] = [f"PROMETHEUS_MULTIPROC_DIR={self._metrics_folder}"]
            options["child_exit"] = _forget_worker
        return options

    def _import_once(self, server: Any) -> None:
        """Import the application before the fork; gunicorn has set the environment by now."""
        importlib.import_module(self._module)

    def load(self) -> Any:
        """Make the application; called in each worker."""
        factory: Callable[[Settings], Any] = getattr(importlib.import_module(self._module), self._factory)
        return factory(self._settings)


class Journal(Logger):  # type: ignore[misc]
    """Gunicorn's log, written like every other line of ours."""

    def setup(self, cfg: Any) -> None:
        """Leave the stream and the shape to `webhook.logs`."""
        self.error_log.propagate = True
        self.error_log.handlers = []

    def access(self, *arguments: Any, **named: Any) -> None:
        """Write nothing: the decision's own line says more, and knows what to leave out."""


class Worker(ThreadWorker):  # type: ignore[misc]
    """
    Gunicorn's threaded worker, where a new connection waits for its first byte without a thread.

    As it comes, each takes a thread for up to 5 s: eight browsers that connect ahead of need, or eight
    probes that only connect, would then keep every controller waiting.
    """

    def enqueue_req(self, conn: Any) -> None:
        """Hand a connection to a thread once it has said something."""
        if conn.initialized or conn.data_ready:
            super().enqueue_req(conn)
            return
        conn.sock.setblocking(False)
        conn.set_timeout()
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, EVENT_READ, partial(self.on_pending_socket_readable, conn))


def _ready(server: Any) -> None:
    """Say where we listen, and bound how long a thread waits for one client's next bytes."""
    for listener in server.LISTENERS:
        # Connections inherit it from their listener.
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            listener.sock.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", CLIENT_SILENCE_S, 0))
        host, port = listener.sock.getsockname()[:2]
        scheme = "https" if server.cfg.is_ssl else "http"
        logs.event("listening", reason=f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}")


def _forget_worker(server: Any, worker: Any) -> None:
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
    logs.event("worker_ended", level=logging.DEBUG, reason=f"process {worker.pid}")
