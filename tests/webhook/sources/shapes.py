"""Series as each metric source writes them, with the decoys that must not be counted, and what a look of them holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.webhook.sources.scene import BASELINE, CANARY, SCRAPE, T0, pod

SCRAPES = 5
Growth = tuple[str, Mapping[str, str], float]
"""A metric, its labels beside those of the target, and by how much it grows in a scrape."""
Found = Mapping[str, Mapping[str, float | None]]


def seconds(growths: Mapping[str, float], name: str, **labels: str) -> list[Growth]:
    """Return the buckets and the count of a histogram: cumulative growth by bound, ``+Inf`` last."""
    buckets = [(f"{name}_bucket", {**labels, "le": bound}, value) for bound, value in growths.items()]
    return [*buckets, (f"{name}_count", labels, growths["+Inf"])]


@dataclass(frozen=True, kw_only=True)
class Shape:
    """
    One source as it looks in Prometheus.

    Parameters
    ----------
    baseline, canary, decoys : tuple of (str, mapping, float)
        Metrics with all their labels and what they grow by in a scrape; ``NS`` in a label stands for the namespace.
    found : mapping of str to (mapping, mapping)
        By question: what one look of two scrapes holds of the baseline and of the canary, by replica.
    """

    preset: str
    controller: str
    baseline: tuple[Growth, ...]
    canary: tuple[Growth, ...]
    found: Mapping[str, tuple[Found, Found]]
    decoys: tuple[Growth, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Return how a test of it is called."""
        return f"{self.preset}-{self.controller}"

    def series(self, namespace: str) -> Iterator[Any]:
        """Yield the series, with five scrapes each."""
        for name, labels, growth in (*self.baseline, *self.canary, *self.decoys):
            said = {label: value.replace("NS", namespace) for label, value in labels.items()}
            values = [(T0 + SCRAPE * k - 5, 1000 + growth * k) for k in range(SCRAPES)]
            yield {"__name__": name, "job": "x", **said}, values


OLD = pod("shop", BASELINE, "bbbbb")
NEW = pod("shop", CANARY, "ddddd")
PRIMARY = pod("shop-primary", BASELINE, "bbbbb")
WORKER = pod("shop-worker", BASELINE, "fffff")
SIDES = {"argo": (OLD, NEW), "flagger": (PRIMARY, NEW)}
ERRORS, ALL = 1.0, 10.0


def of_pod(name: str, namespace: str = "namespace", label: str = "pod", **labels: str) -> dict[str, str]:
    """Return labels of a pod's target."""
    return {namespace: "NS", label: name, "instance": f"{name}:8080", **labels}


def counted(metric: str, good: Mapping[str, str], bad: Mapping[str, str], labels: Mapping[str, str]) -> list[Growth]:
    """Return a counter with nine good events and a bad one in a scrape."""
    return [(metric, {**labels, **good}, ALL - ERRORS), (metric, {**labels, **bad}, ERRORS)]


def shares(baseline: str, canary: str) -> tuple[Found, Found]:
    """Return what a look of `counted` holds by replica."""
    return tuple({name: {"bad": 2 * ERRORS, "total": 2 * ALL}} for name in (baseline, canary))  # type: ignore[return-value]


def buckets(baseline: str, canary: str) -> tuple[Found, Found]:
    """Return what a look of the histogram ``TIMES`` holds by replica."""
    return tuple({name: {"counts": [8.0, 8.0, 4.0]}} for name in (baseline, canary))  # type: ignore[return-value]


TIMES = {"0.1": 4.0, "1.0": 8.0, "+Inf": 10.0}
MILLISECONDS = {"100": 4.0, "1000": 8.0, "+Inf": 10.0}


def per_pod(
    preset: str,
    controller: str,
    metric: str,
    good: Mapping[str, str],
    bad: Mapping[str, str],
    histogram: str,
    *,
    times: Mapping[str, float] = TIMES,
    namespace: str = "namespace",
    label: str = "pod",
    shown: Mapping[str, str] | None = None,
    decoys: tuple[Growth, ...] = (),
    more: Mapping[str, tuple[Found, Found]] | None = None,
    timed: Mapping[str, str] | None = None,
) -> Shape:
    """Return a source that labels its series with the application's pods; another workload and namespace are decoys."""
    both = SIDES[controller]
    parts = []
    for name in both:
        labels = of_pod(name, namespace, label, **(shown or {}))
        counts = counted(metric, good, bad, labels) if metric != f"{histogram}_count" else []
        buckets_of = seconds(times, histogram, **labels, **(timed or {}))
        if not counts:  # the histogram's own count is the total
            buckets_of = [one for one in buckets_of if not one[0].endswith("_count")]
            counts = counted(metric, good, bad, labels)
        parts.append((*counts, *buckets_of))
    elsewhere = {**of_pod(both[1], namespace, label, **(shown or {})), namespace: "elsewhere"}
    others = [
        *counted(metric, good, bad, of_pod(WORKER, namespace, label, **(shown or {}))),
        *counted(metric, good, bad, elsewhere),
    ]
    return Shape(
        preset=preset, controller=controller, baseline=parts[0], canary=parts[1], decoys=(*others, *decoys),
        found={"error-rate": shares(*both), "latency": buckets(*both), **(more or {})},
    )  # fmt: skip


