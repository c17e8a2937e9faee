"""A small client of the Kubernetes API: apply with strict field validation, read, patch, delete, watch."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

Document = dict[str, Any]
OWNER = "e2e"
"""Field manager of everything that is applied."""
TIMEOUT_S = 30.0


class ApiError(Exception):
    """The API server refused; ``status`` is its HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class Api:
    """
    Talks to one API server. Threads may share it: a connection is lent to one at a time.

    Parameters
    ----------
    port : int
        On loopback.
    token : str
    certificate : Path
        What the server shows; nothing else is trusted.
    """

    def __init__(self, port: int, token: str, certificate: Path) -> None:
        self.port = port
        self.token = token
        self.certificate = certificate
        self._context: ssl.SSLContext | None = None
        self._idle: list[http.client.HTTPSConnection] = []
        self._kinds: dict[str, tuple[str, str, bool]] = {}
        self._lock = threading.Lock()

    # ------------------------------------------------------------------ one request

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        kind: str = "application/json",
        query: Mapping[str, str] | None = None,
    ) -> Document:
        """Return the JSON answer of one request; raise `ApiError` for 400 and above."""
        target = f"{path}?{urlencode(query)}" if query else path
        sent = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": kind, "Accept": "application/json"}
        for fresh in (False, True):
            connection = self._connection(fresh=fresh)
            try:
                connection.request(method, target, sent, headers)
                response = connection.getresponse()
                text = response.read()
                self._idle.append(connection)
                break
            except (http.client.HTTPException, OSError):
                connection.close()
                if fresh:
                    raise
        try:
            answer: Document = json.loads(text)
        except ValueError:
            answer = {"message": text.decode(errors="replace")}
        if response.status >= 400:
            raise ApiError(response.status, f"{method} {target}: {answer.get('message', answer)}")
        return answer

    def text(self, path: str) -> str:
        """Return the text that a path answers."""
        connection = self._new(TIMEOUT_S)
        try:
            connection.request("GET", path, headers={"Authorization": f"Bearer {self.token}"})
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def _connection(self, *, fresh: bool) -> http.client.HTTPSConnection:
        try:
            return self._new(TIMEOUT_S) if fresh else self._idle.pop()
        except IndexError:
            return self._new(TIMEOUT_S)

    def close(self) -> None:
        """Close what is lent to nobody."""
        while self._idle:
            self._idle.pop().close()

    def _new(self, timeout: float) -> http.client.HTTPSConnection:
        if self._context is None:
            self._context = ssl.create_default_context(cafile=str(self.certificate))
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=timeout, context=self._context)

    # ------------------------------------------------------------------ kinds and paths

    def path(self, kind: str, namespace: str = "", name: str = "", part: str = "") -> str:
        """
        Return the path of a collection, of an object, or of a part of it (``status``).

        Parameters
        ----------
        kind : str
            ``Rollout``, or ``argoproj.io/v1alpha1/Rollout`` where two groups have a kind of that name.
        """
        if kind not in self._kinds:
            self.discover()
        if kind not in self._kinds:
            raise ApiError(404, f"no such kind: {kind}")
        version, plural, namespaced = self._kinds[kind]
        words = ["/api" if "/" not in version else "/apis", version]
        if namespaced and namespace:
            words += ["namespaces", namespace]
        words.append(plural)
        return "/".join(words + [quote(word) for word in (name, part) if word])

    def discover(self) -> None:
        """Learn which kinds the server has, preferred versions first."""
        with self._lock:
            groups = self.request("GET", "/apis")["groups"]
            versions = ["v1", *(group["preferredVersion"]["groupVersion"] for group in groups)]
            versions += [v["groupVersion"] for group in groups for v in group["versions"]]
            for version in dict.fromkeys(versions):
                prefix = "/api" if "/" not in version else "/apis"
                for found in self.request("GET", f"{prefix}/{version}").get("resources", []):
                    if "/" in found["name"]:
                        continue
                    entry = (version, found["name"], bool(found["namespaced"]))
                    self._kinds.setdefault(found["kind"], entry)
                    self._kinds[f"{version}/{found['kind']}"] = entry

    # ------------------------------------------------------------------ objects

    def apply(self, document: Document, namespace: str = "", *, dry_run: bool = False) -> Document:
        """Apply one document server-side; a field that the schema does not know is an error."""
        kind = f"{document['apiVersion']}/{document['kind']}"
        place = document["metadata"].get("namespace") or namespace
        query = {"fieldManager": OWNER, "force": "true", "fieldValidation": "Strict"}
        if dry_run:
            query["dryRun"] = "All"
        path = self.path(kind, place, document["metadata"]["name"])
        return self.request("PATCH", path, document, kind="application/apply-patch+yaml", query=query)

    def find(self, kind: str, namespace: str, name: str) -> Document | None:
        """Return an object, None if there is none."""
        try:
            return self.request("GET", self.path(kind, namespace, name))
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def get(self, kind: str, namespace: str, name: str) -> Document:
        """Return an object that exists."""
        return self.request("GET", self.path(kind, namespace, name))

    def all(self, kind: str, namespace: str = "", *, labels: str = "", fields: str = "") -> list[Document]:
        """Return the objects of a namespace, or of all, that fit the selectors."""
        query = {"labelSelector": labels, "fieldSelector": fields}
        chosen = {key: value for key, value in query.items() if value}
        return list(self.request("GET", self.path(kind, namespace), query=chosen)["items"])

    def patch(self, kind: str, namespace: str, name: str, change: Document, *, part: str = "") -> Document:
        """Change fields of an object (merge patch: null removes, lists are replaced)."""
        path = self.path(kind, namespace, name, part)
        return self.request("PATCH", path, change, kind="application/merge-patch+json")

    def delete(self, kind: str, namespace: str, name: str) -> None:
        """Delete an object and what it owns; one that is gone is fine."""
        try:
            self.request("DELETE", self.path(kind, namespace, name), {"propagationPolicy": "Background"})
        except ApiError as error:
            if error.status != 404:
                raise

    def watch(self, kind: str, namespace: str = "") -> Iterator[tuple[str, Document]]:
        """
        Yield (ADDED, MODIFIED, DELETED, object) of one namespace or all until the server ends it.

        The first pair is ``("LISTED", {"items": [...]})``: what exists, and nothing else does.
        """
        path = self.path(kind, namespace)
        listed = self.request("GET", path)
        yield "LISTED", listed
        query = {"watch": "1", "resourceVersion": listed["metadata"]["resourceVersion"], "timeoutSeconds": "1800"}
        connection = self._new(1830.0)
        try:
            connection.request("GET", f"{path}?{urlencode(query)}", headers={"Authorization": f"Bearer {self.token}"})
            response = connection.getresponse()
            while line := response.readline():
                event = json.loads(line)
                if event["type"] == "ERROR":
                    return
                yield event["type"], event["object"]
        finally:
            connection.close()
