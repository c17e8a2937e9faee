"""What a stretch of placebos came to, next to what the policy promises: as a document, and as text for a terminal."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from analysis import words
from analysis.honesty import Account, share_bounds
from analysis.policy import Policy
from analysis.types import Json
from webhook.placebo.trial import Conduct, Outcome, Placebo, Service, Window
from webhook.schema.report import finite, instant

COLUMNS: Final = 100
SHOWN: Final = 10
"""Placebos that were aborted or frozen are listed up to this many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """
    One promise and what happened.

    ``happened`` of ``of`` placebos; ``low`` and ``high`` are binomial bounds of the share, each wrong once in 1,000;
    ``promised`` is the largest share, None where nothing is promised, and ``account`` the evidence against it.
    """

    name: str
    promised: float | None
    happened: int
    of: int
    low: float
    high: float
    account: Account | None

    @property
    def verdict(self) -> str:
        """
        Return what became of the promise: ``broken``, ``kept``, ``not contradicted``, or an empty string without one.

        Broken is what the account or the lower bound says, each wrong once in 1,000; kept what the upper bound says.
        """
        if self.promised is None or self.account is None:
            return ""
        if self.account.broken or self.low > self.promised:
            return "broken"
        return "kept" if self.high <= self.promised else "not contradicted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """
    All placebos of a stretch of time.

    ``skipped`` are windows without any, or that ended early, with one line why; ``left_out`` names questions that
    placebos cannot be asked.
    """

    policy: Policy
    service: Service
    conduct: Conduct
    length: float
    windows: tuple[Window, ...]
    placebos: tuple[Placebo, ...]
    skipped: tuple[tuple[Window, str], ...] = ()
    left_out: tuple[str, ...] = ()
    seed: int = 0
    rows: tuple[Row, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", tuple(_rows(self.policy, self.placebos)))

    @property
    def broken(self) -> bool:
        """Return whether a promise is broken."""
        return any(row.verdict == "broken" for row in self.rows)


def _batches(placebos: tuple[Placebo, ...]) -> Iterator[list[Placebo]]:
    starts = dict.fromkeys(one.window.start for one in placebos)
    for start in starts:
        yield [one for one in placebos if one.window.start == start]


def _rows(policy: Policy, placebos: tuple[Placebo, ...]) -> Iterator[Row]:
    """Yield the promises; placebos of one window are one trial of which a share happened."""
    bad = {
        "aborted": ({Outcome.ABORTED}, policy.alpha.abort),
        "frozen": ({Outcome.ABORTED, Outcome.FROZEN}, policy.alpha.freeze),
        "held": ({Outcome.HELD}, None),
        "promoted": ({Outcome.PROMOTED}, None),
    }
    batches = list(_batches(placebos))
    for name, (outcomes, promised) in bad.items():
        shares = [sum(one.outcome in outcomes for one in batch) / len(batch) for batch in batches]
        low, high = share_bounds(sum(shares), len(shares))
        happened = sum(one.outcome in outcomes for one in placebos)
        account = None if promised is None else _account(promised, batches, outcomes)
        yield Row(
            name=name, promised=promised, happened=happened, of=len(placebos), low=low, high=high, account=account
        )


def _account(promised: float, batches: list[list[Placebo]], outcomes: set[Outcome]) -> Account:
    """Return the account that a service which looked on all along held at the end, or when the promise broke."""
    account = Account(alpha=promised)
    for batch in batches:
        account = account.counted(sum(one.outcome in outcomes for one in batch), len(batch))
        if account.broken:
            break
    return account


def document(found: Summary) -> dict[str, Json]:
    """Return all of it as strict JSON."""
    return dict(
        finite(
            {
                "policy": found.policy.label,
                "service": {"namespace": found.service.namespace, "name": found.service.name},
                "window": {"start": instant(found.windows[0].start), "end": instant(found.windows[-1].end)},
                "length_seconds": found.length,
                "windows": len(found.windows),
                "replicas": found.conduct.replicas,
                "stage": found.conduct.stage.value,
                "seed": found.seed,
                "promises": [
                    {
                        "name": row.name, "promised": row.promised, "happened": row.happened, "of": row.of,
                        "low": row.low, "high": row.high, "verdict": row.verdict or None,
                        "log_e": row.account.log_e if row.account else None,
                    }
                    for row in found.rows
                ],
                "broken": found.broken,
                "placebos": [
                    {
                        "start": instant(one.window.start), "canary": list(one.canary), "outcome": one.outcome.value,
                        "after_seconds": one.after, "reason": one.reason,
                    }
                    for one in found.placebos
                ],
                "skipped": [{"start": instant(window.start), "reason": why} for window, why in found.skipped],
                "left_out": list(found.left_out),
            }
        )
    )  # fmt: skip


def render(found: Summary) -> str:
    """Return all of it as text."""
    first, last = instant(found.windows[0].start), instant(found.windows[-1].end)
    who = f" on {found.service.label}" if found.service.name else ""
    replicas = f"{found.conduct.replicas} replica{'s' if found.conduct.replicas != 1 else ''}"
    rows = [
        f"{found.policy.label}{who}: {len(found.placebos)} placebos of {replicas}, {words.duration(found.length)} each",
        f"from {first} to {last}",
        "",
    ]
    if found.placebos:
        rows += _table(found)
        rows += ["", *_evidence(found)]
    rows += _listed("left out", found.left_out)
    reasons = Counter(why for _, why in found.skipped)
    rows += _listed("without placebo", [f"{words.count(n)} of {len(found.windows)} windows: {why}"
                                        for why, n in reasons.most_common(SHOWN)])  # fmt: skip
    return "\n".join(row.rstrip() for row in rows)


def _table(found: Summary) -> Iterator[str]:
    yield f"  {'':<10}{'promised':<16}{'happened':<22}{'bounds':<20}"
    for row in found.rows:
        promised = f"{words.percent(row.promised)} at most" if row.promised is not None else "–"
        share = _percent(row.happened / row.of)
        happened = f"{row.happened} of {row.of} ({share})"
        credible = f"{_percent(row.low)} to {_percent(row.high)}"
        yield f"  {row.name:<10}{promised:<16}{happened:<22}{credible:<20}{row.verdict}"
    times = [one.after for one in found.placebos if one.outcome is Outcome.PROMOTED and one.after is not None]
    if times:
        yield f"  promoted after {words.duration(median(times))} (median)"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _evidence(found: Summary) -> Iterator[str]:
    for row in found.rows:
        if row.account is not None:
            odds = f"odds against the promise {words.odds(row.account.log_e)}"
            yield f"{row.name}, looked at all along: {odds}, it breaks at 1,000 : 1"
    for one in [one for one in found.placebos if one.outcome in (Outcome.ABORTED, Outcome.FROZEN)][:SHOWN]:
        told = f"  {one.outcome.value} {instant(one.window.start)} {', '.join(one.canary)}: {one.reason}"
        yield from textwrap.wrap(told, COLUMNS, subsequent_indent="    ", break_on_hyphens=False)


def _listed(label: str, texts: list[str] | tuple[str, ...]) -> Iterator[str]:
    for text in texts:
        yield from textwrap.wrap(f"{label}: {text}", COLUMNS, subsequent_indent="  ")
