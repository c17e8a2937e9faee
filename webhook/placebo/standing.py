"""The gate of a service that watches its own honesty: where the promise does not hold, it advises."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from analysis import words
from analysis.record import Record
from analysis.report import Report
from analysis.types import Mode
from webhook.gate import Gate, _Case
from webhook.placebo.ledger import Entry, Ledger

DROPPED: Final = "placebos_aborted"
"""Flag of a report that was answered in ``advise`` because too many placebos of the service were aborted."""
ROOM: Final = 175
"""Characters of a reason that leave room for ``advise: would abort:`` before it."""


class HonestGate(Gate):
    """
    A gate that answers ``advise`` for a service and policy whose placebos broke the promise.

    A human's word is obeyed as ever, and ``shadow`` stays: it promises less.

    Parameters
    ----------
    ledger : Ledger or None
        None: nothing is watched, and nothing drops.
    **given
        As for `Gate`.
    """

    def __init__(self, *, ledger: Ledger | None, **given: Any) -> None:
        super().__init__(**given)
        self.ledger = ledger

    def _resolved(self, case: _Case) -> _Case:
        case = super()._resolved(case)
        if case.mode is not Mode.ENFORCE or case.word is not None or self._broken(case) is None:
            return case
        return replace(case, mode=Mode.ADVISE, flags=(*case.flags, DROPPED))

    def _judged(self, case: _Case, record: Record) -> Report:
        report = super()._judged(case, record)
        broken = self._broken(case) if DROPPED in case.flags else None
        if broken is None:
            return report
        told = f" [advice only: {broken.brief}]"
        room = ROOM - len(told)
        return replace(report, reason=words.cut(report.reason, room) + told, notes=(*report.notes, broken.reason))

    def _broken(self, case: _Case) -> Entry | None:
        """Return the entry of a service under a policy whose promise is broken, None if it is kept or unknown."""
        ask = case.call.ask
        if self.ledger is None or not ask.name:
            return None
        found = self.ledger.entry(ask.namespace, ask.name, case.policy.digest)
        return found if found is not None and found.dropped else None