def per_backend(
    preset: str,
    controller: str,
    metric: str,
    good: Mapping[str, str],
    bad: Mapping[str, str],
    histogram: str,
    sides: tuple[Mapping[str, str], Mapping[str, str]],
    *,
    times: Mapping[str, float] = TIMES,
    decoys: tuple[Growth, ...] = (),
    names: Mapping[str, str] | None = None,
) -> Shape:
    """Return a gateway: one line for each backend, from two pods of the gateway that are added up."""
    parts = []
    for labels in sides:
        part: list[Growth] = []
        for replica in ("gateway-1", "gateway-2"):
            own = {"instance": replica, "pod": replica, **labels}
            part += [(name, said, growth / 2) for name, said, growth in counted(metric, good, bad, own)]
            part += [(name, said, growth / 2) for name, said, growth in seconds(times, histogram, **own)]
        parts.append(tuple(part))
    return Shape(
        preset=preset, controller=controller, baseline=parts[0], canary=parts[1], decoys=decoys, names=names or {},
        found={"error-rate": shares("", ""), "latency": buckets("", "")},
    )  # fmt: skip


def _istio(controller: str) -> Shape:
    both = SIDES[controller]
    workloads = ("shop", "shop") if controller == "argo" else ("shop-primary", "shop")
    shared = {"request_protocol": "http", "reporter": "destination", "response_flags": "-"}
    parts, decoys = [], []
    for name, workload in zip(both, workloads, strict=True):
        labels = of_pod(name, destination_workload=workload, destination_workload_namespace="NS", **shared)
        grpc = {**labels, "request_protocol": "grpc", "response_code": "200"}
        parts.append(
            (
                *counted("istio_requests_total", {"response_code": "200"}, {"response_code": "503"}, labels),
                ("istio_requests_total", {**labels, "response_code": "0", "response_flags": "DC"}, 2.0),
                ("istio_requests_total", {**grpc, "grpc_response_status": "0"}, 5.0),
                ("istio_requests_total", {**grpc, "grpc_response_status": "14"}, 3.0),
                *seconds(MILLISECONDS, "istio_request_duration_milliseconds", **labels),
            )
        )
        # The sidecar of a caller in the same pod reports what it sent, with the callee's workload.
        sent = {**labels, "reporter": "source", "response_code": "503"}
        decoys += [("istio_requests_total", sent, 100.0)]
    looks = {
        "error-rate": {"bad": 2.0, "total": 40.0},
        "grpc-errors": {"bad": 6.0, "total": 16.0},
        "client-left": {"bad": 4.0, "total": 40.0},
    }
    found = {question: ({both[0]: look}, {both[1]: look}) for question, look in looks.items()}
    return Shape(
        preset="istio", controller=controller, baseline=parts[0], canary=parts[1], decoys=tuple(decoys),
        found={**found, "latency": buckets(*both)},
    )  # fmt: skip


def _waypoint(controller: str) -> Shape:
    if controller == "argo":
        sides = tuple({"destination_workload": "shop", "destination_version": word} for word in ("stable", "canary"))
    else:
        sides = tuple({"destination_workload": name} for name in ("shop-primary", "shop"))
    first, second = (
        {"destination_workload_namespace": "NS", "reporter": "waypoint", "request_protocol": "http", **one}
        for one in sides
    )
    sidecar = {**second, "reporter": "destination", "response_code": "503", "instance": "x", "pod": NEW}
    return per_backend(
        "istio-waypoint", controller, "istio_requests_total", {"response_code": "200"}, {"response_code": "500"},
        "istio_request_duration_milliseconds", (first, second), times=MILLISECONDS,
        decoys=(("istio_requests_total", sidecar, 100.0),),
    )  # fmt: skip


def _nginx() -> Shape:
    shared = {"namespace": "NS", "ingress": "shop", "service": "shop", "host": "shop.example.org"}
    return per_backend(
        "nginx-ingress", "flagger", "nginx_ingress_controller_requests", {"status": "200"}, {"status": "502"},
        "nginx_ingress_controller_request_duration_seconds",
        ({**shared, "canary": "-"}, {**shared, "canary": "NS-shop-canary-80"}),
        decoys=(
            ("nginx_ingress_controller_requests", {**shared, "ingress": "other", "canary": "", "status": "500"}, 50.0),
        ),
    )  # fmt: skip


