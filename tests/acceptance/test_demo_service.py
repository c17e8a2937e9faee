"""The demo service is scraped as it should be, before anything is judged by it."""

from __future__ import annotations

import time
import urllib.error
import urllib.request

import pytest

from analysis.policy import Policy, Proportion
from tests.acceptance import demo_service
from tests.prometheus_server import running
from webhook import queries
from webhook.ports import Span
from webhook.sources.prometheus import PrometheusSource

NAMES = {
    "namespace": demo_service.NAMESPACE,
    "name": demo_service.NAME,
    "baseline": demo_service.STABLE,
    "canary": demo_service.CANARY,
}
ERROR_RATE = Proportion(
    name="error-rate", bad=('http_requests_total{$side, code=~"5.."}',), total="http_requests_total{$side}"
)
POLICY = Policy(name="demo", controller="argo", questions=(ERROR_RATE,))


def test_requests_over_http_are_counted_by_one_version():
    """At weight 0 the stable answers everything, at weight 1 the canary; an error rate of 1 fails every request."""
    with demo_service.running() as service:
        urllib.request.urlopen(service.url, timeout=5).close()
        service.weight, service.canary.error_rate = 1.0, 1.0
        with pytest.raises(urllib.error.HTTPError, match="500"):
            urllib.request.urlopen(service.url, timeout=5)
    counted = {name.split("-")[1]: count for name, count in service.served.items()}
    assert counted == {demo_service.STABLE: [1, 0], demo_service.CANARY: [1, 1]}


def test_everything_that_is_served_is_read_back():
    """Live traffic of both versions, on top of backfilled history: increments add up to what was served."""
    begun = time.time()
    text, pods = demo_service.history(end=float(int(begun)), seconds=300)
    with (
        demo_service.running(history=pods) as service,
        running(openmetrics=text, scrape=service.scrape_configs(), interval="1s") as server,
    ):
        source = PrometheusSource(server.url)
        plan = queries.plan(POLICY, NAMES, step=1.0)
        start = float(int(begun)) - 200
        read = {"total": 0.0, "bad": 0.0}
        before: dict[str, float] = {}
        deadline = time.monotonic() + 30
        service.weight, service.canary.error_rate = 0.3, 0.05
        alive = False
        while time.monotonic() < deadline:
            answer = source.fetch(plan, Span(start=start, end=float(int(time.time())), step=1.0), 10.0)
            read = {
                query.field: sum(float(one.values.sum()) for one in points) for query, points in answer.points.items()
            }
            seen = [one for query, points in answer.points.items() if query.field == "presence" for one in points]
            if not alive and len(seen) == len(service.pods()):
                alive, before = True, read
                service.serve(3000)
            elif alive and read["total"] >= before["total"] + 3000:
                break
            time.sleep(0.1)
        source.close()
    errors = sum(count[1] for count in service.served.values())
    assert {name: read[name] - before[name] for name in ("total", "bad")} == {"total": 3000.0, "bad": float(errors)}
    assert before["total"] > 10_000
