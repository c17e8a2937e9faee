"""A service on a free port of this machine, and somebody who asks it over HTTP."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from analysis.types import Json

TIMEOUT_S = 30.0


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Write nothing: the decisions are shown by whoever asked."""

    def address_string(self) -> str:
        """Return the address without asking a name server for it."""
        return str(self.client_address[0])


@contextmanager
def serving(application: Any) -> Iterator[int]:
    """Serve a WSGI application on 127.0.0.1 until the block ends; the value is its port."""
    server: WSGIServer = make_server("127.0.0.1", 0, application, handler_class=_Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class OverHTTP:
    """Asks a service on this machine; see `webhook.demo.rollout.Caller`."""

    def __init__(self, port: int) -> None:
        self._port = port

    def post(self, path: str, body: Json) -> dict[str, Any]:
        """Return the JSON that the service answers to a POST."""
        return dict(json.loads(self._answer("POST", path, json.dumps(body).encode())))

    def get(self, path: str) -> dict[str, Any]:
        """Return the JSON that the service answers to a GET."""
        return dict(json.loads(self._answer("GET", path)))

    def text(self, path: str) -> str:
        """Return the text that the service answers to a GET."""
        return self._answer("GET", path)

    def _answer(self, method: str, path: str, body: bytes | None = None) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT_S)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
            response = connection.getresponse()
            said = response.read().decode()
        finally:
            connection.close()
        if response.status >= 400:
            raise ConnectionError(f"{method} {path}: {response.status} {said[:500]}")
        return said
