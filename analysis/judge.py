"""
The only file that turns numbers into a verdict: promote, hold or abort, each earned.

*Abort*: worse than stable, proved over unlimited looks, and beyond the tolerance; or a limit that was broken.
*Promote*: what the step could cost is bounded by the harm budget; for the last step, no worse than tolerated.
*Hold*: everything else, with a reason. Silence and faults never promote and never abort.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from analysis import limits, routing, words
from analysis.alarms import alarming
from analysis.explaining import affordable
from analysis.gone import without_past
from analysis.ordering import in_order
from analysis.policy import Limits, Policy
from analysis.record import Record
from analysis.remarks import left_out, remarks
from analysis.report import Evidence, Report
from analysis.types import Json, May, NoData, Stage, State, Verdict, Window
from analysis.variations import VARIATION
from analysis.weighing import Demand, Harm, Weighed, answered, demanded, harm_of, varying, weigh, with_next_weight

SILENT = frozenset({State.NO_DATA, State.INCOMPARABLE, State.STALE})
PROVED = frozenset({State.NO_WORSE, State.BETTER})
UNSOUND = {"no_baseline": "no baseline traffic any more: nothing is left to compare the canary with"}
LONELY = "; nothing is known of before: more time will not help"
FEWEST_STEP_LOOKS = 2


def judge(
    policy: Policy,
    record: Record,
    at: float,
    *,
    stage: Stage | None = None,
    next_weight: float | None = None,
) -> Report:
    """
    Return the verdict on a release, as a function of its record.

    Parameters
    ----------
    policy : Policy
    record : Record
        Closed looks; those that end after ``at`` are not used.
    at : float
        Unix seconds: the time the verdict is given for.
    stage : Stage, optional
        What is asked for; unnamed, the next weight decides (1 is the last step).
    next_weight : float, optional
        Share of traffic after the next step, in (0, 1]; unnamed, the policy's steps or
        ``min(1, max(2w, w + 0.2))`` of the observed share say it.

    Returns
    -------
    Report

    Notes
    -----
    Rules in the order in which they win: an abort that was ever proved stays; before traffic only what is already
    worse, or over a limit, holds; a required question that is worse at freezing odds, silent or incomparable holds,
    and so does a traffic split that is not the configured one (never more than hold: not even a deadline aborts for
    it); a step needs the proof that it costs no more than the harm budget; the last step also needs the proof of
    harmlessness. Error control: at most ``alpha.abort`` of releases that are not worse are aborted, over any number
    of looks and questions.

    Examples
    --------
    ``tests/analysis/test_judge.py`` holds one release for each line of these rules.
    """
    seen = in_order(record).until(at)
    weighed = weigh(policy, seen, next_weight if stage is not Stage.FINAL else 1.0)
    demand = demanded(policy, weighed, stage, next_weight)
    if demand.next_weight is not None and demand.next_weight != next_weight and stage is not Stage.FINAL:
        weighed = with_next_weight(policy, seen, weighed, demand.next_weight)
    routed = routing.check(policy, seen)
    if routed is not None and policy.split == "hold":
        demand = replace(demand, misrouted=routed.obstacle)
    harm, varied = harm_of(policy, seen, weighed), varying(policy, seen)
    evidence = tuple(answered(q, policy, seen, weighed, varied, demand, harm) for q in policy.questions)
    verdict, reason = _decide(policy, seen, evidence, demand, harm, weighed)
    window = Window(
        start=seen.grid.start,
        end=float(seen.ends[-1]) if len(seen.ends) else seen.grid.start,
        looks=len(seen.ends),
    )
    return Report(
        verdict=verdict,
        reason=words.cut(reason),
        stage=demand.stage,
        window=window,
        evidence=evidence,
        score=_score(policy, verdict, evidence, demand),
        forecast=_forecast(verdict, evidence, demand),
        left_out=tuple(left_out(seen)),
        flags=tuple(sorted({*(flag for e in evidence for flag in e.flags), *(routed.flags if routed else ())})),
        notes=tuple(remarks(seen)),
        weight=demand.observed,
        next_weight=demand.next_weight,
        split=None if routed is None else routed.document(),
    )


def overridden(word: str, reason: str, stage: Stage, at: float) -> Report:
    """Return the report of a human's word, ``promote``, ``hold`` or ``abort``: nothing is weighed."""
    return _plain(Verdict(word), reason, stage, at)


