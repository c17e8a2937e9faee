"""The objects of some kinds as they are now, kept up by watching."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable

from e2e.harness.api import Api, ApiError, Document

PAUSE_S = 0.3
Listener = Callable[[str, Document], None]


class Informer:
    """
    Keeps the objects of one kind, of one namespace or of all.

    Parameters
    ----------
    api : Api
    kind : str
    told : callable, optional
        Called with the kind of each event and its object, in the thread that watches.
    namespace : str
        Empty: all.
    """

    def __init__(self, api: Api, kind: str, told: Listener | None = None, *, namespace: str = "") -> None:
        self._api = api
        self._kind = kind
        self._namespace = namespace
        self._told = told
        self._objects: dict[tuple[str, str], Document] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"watch-{kind}", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Watch no more; the connection ends with the API server."""
        self._ended.set()

    def objects(self, namespace: str = "") -> list[Document]:
        """Return what exists in a namespace, or everywhere."""
        with self._lock:
            return [found for (place, _), found in self._objects.items() if namespace in ("", place)]

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                for event, found in self._api.watch(self._kind, self._namespace):
                    if self._ended.is_set():
                        return
                    self._note(event, found)
            except (OSError, ApiError, ValueError, http.client.HTTPException):
                self._ended.wait(PAUSE_S)

    def _note(self, event: str, found: Document) -> None:
        if event == "BOOKMARK":
            return
        if event == "LISTED":
            listed = {_key(one): one for one in found["items"]}
            with self._lock:
                self._objects = listed  # at once: whoever looks in between must not think that the rest is gone
            for one in listed.values():
                self._tell("ADDED", one)
            return
        with self._lock:
            if event == "DELETED":
                self._objects.pop(_key(found), None)
            else:
                self._objects[_key(found)] = found
        self._tell(event, found)

    def _tell(self, event: str, found: Document) -> None:
        if self._told:
            self._told(event, found)


def _key(found: Document) -> tuple[str, str]:
    return found["metadata"].get("namespace", ""), found["metadata"]["name"]
