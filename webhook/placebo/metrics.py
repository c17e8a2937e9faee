"""Metrics of the ledger, read when Prometheus asks: they survive restarts and are the same in every process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from webhook.errors import WebhookError
from webhook.placebo.ledger import Entry
from webhook.placebo.trial import Outcome

MOST_SERVICES = 200
"""Services shown: 1,400 series at most."""
LABELS = ["service", "policy"]


class PlaceboMetrics(Collector):
    """
    Collector of what placebos came to.

    Parameters
    ----------
    entries : callable
        Returns the entries of the ledger; may raise a `WebhookError`: then nothing is shown.
    """

    def __init__(self, entries: Callable[[], Sequence[Entry]]) -> None:
        self._entries = entries

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Yield nothing: registering must not read the store."""
        return iter(())

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        """Yield the families of one scrape; of a policy that changed only the newest content is shown."""
        releases = CounterMetricFamily(
            "weighbridge_placebo_releases", "Placebos by how they ended.", labels=[*LABELS, "outcome"]
        )
        share = GaugeMetricFamily(
            "weighbridge_placebo_false_abort_ratio", "Share of placebos that was aborted.", labels=LABELS
        )
        promise = GaugeMetricFamily(
            "weighbridge_placebo_promised_abort_ratio", "Share that the policy promises at most.", labels=LABELS
        )
        odds = GaugeMetricFamily(
            "weighbridge_placebo_log_e", "Natural log of the evidence against the promise; it breaks at 6.9.",
            labels=LABELS,
        )  # fmt: skip
        dropped = GaugeMetricFamily(
            "weighbridge_placebo_dropped", "1 where a broken promise makes us answer in advise, else 0.", labels=LABELS
        )
        try:
            entries = self._entries()
        except WebhookError:
            entries = []
        newest: dict[tuple[str, str], Entry] = {}
        for entry in sorted(entries, key=lambda one: one.changed):
            newest[entry.service, entry.policy] = entry
        for labels, entry in sorted(newest.items())[:MOST_SERVICES]:
            total = sum(entry.outcomes.values())
            for outcome in Outcome:
                releases.add_metric([*labels, outcome.value], entry.outcomes.get(outcome.value, 0))
            if total:
                share.add_metric(labels, entry.outcomes.get(Outcome.ABORTED.value, 0) / total)
            promise.add_metric(labels, entry.account.alpha)
            odds.add_metric(labels, entry.account.log_e)
            dropped.add_metric(labels, float(entry.dropped))
        yield from (releases, share, promise, odds, dropped)