def cannot_judge(reason: str, stage: Stage, at: float) -> Report:
    """Return a hold because there is nothing to weigh, or because something of ours is broken."""
    return _plain(Verdict.HOLD, reason, stage, at)


def admitted(refusal: str, at: float) -> Report:
    """Return the answer before any traffic: promote, or hold with the reason that speaks against beginning at all."""
    verdict = Verdict.HOLD if refusal else Verdict.PROMOTE
    return _plain(verdict, refusal or "nothing speaks against beginning", Stage.PRE, at)


def _plain(verdict: Verdict, reason: str, stage: Stage, at: float) -> Report:
    window = Window(start=at, end=at, looks=0)
    return Report(verdict=verdict, reason=words.cut(reason), stage=stage, window=window, evidence=())


# deciding


def _decide(
    policy: Policy,
    record: Record,
    evidence: Sequence[Evidence],
    demand: Demand,
    harm: Harm,
    weighed: Weighed,
) -> tuple[Verdict, str]:
    """Return the first rule that holds: abort, hold, promote, deadline, hold."""
    counted = [e for e in evidence if not e.muted and e.may != May.REPORT.value]
    culprit = proved_harm(policy, record, counted, harm)
    if culprit:
        return Verdict.ABORT, culprit
    if demand.stage is Stage.PRE and (alarm := alarming(evidence)):
        return Verdict.HOLD, alarm
    if demand.stage is Stage.PRE:
        return Verdict.PROMOTE, "before traffic: no limit is broken and nothing is compared yet"
    obstacle = harm.suspect.reason if harm.suspect is not None else standing_obstacle(policy, counted)
    misrouted = demand.misrouted if not obstacle and any(e.required for e in counted) else ""
    obstacle = obstacle or misrouted
    missing = "" if obstacle else missing_proof(policy, record, counted, demand, weighed)
    if not obstacle and not missing:
        return Verdict.PROMOTE, _praise(policy, counted, demand)
    lonely = demand.stage is Stage.POST and _lonely(policy, record, counted)
    if _overdue(policy, record) and (lonely or not any(_holds_silent(policy, e) for e in counted)):
        late = f"undecided for {words.duration(policy.deadline.after)}: "
        if policy.deadline.then == "abort" and not misrouted:
            return Verdict.ABORT, late + (obstacle or missing)
        if not obstacle and _bounded(policy, counted):
            return Verdict.PROMOTE, late + f"every upper bound lies below {words.ratio(policy.deadline.limit or 0)}"
    return Verdict.HOLD, (obstacle or missing) + (LONELY if lonely else "")


def _lonely(policy: Policy, record: Record, counted: Sequence[Evidence]) -> bool:
    """Return whether all that is silent is so because only the canary serves, as is so after a switch."""
    silent = [e for e in counted if _holds_silent(policy, e)]
    return bool(silent) and all(
        e.state is State.NO_DATA and without_past(policy.question(e.name), record) for e in silent
    )


def proved_harm(policy: Policy, record: Record, counted: Sequence[Evidence], harm: Harm) -> str:
    """Return why the release is aborted, or an empty string: proof, a broken limit, or silence where it must not be."""
    if harm.proved:
        worst = next(e for e in counted if e.name == harm.guilty[0])
        if harm.unresolved and (harm.abort is None or harm.abort.look is None):
            limit = words.duration(policy.freeze_limit)
            return f"{worst.reason}; unresolved for {limit}"
        return worst.reason
    for found in counted:
        standing = found.proof == VARIATION and found.state is State.WORSE
        if (standing or found.state is State.OVER_LIMIT) and found.may == May.ABORT.value:
            return found.reason
    served = float(record.ends[-1] - record.grid.start) if len(record.ends) else 0.0
    for found in counted:
        silent = found.state in (State.NO_DATA, State.STALE)
        if silent and _no_data(policy, found) is NoData.ABORT and served >= policy.freeze_limit:
            return f"{found.reason}; its policy aborts on silence"
    return ""


def _no_data(policy: Policy, found: Evidence) -> NoData:
    return policy.question(found.name).no_data


def _holds_silent(policy: Policy, found: Evidence) -> bool:
    """Return whether this question's silence holds the release."""
    ignored = _no_data(policy, found) is NoData.IGNORE and found.state in (State.NO_DATA, State.STALE)
    needed = found.required or found.kind == Limits.kind
    return needed and found.state in SILENT and not ignored


