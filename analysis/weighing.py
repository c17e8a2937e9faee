"""
All questions of a release weighed together: what is demanded, what speaks for harm, what each question answers.

``judge.py`` makes the verdict of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from analysis import explain_variation, limits, merging, youth
from analysis.compare.counts import CountsEvidence
from analysis.compare.latency import LatencyEvidence
from analysis.demand import next_weight as default_next
from analysis.explain_latency import observed_share as latency_share
from analysis.explaining import LEANING, Standing, observed_share
from analysis.kinds import Kind, Nothing, kind_of
from analysis.policy import OMEGA, Limits, Objective, Policy, Question, Rate
from analysis.record import Record
from analysis.report import Evidence, about
from analysis.sequential import Sequential
from analysis.since import SinceEvidence
from analysis.suspects import Suspect, Without, without_each
from analysis.types import BoolArray, May, Stage, State
from analysis.variations import SEQUENTIAL, VARIATION, Varied, judged, proof_of, vary

Weighed = Mapping[str, Sequential]
"""The sequential evidence of the questions that have data, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """
    What is asked for: the stage, and the weight that a promotion would lead to (None: the default rule).

    ``misrouted``: why the split of requests is not the configured one, so that nothing may be promoted.
    """

    stage: Stage
    next_weight: float | None
    observed: float | None
    misrouted: str = ""


def weigh(policy: Policy, record: Record, next_weight: float | None) -> dict[str, Sequential]:
    """
    Return the sequential evidence of every question that has data, by name; empty while no look is closed.

    Levels come last: where the traffic split changed is read from the requests of the others.
    """
    found: dict[str, Sequential] = {}
    if not len(record.ends):
        return found
    asked = [q for q in policy.questions if proof_of(q, record) == SEQUENTIAL]
    kinds = {q.name: kind_of(q, record) for q in asked}
    steps: BoolArray | None = None
    split_first = sorted(kinds.values(), key=lambda kind: not kind.splits)
    for family in dict.fromkeys(kind.family for kind in split_first):
        alike = [q for q in asked if kinds[q.name].family == family]
        kind, splits = kinds[alike[0].name], any(kinds[q.name].splits for q in alike)
        known = None if splits else steps
        found |= zip((q.name for q in alike), _evidence(kind, alike, policy, record, next_weight, known), strict=True)
        if splits:
            steps = _steps(found[q.name] for q in asked if q.name in found and kinds[q.name].splits)
    return {q.name: found[q.name] for q in asked if found[q.name] is not None}


def _steps(found: Iterable[Any]) -> BoolArray | None:
    """Return the looks at which the traffic split changed, by the first question that shows it."""
    return next((each.steps for each in found if each is not None and each.first_look is not None), None)


def _evidence(
    kind: Kind,
    questions: Sequence[Question],
    policy: Policy,
    record: Record,
    next_weight: float | None,
    steps: BoolArray | None,
) -> list[Any]:
    """Return the evidence of questions of one family, young replicas left out where they tell nothing yet."""
    asked = [(q, youth.aged(q, policy, record) if kind.ages else record) for q in questions]
    weighed = kind.weigh_together(asked, policy, next_weight, steps)
    if not kind.ages:
        return list(weighed)

    backed = []
    for question, found in zip(questions, weighed, strict=True):

        def again(seen: Record, question: Question = question) -> Any:
            known = None if steps is None else steps[: len(seen.ends)]
            return kind.weigh(question, policy, seen, next_weight, known)

        there = record.questions.get(question.name)
        causal = there is not None and kind.causal(there)
        backed.append(youth.backed(found, again, question, policy, record, causal=causal))
    return backed


def with_next_weight(policy: Policy, record: Record, weighed: Weighed, next_weight: float) -> dict[str, Sequential]:
    """Return the same evidence for another next weight, in (0, 1]."""
    return {
        name: kind_of(policy.question(name), record).with_next_weight(found, next_weight)
        for name, found in weighed.items()
    }


