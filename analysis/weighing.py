"""
All questions of a release weighed together: what is demanded, what speaks for harm, what each question answers.

``judge.py`` makes the verdict of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from analysis import limits, merging
from analysis.compare import counts
from analysis.compare.counts import CountsEvidence
from analysis.demand import next_weight as default_next
from analysis.explaining import Standing, evidence_of, observed_share
from analysis.policy import OMEGA, Limits, Policy, Proportion, Question
from analysis.proportions import asked, counts_data, silence
from analysis.record import Record
from analysis.report import Evidence, about
from analysis.types import May, Stage, State


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What is asked for: the stage, and the weight that a promotion would lead to (None: the default rule)."""

    stage: Stage
    next_weight: float | None
    observed: float | None


def weigh(policy: Policy, record: Record, next_weight: float | None) -> dict[str, CountsEvidence]:
    """Return the evidence of every question that counts, by name; empty while no look is closed."""
    return {
        question.name: counts.weigh(counts_data(question, record), asked(question, policy), next_weight)
        for question in policy.questions
        if isinstance(question, Proportion) and len(record.ends)
    }


def demanded(
    policy: Policy, weighed: Mapping[str, CountsEvidence], stage: Stage | None, next_weight: float | None
) -> Demand:
    """
    Return what is asked for: by name, else by the next weight, named or following from the observed share.

    A next weight of 1 makes the step the last one; without any traffic the question is one of a step.
    """
    shares = [share for found in weighed.values() if (share := observed_share(found)) is not None]
    observed = shares[0] if shares else None
    if stage is Stage.FINAL:
        return Demand(stage=stage, next_weight=1.0, observed=observed)
    coming = next_weight
    if coming is None and policy.steps and observed is not None:
        coming = next((step for step in policy.steps if step > observed * 1.1), 1.0)
    leads_to = coming
    if leads_to is None and observed is not None:
        leads_to = float(default_next(np.array(observed)))
    last = leads_to is not None and leads_to >= 1
    return Demand(stage=stage or (Stage.FINAL if last else Stage.STEP), next_weight=coming, observed=observed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Harm:
    """What speaks for an abort: proved jointly, or one freeze that stayed open, and who is guilty of it."""

    omegas: Mapping[str, float]
    abort: merging.Abort | None
    unresolved: tuple[str, ...]
    guilty: tuple[str, ...]

    @property
    def proved(self) -> bool:
        """Return whether the release is to be aborted."""
        return bool(self.unresolved) or (self.abort is not None and self.abort.look is not None)


def harm_of(policy: Policy, record: Record, weighed: Mapping[str, CountsEvidence]) -> Harm:
    """Return what the questions together say of harm; muted ones and those that may only report have no share."""
    names = [q.name for q in policy.questions if q.name in weighed and not q.muted]
    speaking = {q.name: q for q in policy.questions}
    strength = [OMEGA[speaking[n].weight] if speaking[n].may is not May.REPORT else 0.0 for n in names]
    omega = merging.shares(strength)
    lethal = np.array([w if speaking[n].may is May.ABORT else 0.0 for n, w in zip(names, omega, strict=True)])
    found = [weighed[n] for n in names]
    abort = merging.find_abort(found, lethal, policy.alpha.abort) if len(record.ends) else None
    stuck = tuple(
        n
        for n, evidence, share in zip(names, found, lethal, strict=True)
        if merging.unresolved(evidence, float(share), policy.alpha, policy.freeze_limit) is not None
    )
    guilty: list[str] = list(stuck)
    if abort is not None and abort.look is not None:
        there = [float(e.abort[abort.look]) for e in found]
        guilty += [names[abort.question], *(names[i] for i in merging.listed(there))]
    return Harm(
        omegas=dict(zip(names, omega.tolist(), strict=True)),
        abort=abort,
        unresolved=stuck,
        guilty=tuple(dict.fromkeys(guilty)),
    )


def answered(
    question: Question,
    policy: Policy,
    record: Record,
    weighed: Mapping[str, CountsEvidence],
    demand: Demand,
    harm: Harm,
) -> Evidence:
    """Return the evidence of one question of any kind; silence and kinds that are not judged say so."""
    if isinstance(question, Limits):
        return limits.weigh(question, policy, record)
    if not isinstance(question, Proportion):
        return about(question, State.UNDECIDED, f"{question.kind} is not judged by this version; limits may read it")
    quiet = silence(question, record)
    if quiet is not None and question.name not in harm.guilty:
        return about(question, quiet.state, quiet.reason)
    found = weighed[question.name]
    omega = harm.omegas.get(question.name, 0.0)
    burst = harm.abort
    blocked = burst is not None and burst.look is None and burst.question == _place(harm, question.name)
    standing = Standing(
        guilty=question.name in harm.guilty,
        frozen=bool(merging.frozen(found, omega, policy.alpha)[-1]),
        omega=omega,
        final=demand.stage in (Stage.FINAL, Stage.POST),
        deadline_left=policy.deadline.after - float(record.ends[-1] - record.grid.start),
        burst=burst.burst if blocked and burst is not None else None,
    )
    return evidence_of(question, policy, record, found, standing)


def _place(harm: Harm, name: str) -> int:
    """Return the place of a question among those that were merged, -1 if it was not."""
    return list(harm.omegas).index(name) if name in harm.omegas else -1
