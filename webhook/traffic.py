"""What a record says of the canary's traffic, before anything is compared."""

from __future__ import annotations

import numpy as np

from analysis.limits import requests, serving
from analysis.policy import Policy
from analysis.record import Record

QUIET = frozenset({"no_series", "renamed"})
"""Why a look may be left out while a canary without traffic is sound: many counters are born with the first request."""


def idle(policy: Policy, record: Record | None, since: float | None = None) -> bool:
    """
    Return whether the canary has no traffic: silence, not a selector gone wrong.

    Parameters
    ----------
    policy : Policy
    record : Record or None
        None where the source has never seen the canary.
    since : float, optional
        Unix seconds. Looks that ended after it count, and there must be one; otherwise the newest look does.
    """
    if record is None:
        return True
    newest = [found.left_out[-1] for found in record.questions.values() if found.left_out]
    if any(reason is not None and reason.code not in QUIET for reason in newest):
        return False
    counted = record.ends > since if since is not None else np.arange(len(record.ends)) == len(record.ends) - 1
    if since is not None and not counted.any():
        return False
    seen = requests(record, serving(policy))
    return not np.nansum(seen[counted]) > 0