def demanded(policy: Policy, weighed: Weighed, stage: Stage | None, next_weight: float | None) -> Demand:
    """
    Return what is asked for: by name, else by the next weight, named or following from the observed share.

    A next weight of 1 makes the step the last one; without any traffic the question is one of a step.
    """
    observed = observed_by(policy, weighed)
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


def observed_by(policy: Policy, weighed: Weighed) -> float | None:
    """Return the canary's share since the last step as requests show it, else other exposure; None if nothing does."""
    rates = [name for name in weighed if policy.question(name).kind == Rate.kind]
    shares = (share_of(weighed[name]) for name in (*(name for name in weighed if name not in rates), *rates))
    return next((share for share in shares if share is not None), None)


def share_of(found: Sequential) -> float | None:
    """Return the canary's share of requests as one question saw it since the last step, None where it counts none."""
    if isinstance(found, CountsEvidence):
        return observed_share(found)
    if isinstance(found, SinceEvidence):
        return 1.0
    return latency_share(found) if isinstance(found, LatencyEvidence) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Harm:
    """
    What speaks for an abort: proved jointly, or one freeze that stayed open, and who is guilty of it.

    ``suspect``: one replica of the canary that alone carries what would abort.
    """

    omegas: Mapping[str, float]
    abort: merging.Abort | None
    unresolved: tuple[str, ...]
    guilty: tuple[str, ...]
    suspect: Suspect | None = None

    @property
    def proved(self) -> bool:
        """Return whether the release is to be aborted."""
        return bool(self.unresolved) or (self.abort is not None and self.abort.look is not None)


def harm_of(policy: Policy, record: Record, weighed: Weighed) -> Harm:
    """
    Return what the questions together say of harm; muted ones and those that may only report have no share.

    Every sequential question of the policy keeps its share, with evidence of 1 while it has no data. From three
    canary replicas on, what would abort must also stand without any one of them.
    """
    names = [q.name for q in policy.questions if not q.muted and proof_of(q, record) == SEQUENTIAL]
    if not len(record.ends) or not names:
        return Harm(omegas=dict.fromkeys(names, 0.0), abort=None, unresolved=(), guilty=())
    found = _merged(policy, record, weighed, names)
    if not found.proved:
        return found
    others = without_each(policy, record, found.guilty[0], weigh)
    return found if others is None else _merged(policy, record, weighed, names, others)


def _merged(
    policy: Policy,
    record: Record,
    weighed: Weighed,
    names: list[str],
    others: Without | None = None,
) -> Harm:
    """Return what some questions say of harm; ``others`` is the same evidence without one replica each."""
    asked = [policy.question(name) for name in names]
    omega = merging.shares([OMEGA[q.weight] if q.may is not May.REPORT else 0.0 for q in asked])
    lethal = np.array([w if q.may is May.ABORT else 0.0 for q, w in zip(asked, omega, strict=True)])
    nothing = Nothing(record.ends)
    found = [weighed.get(name, nothing) for name in names]
    left = others.by_replica if others is not None else {}
    since = others.since if others is not None else 0
    reduced = {pod: [some.get(name, nothing) for name in names] for pod, some in left.items()}
    abort = merging.find_abort(found, lethal, policy.alpha.abort, tuple(reduced.values()), since)
    stuck: list[str] = []
    spared: list[int] = []
    for place, (question, share) in enumerate(zip(asked, lethal, strict=True)):
        if question.name not in weighed or not kind_of(question, record).counts:
            continue
        look = merging.unresolved(found[place], float(share), policy.alpha, policy.freeze_limit)
        if look is None:
            continue
        alone = merging.carried(look, [some[place].warn for some in reduced.values()]) if look >= since else None
        (stuck.append(question.name) if alone is None else spared.append(alone))
    guilty: list[str] = list(stuck)
    if abort is not None and abort.look is not None:
        there = [float(e.abort[abort.look]) for e in found]
        guilty += [names[abort.question], *(names[i] for i in merging.listed(there))]
    blocked = abort.suspect if abort is not None and abort.look is None else None
    pod = blocked if blocked is not None else (spared[0] if spared and not stuck else None)
    return Harm(
        omegas=dict(zip(names, omega.tolist(), strict=True)),
        abort=abort,
        unresolved=tuple(stuck),
        guilty=tuple(dict.fromkeys(guilty)),
        suspect=None if pod is None or guilty else Suspect(replica=list(reduced)[pod]),
    )


