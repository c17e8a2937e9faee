"""Seven of ten samples a hundred times worse: a rank test passes such a canary, this judge never promotes it."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.judge import judge
from analysis.types import Verdict
from webhook.schema.data import inline_policy, inline_record

SEEDS = (11_400, 27_183, 31_416)


@pytest.mark.parametrize("pairing", ["concurrent", "before_after"])
@pytest.mark.parametrize("replicas", [0, 1])
@pytest.mark.parametrize("seed", SEEDS)
def test_it_is_never_promoted(seed: int, replicas: int, pairing: str):
    """Wherever the bad samples lie, as a line of the side or as values of a replica, beside stable or after it."""
    rng = np.random.default_rng(seed)
    for _ in range(20):
        stable, canary = (10 * np.exp(0.1 * rng.standard_normal(10)) for _ in range(2))
        canary[rng.permutation(10)[:7]] *= 100
        sides = {"baseline": {"values": stable.tolist()}, "canary": {"values": canary.tolist()}}
        if replicas:
            sides = {name: {f"{name}-1": values} for name, values in sides.items()}
        data = {"step_seconds": 60, "pairing": pairing, "questions": {"cost": sides}}
        policy = inline_policy(data)
        record = inline_record(data, policy)
        for looks in (4, 6, 8, 10):
            found = judge(policy, record, float(record.ends[looks - 1]))
            bad_so_far = int((canary[:looks] > 100).sum())
            if bad_so_far >= 0.7 * looks:
                assert found.verdict is not Verdict.PROMOTE, found.reason


def test_equal_samples_are_promoted():
    """The same series without the bad samples is: the other test could fail."""
    rng = np.random.default_rng(SEEDS[0])
    stable, canary = ((10 * np.exp(0.1 * rng.standard_normal(10))).tolist() for _ in range(2))
    sides = {"baseline": {"values": stable}, "canary": {"values": canary}}
    data = {"step_seconds": 60, "questions": {"cost": sides}}
    policy = inline_policy(data)
    record = inline_record(data, policy)
    assert judge(policy, record, float(record.ends[-1])).verdict is Verdict.PROMOTE
