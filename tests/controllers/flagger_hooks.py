"""Flagger v1.44.0's webhooks: payload, retries, and what counts as a yes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from .wire import Call, Clock, TransportError, exchange

APPROVED = 202
"""The highest status that is a yes: 203, 204 and 206 are a no."""

LONGEST_WAIT = 30.0


class HookType(StrEnum):
    """The types of a webhook; an entry without a type is a rollout hook."""

    CONFIRM_ROLLOUT = "confirm-rollout"
    PRE_ROLLOUT = "pre-rollout"
    ROLLOUT = "rollout"
    CONFIRM_TRAFFIC_INCREASE = "confirm-traffic-increase"
    CONFIRM_PROMOTION = "confirm-promotion"
    ROLLBACK = "rollback"
    POST_ROLLOUT = "post-rollout"
    EVENT = "event"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """One entry of ``spec.analysis.webhooks``; *timeout* in seconds and per attempt."""

    type: HookType = HookType.ROLLOUT
    name: str
    url: str
    timeout: float = 10.0
    retries: int = 0
    metadata: Mapping[str, str] = field(default_factory=dict)


class HookRefused(Exception):
    """The hook did not answer yes; the text is what Flagger prints, which may be empty."""


def _retried(status: int) -> bool:
    return status == 429 or (status >= 500 and status != 501)


def _wait(attempt: int, status: int, headers: Mapping[str, str]) -> float:
    lowered = {name.lower(): value for name, value in headers.items()}
    asked = lowered.get("retry-after", "")
    if status in (429, 503) and asked.isdigit():
        return float(asked)
    return min(LONGEST_WAIT, float(2**attempt))


def ask(hook: Hook, payload: Mapping[str, Any], call: Call, clock: Clock) -> None:
    """
    Send *payload* to *hook*, again after 1, 2, 4 ... 30 s while retries are left; return on a yes.

    Raises HookRefused otherwise. Its text is the body of a status that is not retried (4xx but 429, and 501,
    and 203 and above); for 429, 5xx and a broken connection the body is lost, with retries or without.
    """
    cause = ""
    for attempt in range(hook.retries + 1):
        status, headers = 0, dict[str, str]()
        try:
            status, received, body = exchange(call, clock, "POST", hook.url, dict(payload), hook.timeout)
        except TransportError as error:
            cause = f": {error}"
        else:
            cause, headers = "", dict(received)
            if not _retried(status):
                if status > APPROVED:
                    raise HookRefused(body.decode("utf-8", errors="replace"))
                return
        if attempt < hook.retries:
            clock.advance(_wait(attempt, status, headers))
    raise HookRefused(f"POST {hook.url} giving up after {hook.retries + 1} attempt(s){cause}")
