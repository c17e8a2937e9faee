"""
What speaks against a canary even if no request has reached it: pods that are not ready, a preview that already fails.

Before traffic silence is usual, so it says nothing; what is already worse, or over a limit, does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from analysis.policy import Limits
from analysis.report import Evidence
from analysis.types import May, State

ALARMED: Final = frozenset({State.WORSE, State.DEGRADED, State.OVER_LIMIT})


def alarming(evidence: Sequence[Evidence]) -> str:
    """
    Return the first reason against letting a canary have its first traffic, an empty string if there is none.

    Parameters
    ----------
    evidence : sequence of Evidence
        Of all questions; muted ones and those that may only report are passed over.

    Returns
    -------
    str
        That of a question that is worse or degraded, or of a limit that is over or about to be (broken by the newest
        look, but not yet often enough in a row).
    """
    for found in evidence:
        if found.muted or found.may == May.REPORT.value:
            continue
        if found.state in ALARMED or (found.kind == Limits.kind and found.state is State.UNDECIDED):
            return found.reason
    return ""
