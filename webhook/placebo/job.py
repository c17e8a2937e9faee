"""Placebos in the background: one batch at a time, a window of each service every so often, into the ledger."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

import numpy as np

from analysis.honesty import Account
from analysis.policy import Policy
from webhook import logs
from webhook.errors import SourceFault, StoreFault, WebhookError
from webhook.gate import Gate
from webhook.placebo.ledger import Entry, Ledger
from webhook.placebo.trial import (
    Conduct,
    NoPlacebo,
    Placebo,
    Service,
    Window,
    counted,
    judged_part,
    lag_of,
    skipped,
    trials,
)
from webhook.releases import CANARY_ITSELF, Attempt, Caller, Phase, read
from webhook.schema import policy as wire

LENGTH: Final = 3600.0
"""Seconds of a window, on multiples of it: every process cuts the past in the same places."""
KNOWN: Final = 200
"""Newest attempts among which services are looked for."""
SETTLING: Final = 600.0
"""Seconds after the end of a release in which its new pods are still warming up."""
ABANDONED: Final = 3600.0
"""A release that has not been asked about for so many seconds is over, whoever forgot to say so."""
LONGEST_PAUSE: Final = 60.0
BREATH: Final = 0.1
"""Seconds without work before every question for a verdict: requests come first."""


class Placebos:
    """
    Works through the services that were judged here.

    Parameters
    ----------
    gate : Gate
        Whose store, policies, sources and cluster are used.
    ledger : Ledger
    every : float
        Seconds between two windows of one service.
    clock : callable
        Unix seconds.
    conduct : Conduct
    """

    def __init__(
        self, *, gate: Gate, ledger: Ledger, every: float, clock: Callable[[], float], conduct: Conduct | None = None
    ) -> None:
        self._gate = gate
        self._ledger = ledger
        self._every = every
        self._clock = clock
        self._conduct = conduct or Conduct(every=600.0, timeout=gate.source_timeout)
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to work, until `stop` or the end of the process."""
        self._thread = threading.Thread(target=self._work, name="placebos", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End after the question that is being weighed now."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def _work(self) -> None:
        while not self._over.wait(min(LONGEST_PAUSE, self._every / 4)):
            try:
                self.once(self._clock())
            except WebhookError as error:
                self._gate.on_fault(error)
            except Exception as error:  # noqa: BLE001 - nothing of this may end the service or this thread
                logs.event("placebo", level=logging.ERROR, reason=f"{type(error).__name__}: {error}")

    def once(self, at: float) -> Entry | None:
        """
        Work through one window of the service that has waited longest.

        Parameters
        ----------
        at : float
            Unix seconds, now.

        Returns
        -------
        Entry or None
            As it was written; None if nothing is due, or another process is at it.

        Raises
        ------
        StoreFault
            The store does not answer. Faults of the source are notes of the entry.
        """
        due = self._due(at)
        if due is None or not self._ledger.claim(at):
            return None
        entry, service, policy, window, ready = due
        written: Entry | None = None
        try:
            written = (
                self._batch(entry, service, policy, window, at)
                if ready
                else replace(
                    entry, until=window.end, changed=at, note="a release was running or settling in this window"
                )
            )
            return written
        finally:
            self._ledger.finish(written)

    def _batch(self, entry: Entry, service: Service, policy: Policy, window: Window, at: float) -> Entry:
        found: list[Placebo] = []
        note, until = "", window.end
        try:
            source = self._gate.sources.get(policy.source)
            if source is None:
                raise NoPlacebo(f"no source called {policy.source!r} is configured")
            part, _ = judged_part(policy)
            for one in trials(source, part, service, window, chance(service, window), self._conduct, self._rest):
                found.append(one)
        except StoreFault:
            raise
        except SourceFault as error:
            note, until = skipped(error), entry.until  # the window may be tried again
        except WebhookError as error:
            note = skipped(error)
        if not found:
            return replace(entry, until=until, changed=at, note=note)
        outcomes = {outcome.value: count for outcome, count in counted(found).items()}
        after = entry.counted(outcomes, at, window.end)
        self._say(entry, after, found)
        return after

    def _say(self, before: Entry, after: Entry, found: list[Placebo]) -> None:
        """Write one line for the batch, and a warning where the standing changed."""
        told = "; ".join(f"{', '.join(one.canary)}: {one.outcome.value}" for one in found)
        who = {"namespace": after.namespace, "name": after.name, "policy": after.policy}
        logs.event("placebo", level=logging.DEBUG, reason=told, **who)
        if after.dropped and not before.dropped:
            logs.event("placebo", level=logging.WARNING, reason=after.reason, **who)
        if before.dropped and not after.dropped:
            logs.event("placebo", level=logging.WARNING, reason="placebos pass again: enforced as before", **who)

    def _rest(self) -> None:
        if self._over.wait(BREATH):
            raise NoPlacebo("the service is ending")

    def _due(self, at: float) -> tuple[Entry, Service, Policy, Window, bool] | None:
        """Return what has waited longest, and whether its window is quiet; None if nothing is due."""
        known = {entry.key: entry for entry in self._ledger.entries()}
        waiting = []
        for attempts in self._services().values():
            newest = attempts[-1]
            for policy in self._policies(newest):
                fresh = Entry(
                    namespace=newest.namespace, name=newest.name, policy=policy.name, digest=policy.digest,
                    account=Account(alpha=policy.alpha.abort),
                )  # fmt: skip
                entry = known.get(fresh.key, fresh)
                window = newest_window(at - lag_of(policy))
                if at - entry.changed >= self._every and window.start >= entry.until:
                    waiting.append((entry, attempts, policy, window))
        if not waiting:
            return None
        entry, attempts, policy, window = min(waiting, key=lambda one: (one[0].changed, one[0].key))
        return entry, service_of(attempts, window), policy, window, quiet(attempts, window)

    def _services(self) -> Mapping[tuple[str, str], list[Attempt]]:
        """Return the attempts of every service that was judged here, oldest first."""
        found: dict[tuple[str, str], list[Attempt]] = {}
        for document in self._gate.store.releases(KNOWN):
            if document["revision"] == CANARY_ITSELF or document["cluster"] != self._gate.cluster:
                continue
            if document["name"]:
                found.setdefault((document["namespace"], document["name"]), []).append(read(document))
        return {key: sorted(attempts, key=lambda one: one.opened_at) for key, attempts in found.items()}

    def _policies(self, attempt: Attempt) -> list[Policy]:
        """Return the policies that the newest attempt was asked under, as they are now; else as they were."""
        result = []
        for name in attempt.policies:
            try:
                result.append(self._gate.policies.find(name))
            except WebhookError:
                result.append(wire.restore(attempt.policies[name]))
        return result


def newest_window(at: float) -> Window:
    """
    Return the newest window that is over at ``at``.

    >>> newest_window(7300.0)
    Window(start=3600.0, end=7200.0)
    """
    end = at // LENGTH * LENGTH
    return Window(start=end - LENGTH, end=end)


def quiet(attempts: list[Attempt], window: Window) -> bool:
    """Return whether no release ran or settled in a window."""
    for attempt in attempts:
        begun = attempt.started_at if attempt.started_at is not None else attempt.opened_at
        over = attempt.ended_at if attempt.ended_at is not None else max((begun, *attempt.asked)) + ABANDONED
        if begun < window.end and over + SETTLING > window.start:
            return False
    return True


def service_of(attempts: list[Attempt], window: Window) -> Service:
    """
    Return whose stable replicas served in a window: those of the newest attempt that was over by then.

    After a promotion its revision is the stable one; after anything else, and before the first, the old one still is.
    """
    newest = attempts[-1]
    stable = newest.stable_revision
    for attempt in attempts:
        if attempt.ended_at is not None and attempt.ended_at <= window.start:
            promoted = attempt.phase == Phase.PROMOTED.value and attempt.caller == Caller.ARGO.value
            stable = attempt.revision if promoted else attempt.stable_revision
    return Service(
        namespace=newest.namespace, name=newest.name, stable_revision=stable, cluster=newest.cluster,
        caller=newest.caller,
    )  # fmt: skip


def chance(service: Service, window: Window) -> np.random.Generator:
    """Return the generator of a window: the same replicas play the canary whoever works on it."""
    digest = hashlib.sha256(service.label.encode()).digest()
    return np.random.default_rng([int.from_bytes(digest[:8], "big"), int(window.start)])