def standing_obstacle(policy: Policy, counted: Sequence[Evidence]) -> str:
    """Return why nothing may be promoted, whatever else was proved: a freeze, silence, a limit."""
    order = [State.WORSE, State.DEGRADED, State.OVER_LIMIT, State.INCOMPARABLE, State.NO_DATA, State.STALE]
    for state in order:
        for found in counted:
            if found.state is not state:
                continue
            if state is State.WORSE or (state is State.DEGRADED and (found.required or found.proof == VARIATION)):
                return found.reason
            if state is State.OVER_LIMIT or _holds_silent(policy, found):
                return found.reason
    for found in counted:
        for flag, text in UNSOUND.items():
            # What was proved while there was a baseline is kept: the verdict cannot become any better informed.
            if flag in found.flags and found.required and not _proved(found, policy):
                return text
    return ""


def missing_proof(
    policy: Policy,
    record: Record,
    counted: Sequence[Evidence],
    demand: Demand,
    weighed: Weighed,
) -> str:
    """Return what a promotion still lacks, an empty string if nothing."""
    held = [e for e in counted if e.kind == Limits.kind and e.state is State.UNDECIDED]
    if held:
        return held[0].reason
    needed = [e for e in counted if e.required and e.kind != Limits.kind and not _excused(policy, e)]
    limited = [e for e in counted if e.kind == Limits.kind and not _excused(policy, e)]
    varied = [e for e in counted if e.proof == VARIATION]
    if not needed and varied and any(e.state is State.WITHIN_VARIATION for e in varied):
        needed = [e for e in varied if e.state is State.WITHIN_VARIATION]
    if not needed and not limited:
        if varied:
            return varied[0].reason
        silent = [e.reason for e in counted if _excused(policy, e)]
        return silent[0] if silent else "no question of this policy is required, so nothing can be proved"
    open_ones = [e for e in needed if not _met(e, policy, demand)]
    if open_ones:
        return min(open_ones, key=_progress(demand)).reason
    few = _too_few(policy, record)
    return few or _too_young(policy, record, weighed) or _unheld(record, limited, weighed)


def _excused(policy: Policy, found: Evidence) -> bool:
    return found.state in SILENT and not _holds_silent(policy, found)


def _met(found: Evidence, policy: Policy, demand: Demand) -> bool:
    """Return whether a required question gave the proof that this stage asks for."""
    if demand.stage in (Stage.FINAL, Stage.POST):
        return _proved(found, policy)
    return _step_proved(found, policy)


def _step_proved(found: Evidence, policy: Policy) -> bool:
    if found.proof == VARIATION:
        return found.state is State.WITHIN_VARIATION
    return (found.log_e.get("step") or -math.inf) >= -math.log(policy.alpha.step)


def _proved(found: Evidence, policy: Policy) -> bool:
    """Return whether a question gave the proof that the last step asks for."""
    return _step_proved(found, policy) and (found.proof == VARIATION or found.state in PROVED)


def _progress(demand: Demand) -> Callable[[Evidence], float]:
    return lambda found: _share_of_goal(found, demand)


def _share_of_goal(found: Evidence, demand: Demand) -> float:
    """Return how much of the proof that this stage asks for is there, in [0, 1]."""
    if found.proof == VARIATION:
        return float(found.state is State.WITHIN_VARIATION)
    if not found.log_e:
        return 0.0
    names = ("step", "promote") if demand.stage in (Stage.FINAL, Stage.POST) else ("step",)
    parts = [(found.log_e.get(name) or 0.0) / found.goals[name] for name in names]
    return max(0.0, min(1.0, *parts))


def _too_few(policy: Policy, record: Record) -> str:
    if policy.min_requests <= 0:
        return ""
    seen = limits.requests(record, limits.serving(policy))
    total = float(np.nansum(seen))
    if np.isnan(seen).all() or total >= policy.min_requests:
        return ""
    return f"{words.count(total)} of at least {words.count(policy.min_requests)} canary requests seen"


def _too_young(policy: Policy, record: Record, weighed: Weighed) -> str:
    """Return why the running step is too young, an empty string if it is not."""
    if not len(record.ends):
        return "no look is closed yet"
    told = any(event.get("kind") == "step" for event in record.events)
    began = _step_began(record, weighed)
    lasted = max(0.0, float(record.ends[-1]) - began)
    looks = int(np.sum(record.ends - record.lengths >= began - 1e-6))
    fewest = FEWEST_STEP_LOOKS if policy.min_step > 0 else int(told)
    if lasted >= policy.min_step and looks >= fewest:
        return ""
    if policy.min_step <= 0:
        return "proved, but no look of this step is closed yet"
    return f"proved, but this step has lasted {words.duration(lasted)} of at least {words.duration(policy.min_step)}"


