"""A policy is pinned for an attempt: a changed one applies to the next attempt, or after an audited retry."""

from __future__ import annotations

from dataclasses import replace

from analysis.policy import Policy
from webhook.releases import Attempt
from webhook.schema import policy as wire


def with_policy(attempt: Attempt, policy: Policy) -> Attempt:
    """Return the attempt with the whole policy kept under its name, unless one of that name is pinned already."""
    if policy.name in attempt.policies:
        return attempt
    return replace(attempt, policies={**attempt.policies, policy.name: wire.store(policy)})


def pinned(attempt: Attempt, policy: Policy) -> Policy:
    """Return the version of a policy that was in force when this attempt first asked under its name."""
    kept = attempt.policies.get(policy.name)
    return policy if kept is None else wire.restore(kept)