def _envoy(preset: str, controller: str, baseline: str, canary: str) -> Shape:
    sides = ({"envoy_cluster_name": baseline}, {"envoy_cluster_name": canary})
    return per_backend(
        preset, controller, "envoy_cluster_upstream_rq_xx", {"envoy_response_code_class": "2"},
        {"envoy_response_code_class": "5"}, "envoy_cluster_upstream_rq_time", sides, times=MILLISECONDS,
        decoys=(
            (
                "envoy_cluster_upstream_rq_xx",
                {"envoy_cluster_name": "NS_shop_80", "envoy_response_code_class": "5"},
                9.0,
            ),
        ),
    )  # fmt: skip


def _traefik(controller: str, baseline: str, canary: str) -> Shape:
    sides = tuple({"service": f"NS-{name}-80@kubernetescrd", "method": "GET"} for name in (baseline, canary))
    return per_backend(
        "traefik", controller, "traefik_service_requests_total", {"code": "200"}, {"code": "500"},
        "traefik_service_request_duration_seconds", (sides[0], sides[1]),
    )  # fmt: skip


HEALTH = {"grpc_service": "grpc.health.v1.Health", "grpc_type": "unary", "grpc_code": "Unavailable"}
GRPC = {"grpc_service": "shop.Cart", "grpc_type": "unary"}


def shapes() -> list[Shape]:
    """Return every source for the controllers for which it differs."""
    found: list[Shape] = []
    for controller, (old, new) in SIDES.items():
        found += [
            per_pod(
                "http_requests_total", controller, "http_requests_total", {"status": "2xx"}, {"status": "5xx"},
                "http_request_duration_seconds",
            ),
            per_pod(
                "http_request_duration_seconds", controller, "http_request_duration_seconds_count", {"code": "200"},
                {"code": "500"}, "http_request_duration_seconds",
            ),
            per_pod(
                "spring", controller, "http_server_requests_seconds_count",
                {"status": "200", "outcome": "SUCCESS", "uri": "/cart"},
                {"status": "UNKNOWN", "outcome": "SERVER_ERROR", "uri": "/cart"}, "http_server_requests_seconds",
                decoys=tuple(
                    ("http_server_requests_seconds_count",
                     {**of_pod(name), "uri": "/actuator/health", "outcome": "SERVER_ERROR", "status": "503"}, 50.0)
                    for name in (old, new)
                ),
            ),
            per_pod(
                "grpc", controller, "grpc_server_handled_total", {**GRPC, "grpc_code": "NotFound"},
                {**GRPC, "grpc_code": "Internal"}, "grpc_server_handling_seconds", timed=GRPC,
                decoys=tuple(("grpc_server_handled_total", {**of_pod(name), **HEALTH}, 50.0) for name in (old, new)),
            ),
            per_pod(
                "linkerd", controller, "response_total", {"classification": "success", "direction": "inbound"},
                {"classification": "failure", "direction": "inbound"}, "response_latency_ms", times=MILLISECONDS,
                timed={"direction": "inbound"},
                decoys=tuple(
                    ("response_total", {**of_pod(name), "direction": "outbound", "classification": "failure"}, 50.0)
                    for name in (old, new)
                ),
            ),
            per_pod(
                "opentelemetry", controller, "http_server_request_duration_seconds_count",
                {"http_response_status_code": "200"}, {"http_response_status_code": "503", "error_type": "503"},
                "http_server_request_duration_seconds", namespace="k8s_namespace_name", label="k8s_pod_name",
            ),
            per_pod(
                "opentelemetry-old", controller, "http_server_duration_milliseconds_count", {"http_status_code": "200"},
                {"http_status_code": "500"}, "http_server_duration_milliseconds", times=MILLISECONDS,
                namespace="k8s_namespace_name", label="k8s_pod_name",
            ),
            _istio(controller),
            _waypoint(controller),
            _envoy("envoy-gateway", controller, *(f"httproute/NS/shop/rule/0/backend/{n}" for n in (0, 1))),
        ]  # fmt: skip
    return [
        *found,
        _nginx(),
        _envoy("envoy", "argo", "NS_shop-stable_80", "NS_shop-canary_80"),
        _envoy("envoy", "flagger", "NS_shop-primary_80", "NS_shop-canary_80"),
        _traefik("argo", "shop-stable", "shop-canary"),
        _traefik("flagger", "shop-primary", "shop-canary"),
    ]