def _unheld(record: Record, limited: Sequence[Evidence], weighed: Weighed) -> str:
    """Return which limits have not read a look of the running step: what an earlier step kept does not pay for it."""
    began = _step_began(record, weighed)
    for found in limited:
        newest = found.details["looks"][1] if "looks" in found.details else None
        if newest is not None and float(record.ends[newest] - record.lengths[newest]) < began - 1e-6:
            return f"{found.name}: kept before this step, nothing of this step was held against them yet"
    return ""


def _step_began(record: Record, weighed: Weighed) -> float:
    """
    Return when the running weight step began, unix seconds.

    The traffic split shows it, some looks late; until it does, what the controller told counts, so that the proof of
    one step never pays for the next.
    """
    first = max((found.step_start for found in weighed.values() if found.first_look is not None), default=0)
    shown = float(record.ends[first] - record.lengths[first])
    told = [event for event in record.events if event.get("kind") == "step"]
    if not told or (told[-1]["after"] is not None and shown >= told[-1]["after"]):
        return shown
    return max(shown, float(told[-1]["time"]))


def _overdue(policy: Policy, record: Record) -> bool:
    return bool(len(record.ends)) and float(record.ends[-1]) - record.grid.start >= policy.deadline.after


def _bounded(policy: Policy, counted: Sequence[Evidence]) -> bool:
    """Return whether a deadline's ``promote_if`` holds: every required upper bound lies below its limit."""
    limit = policy.deadline.limit
    if policy.deadline.then != "promote_if" or limit is None:
        return False
    needed = [e for e in counted if e.required and e.kind != Limits.kind]
    return bool(needed) and all(e.effect is not None and e.effect.high < limit for e in needed)


def _praise(policy: Policy, counted: Sequence[Evidence], demand: Demand) -> str:
    """Return why a release is promoted: the weakest proof, or the limits if they are all there is."""
    proofs = [e for e in counted if e.required and e.kind != Limits.kind and not _excused(policy, e)]
    if not proofs:
        return limits.KEPT if any(e.kind == Limits.kind for e in counted) else "nothing speaks against it"
    weakest = min(proofs, key=_progress(demand))
    weaker = sum(e.proof == VARIATION for e in proofs)
    rests = f"; {weaker} of {len(proofs)} questions rest on the weaker proof" if weaker else ""
    return affordable(weakest, final=demand.stage in (Stage.FINAL, Stage.POST)) + rests


def _score(policy: Policy, verdict: Verdict, evidence: Sequence[Evidence], demand: Demand) -> float:
    if verdict is Verdict.ABORT:
        return 0.0
    needed = [e for e in evidence if e.required and not e.muted and not _excused(policy, e)]
    if not needed:
        kept = [e for e in evidence if e.kind == Limits.kind and not e.muted]
        return 100.0 if kept and all(e.state is State.WITHIN_LIMIT for e in kept) else 0.0
    return 100 * min(
        float(e.state is State.WITHIN_LIMIT) if e.kind == Limits.kind else _share_of_goal(e, demand) for e in needed
    )


def _forecast(verdict: Verdict, evidence: Sequence[Evidence], demand: Demand) -> dict[str, Json] | None:
    """Return the forecast of the slowest required question, in the short form that callers read."""
    if verdict is not Verdict.HOLD:
        return None
    slowest: Mapping[str, Json] | None = None
    for found in evidence:
        if found.muted or not found.required or found.forecast is None:
            continue
        if slowest is None or found.forecast["promote"]["seconds"] > slowest["promote"]["seconds"]:
            slowest = found.forecast
    if slowest is None:
        return None
    wait = slowest["promote"]
    counted = float(wait["canary_requests"])
    possible = math.isfinite(wait["seconds"])
    return {
        "canary_requests": math.ceil(wait["canary_requests"]) if possible and not math.isnan(counted) else None,
        "seconds": math.ceil(wait["seconds"]) if possible else None,
        "at_weight": slowest["at_weight"],
        "faster": slowest["faster"],
    }
