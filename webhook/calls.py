"""One request as a view hands it to the gate: what is asked, by whom, for which time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from webhook.answers import Hook
from webhook.releases import Caller
from webhook.schema.request import Ask

HOLD_FAILS = "rollout?hold=fail"
"""Where a hold counts as a failed check it can do without a confirm hook to wait at."""
PAST = 60.0
"""Seconds by which a time that was named may lie behind the clock and still mean now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """
    One request as a view hands it over.

    ``at`` is the time of the view's clock. ``may_open`` is False for reads and for hooks that open no attempt,
    ``read_only`` also keeps the release as it is. ``names`` are ``$target`` and the like where the caller knows them.
    """

    ask: Ask
    caller: Caller
    at: float
    hook: str = ""
    may_open: bool = True
    read_only: bool = False
    hold_fails: bool = False
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def noted_hook(self) -> str:
        """Return the hook as the attempt remembers it: one that lets a hold fail is told apart."""
        return HOLD_FAILS if self.hold_fails and self.hook == Hook.ROLLOUT.value else self.hook

    @property
    def horizon(self) -> float:
        """
        Return the time that the verdict is given for: the end of a past window, ``at``, else now.

        No later than now, unless the numbers came with the request: a look that has not happened yet cannot close.
        """
        named = self.ask.to if self.ask.to is not None else self.ask.at
        if named is None:
            return self.at
        return named if self.ask.data else min(named, self.at)

    @property
    def of_now(self) -> bool:
        """Return whether the answer is about the release as it stands, so that it may open an attempt and move it."""
        aside = self.read_only or self.ask.dry_run or self.ask.from_ is not None
        return not aside and (bool(self.ask.data) or self.horizon >= self.at - PAST)
