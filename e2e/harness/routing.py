"""Where requests go: read from the objects that the controllers really changed, as a router would read them."""

from __future__ import annotations

from collections.abc import Iterable

from e2e.harness.api import Api, Document
from e2e.harness.informer import Informer

NGINX = "nginx.ingress.kubernetes.io/"
Split = list[tuple[str, float]]
"""Services and the share of the requests in [0, 1] that each receives."""


class Router:
    """
    Resolves an entry such as ``ingress/checkout`` to services, and services to the labels that they select.

    Parameters
    ----------
    api : Api
    """

    def __init__(self, api: Api) -> None:
        kinds = {
            "service": "Service",
            "ingress": "Ingress",
            "httproute": "HTTPRoute",
            "virtualservice": "networking.istio.io/v1/VirtualService",
        }
        self._known = {entry: Informer(api, kind) for entry, kind in kinds.items()}

    def start(self) -> None:
        """Begin to follow the objects."""
        for informer in self._known.values():
            informer.start()

    def stop(self) -> None:
        """Follow them no more."""
        for informer in self._known.values():
            informer.stop()

    def selector(self, namespace: str, service: str) -> dict[str, str]:
        """Return the labels that a service selects; nothing for one that does not exist."""
        found = self._find("service", namespace, service)
        return dict((found or {}).get("spec", {}).get("selector") or {})

    def split(self, namespace: str, entry: str, header_share: float) -> Split:
        """
        Return where the requests of an entry go now.

        Parameters
        ----------
        entry : str
            ``service/NAME``, ``service/NAME+OTHER`` (a load test sends requests to the other), ``ingress/NAME`` (with
            its canary ingress, if there is one), ``httproute/NAME`` or ``virtualservice/NAME``.
        header_share : float
            Share of the requests in [0, 1] that carry the header which a rule asks for, or belong to the load test.
        """
        kind, _, name = entry.partition("/")
        if kind == "service":
            name, _, other = name.partition("+")
            return [(name, 1.0 - header_share), (other, header_share)] if other else [(name, 1.0)]
        found = self._find(kind, namespace, name)
        if found is None:
            return []
        if kind == "ingress":
            return self._ingress(namespace, found, header_share)
        if kind == "httproute":
            return _rules(found["spec"].get("rules", []), header_share, _backends)
        return _rules(found["spec"].get("http", []), header_share, _destinations)

    def _find(self, kind: str, namespace: str, name: str) -> Document | None:
        objects = self._known[kind].objects(namespace)
        return next((found for found in objects if found["metadata"]["name"] == name), None)

    def _ingress(self, namespace: str, main: Document, header_share: float) -> Split:
        split: Split = []
        left = 1.0
        for other in self._known["ingress"].objects(namespace):
            notes = other["metadata"].get("annotations") or {}
            if notes.get(f"{NGINX}canary") != "true" or not _hosts(other) & _hosts(main):
                continue
            if f"{NGINX}canary-by-header" in notes or f"{NGINX}canary-by-cookie" in notes:
                share = header_share
            else:
                share = float(notes.get(f"{NGINX}canary-weight", "0")) / 100
            split.append((_backend(other), share))
            left -= share
        return [(_backend(main), left), *split]


def _backend(ingress: Document) -> str:
    return str(ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["name"])


def _hosts(ingress: Document) -> set[str]:
    return {rule.get("host", "") for rule in ingress["spec"].get("rules", [])}


def _backends(rule: Document) -> Iterable[tuple[str, float]]:
    return [(ref["name"], float(ref.get("weight", 1))) for ref in rule.get("backendRefs", [])]


def _destinations(rule: Document) -> Iterable[tuple[str, float]]:
    routes = [(to["destination"]["host"].split(".")[0], float(to.get("weight", 0))) for to in rule.get("route", [])]
    # Where there is no choice Istio looks at no weight; Flagger leaves a 0 there while an A/B test runs.
    return routes if len(routes) != 1 else [(routes[0][0], 100.0)]


def _asks_for_header(rule: Document) -> bool:
    # Gateway API says `matches`, Istio `match`; a rule is for some requests only if every alternative wants a header.
    matches = rule.get("matches") or rule.get("match") or []
    return bool(matches) and all(match.get("headers") for match in matches)


def _rules(rules: list[Document], header_share: float, weights: object) -> Split:
    """Send ``header_share`` to the first rule that asks for a header, the rest to the first that asks for none."""
    assert callable(weights)
    special = next((rule for rule in rules if _asks_for_header(rule)), None)
    plain = next((rule for rule in rules if not _asks_for_header(rule)), None)
    split: Split = []
    for rule, share in ((special, header_share), (plain, 1.0 - header_share if special else 1.0)):
        found = list(weights(rule)) if rule else []
        whole = sum(weight for _, weight in found)
        split += [(name, share * weight / whole) for name, weight in found if whole > 0]
    return split