def answered(
    question: Question,
    policy: Policy,
    record: Record,
    weighed: Weighed,
    varied: Varied | None,
    demand: Demand,
    harm: Harm,
) -> Evidence:
    """Return the evidence of one question of any kind; silence and kinds that are not judged say so."""
    if isinstance(question, Limits):
        return limits.weigh(question, policy, record)
    if isinstance(question, Objective):
        return about(question, State.UNDECIDED, f"{question.kind} is not judged by this version; limits may read it")
    kind = kind_of(question, record)
    quiet = kind.silence(question, record)
    if quiet is not None and question.name not in harm.guilty:
        return about(question, quiet.state, quiet.reason)
    if proof_of(question, record) == VARIATION:
        return _varied(question, policy, record, varied)
    found = weighed.get(question.name)
    if found is None and kind.ages and (wait := youth.waiting(question, policy, record)):
        return youth.told(about(question, State.UNDECIDED, wait), question, policy, record)
    if found is None:
        reason = f"{question.name}: nothing that can be compared: values beyond the last bucket, or none on a side"
        return about(question, State.NO_DATA, reason)
    omega = harm.omegas.get(question.name, 0.0)
    burst = harm.abort
    blocked = burst is not None and burst.look is None and burst.question == _place(harm, question.name)
    standing = Standing(
        guilty=question.name in harm.guilty,
        frozen=merging.frozen_now(found, omega, policy.alpha),
        omega=omega,
        final=demand.stage in (Stage.FINAL, Stage.POST),
        deadline_left=policy.deadline.after - float(record.ends[-1] - record.grid.start),
        burst=burst.burst if blocked and burst is not None and burst.suspect is None else None,
    )
    told = replace(kind.answer(question, policy, record, found, standing), proof=SEQUENTIAL)
    if kind.ages:
        told = youth.told(told, question, policy, record)
    return _limited_by_pods(question, policy, record, found, told)


def _varied(question: Question, policy: Policy, record: Record, varied: Varied | None) -> Evidence:
    """Return the evidence of a question that is judged by its variation; a muted one is asked for itself."""
    found = varied
    if found is None or question.name not in found.lines:
        found = judged([question], policy, record)
    return explain_variation.evidence_of(question, found)


def _limited_by_pods(question: Question, policy: Policy, record: Record, found: Sequential, told: Evidence) -> Evidence:
    """
    Return what the weaker proof says where more time cannot help: too few pods, or a level that was always zero.

    Only for what the requests or values per pod leave undecided, without any leaning to "worse", and if the policy
    lets it.
    """
    stuck = "pod-limited" in found.flags or "always zero" in found.flags
    leaning = float(found.warn[-1]) >= LEANING
    if told.state is not State.UNDECIDED or not stuck or leaning or question.pod_limited != "variation":
        return told
    weaker = judged([question], policy, record)
    if weaker is None or weaker.whole.state is State.UNDECIDED:
        return told
    shown = explain_variation.evidence_of(question, weaker)
    if weaker.whole.state is not State.WITHIN_VARIATION and "always zero" not in found.flags:
        return told
    return replace(
        told,
        state=shown.state,
        reason=f"{shown.reason}; too few pods for more" if "pod-limited" in found.flags else shown.reason,
        proof=VARIATION,
        flags=tuple(dict.fromkeys((*told.flags, *shown.flags))),
        details={**told.details, **shown.details},
        forecast=None,
    )


def varying(policy: Policy, record: Record) -> Varied | None:
    """Return what the series without counts say together, None while no look is closed or there are none."""
    return vary(policy, record) if len(record.ends) else None


def _place(harm: Harm, name: str) -> int:
    """Return the place of a question among those that were merged, -1 if it was not."""
    return list(harm.omegas).index(name) if name in harm.omegas else -1
