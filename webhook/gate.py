"""
The use case: resolve the release, extend its record, judge, store.

One pass: overrides first, then who is being judged, then what is newer than the record, then one pure call, then one
write. A fault of ours or of a source ends in a hold that says so, never in anything else.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from analysis import judge
from analysis.alarms import alarming
from analysis.policy import Policy
from analysis.record import Record
from analysis.report import Report
from analysis.types import Json, Mode, Stage, Verdict
from webhook import answers
from webhook.answers import Heard, Hook
from webhook.calls import HOLD_FAILS, Call
from webhook.documents import Context, closing_document, reason_told, report_document, report_id
from webhook.errors import StoreConflict, StoreFault, WebhookError
from webhook.life import advance, closed, outcome_of
from webhook.overrides import Override, in_force, read_override, retry_asked
from webhook.pinning import pinned, with_policy
from webhook.policies import Policies
from webhook.ports import Source, Store, Write
from webhook.recording import Extended, Recorder
from webhook.releases import (
    CANARY_ITSELF,
    SAME_TICK,
    Asking,
    Attempt,
    Caller,
    ReleaseKey,
    asked,
    miswired,
    read,
    resolve,
    stepped,
    steps_until,
    superseded,
)
from webhook.schema.data import data_digest, inline_policy, inline_record
from webhook.schema.problems import PolicyProblems
from webhook.schema.request import Ask

TRIES = 6
"""How often a verdict is worked out again when another process wrote the same attempt first."""
STRIPES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """
    What a view needs to answer: what the caller hears, the report document, the attempt as it now stands.

    ``weighed``: the source answered and nobody has spoken; ``record`` is what it said, None if it has never seen the
    canary; ``alarmed``: something speaks against the canary even if no request has reached it.
    """

    heard: Heard
    document: Mapping[str, Json]
    attempt: Attempt | None = None
    policy: Policy
    weighed: bool = False
    record: Record | None = None
    alarmed: bool = False
    degraded: bool = False

    @property
    def reason(self) -> str:
        """Return the one line that explains it."""
        return str(self.document["reason"])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """One try at a verdict: what is known before anything is read from the source."""

    call: Call
    policy: Policy
    mode: Mode
    begun: float
    attempt: Attempt | None = None
    before: Attempt | None = None
    known: tuple[Attempt, ...] = ()
    word: Override | None = None
    flags: tuple[str, ...] = ()


class Gate:
    """
    Weighs releases.

    Parameters
    ----------
    store : Store
    policies : Policies
    sources : mapping of str to Source
        By the name that policies use; without any only inline data can be judged.
    mode : Mode or None
        For all policies; None lets each policy say.
    cluster, public_url : str
    budget, source_timeout : float
        Seconds that one verdict may take, and what of them may be spent on the source.
    stopwatch : callable
        Monotonic seconds.
    on_fault : callable
        Hears every fault of source and store, for metrics and logs.
    """

    def __init__(
        self,
        *,
        store: Store,
        policies: Policies,
        sources: Mapping[str, Source],
        mode: Mode | None = None,
        cluster: str = "",
        public_url: str = "",
        budget: float = 8.0,
        source_timeout: float = 6.0,
        stopwatch: Callable[[], float] = time.monotonic,
        on_fault: Callable[[WebhookError], None] = lambda error: None,
    ) -> None:
        self.store = store
        self.policies = policies
        self.sources = sources
        self.mode = mode
        self.cluster = cluster
        self.public_url = public_url
        self.source_timeout = min(source_timeout, budget)
        self.stopwatch = stopwatch
        self.on_fault = on_fault
        self._stripes = [threading.Lock() for _ in range(STRIPES)]

    def evaluate(self, call: Call) -> Outcome:
        """
        Return the verdict on a release and keep the report.

        Raises
        ------
        BadRequest, UnknownPolicy
            The caller's mistakes. Faults of source and store do not raise: they are holds.
        """
        begun = self.stopwatch()
        policy = self.policy_for(call.ask)
        fault = "store busy: others kept writing the same release"
        with self._stripes[hash((call.ask.namespace, call.ask.name)) % STRIPES]:
            for _ in range(TRIES):
                case = _Case(call=call, policy=policy, mode=self.mode_of(policy), begun=begun)
                try:
                    return self._weigh(self._resolved(case))
                except StoreConflict as conflict:
                    self.on_fault(conflict)
                except StoreFault as down:
                    self.on_fault(down)
                    fault = f"store down, so overrides are unknown: {down.message}"
                    break
        return self._without_store(case, fault)

    def policy_for(self, ask: Ask) -> Policy:
        """Return the policy that a request brings along, names, matches, or falls back to."""
        if isinstance(ask.policy, Mapping):
            try:
                return self.policies.inline(ask.policy)
            except PolicyProblems as error:
                raise error.within("/policy") from error
        if ask.policy:
            return self.policies.find(ask.policy)
        if ask.data:
            return inline_policy(ask.data)
        return self.policies.match(ask.namespace, ask.name) or self.policies.default()

    def mode_of(self, policy: Policy) -> Mode:
        """Return the mode in force: the one for all, else the policy's, else enforce."""
        return self.mode or policy.mode or Mode.ENFORCE

    def attempts(self, namespace: str, name: str) -> list[Attempt]:
        """Return every stored attempt of a release name, oldest first."""
        return [a for a in self._all(namespace, name) if a.revision != CANARY_ITSELF]

    def _all(self, namespace: str, name: str) -> list[Attempt]:
        found = [read(document) for document in self.store.attempts(namespace, name)]
        return [a for a in found if a.cluster == self.cluster]

    def words(self, namespace: str, name: str) -> list[Override]:
        """Return every human word about a release name, oldest first."""
        return [read_override(document) for document in self.store.overrides(namespace, name)]

    # one try

    def _resolved(self, case: _Case) -> _Case:
        """Return the case with the attempt, the policy pinned to it, and the human's word in force."""
        call, ask = case.call, case.call.ask
        if not ask.name:
            return case
        everything = self._all(ask.namespace, ask.name)
        known = tuple(a for a in everything if a.revision != CANARY_ITSELF)
        words = self.words(ask.namespace, ask.name)
        key = ReleaseKey(cluster=self.cluster, namespace=ask.namespace, name=ask.name, revision=ask.revision)
        if not ask.revision and not call.may_open and known:
            key = known[-1].key  # a person who types curl means the revision that is rolling out
        opens = call.may_open and call.of_now
        asking = Asking(
            key=key, caller=call.caller, at=call.at, hook=call.noted_hook, may_open=opens,
            step=ask.step, stage=ask.stage,
            started_at=ask.started_at, stable_revision=ask.stable_revision, annotation=ask.annotation,
        )  # fmt: skip
        before = resolve(asking, known, retry_asked(words, key, call.at))
        stored = before.version > 0
        attempt = asked(before, asking) if opens else before
        policy = pinned(attempt, case.policy) if stored and ask.from_ is None else case.policy
        attempt = with_policy(attempt, policy)
        if ask.from_ is not None:
            attempt = replace(attempt, records={}, version=0)
        flags = ("miswired",) if call.caller is Caller.FLAGGER and miswired(attempt, everything) else ()
        mode = Mode.SHADOW if "miswired" in flags and HOLD_FAILS not in attempt.hooks else self.mode_of(policy)
        word = in_force(words, attempt, call.at)
        return replace(
            case, attempt=attempt, before=before if stored else None, known=known, policy=policy, word=word,
            mode=mode, flags=flags,
        )  # fmt: skip

    def _weigh(self, case: _Case) -> Outcome:
        call, ask = case.call, case.call.ask
        if case.word is not None:
            said = f"override by {case.word.actor}: {case.word.reason}"
            report = judge.overridden(case.word.verdict, said, ask.stage or Stage.STEP, call.horizon)
            return self._concluded(case, report, Extended(attempt=case.attempt), None)
        if ask.data:
            record = inline_record(ask.data, case.policy, started_at=ask.started_at, at=ask.at)
            return self._concluded(case, self._judged(case, record), Extended(attempt=case.attempt), record)
        source = self.sources.get(case.policy.source)
        attempt = case.attempt or self._nobody(call)
        if source is None:
            extended = Extended(
                attempt=case.attempt,
                fault=f"no source called {case.policy.source!r} is configured: serve with --prometheus, or send data",
                code="no_source",
            )
        else:
            extended = Recorder(source, self.store).extend(
                attempt, case.policy, ask, call.horizon, lambda: self._left(case), call.names
            )
        if extended.error is not None:
            self.on_fault(extended.error)
        if extended.fault or extended.hold or extended.record is None:
            reason = extended.fault or extended.hold or "no data"
            report = judge.cannot_judge(reason, ask.stage or Stage.STEP, call.horizon)
        else:
            told = steps_until(case.attempt, call.horizon)
            report = self._judged(case, replace(extended.record, events=told))
        return self._concluded(case, report, extended, extended.record)

    def _judged(self, case: _Case, record: Record) -> Report:
        ask = case.call.ask
        until = case.call.horizon
        if ask.data and ask.at is None and ask.to is None and len(record.ends):
            until = float(record.ends[-1])  # inline data is all there is: it is judged to its end
        return judge.judge(case.policy, record, until, stage=ask.stage, next_weight=ask.next_weight)

    def _left(self, case: _Case) -> float:
        return self.source_timeout - (self.stopwatch() - case.begun)

    def _nobody(self, call: Call) -> Attempt:
        """Return a nameless attempt for a request that names no release: it is never stored."""
        ask = call.ask
        return Attempt(
            cluster=self.cluster, namespace=ask.namespace, name="", revision=ask.revision, attempt=0,
            caller=call.caller.value, stable_revision=ask.stable_revision, started_at=ask.started_at,
        )  # fmt: skip

    def _concluded(self, case: _Case, report: Report, extended: Extended, record: Record | None) -> Outcome:
        """Move the attempt on, write everything that is new, and return what the caller hears."""
        call = case.call
        degraded = bool(extended.fault)
        heard = answers.heard(report.verdict, case.mode, degraded=degraded)
        said = answers.spoken(heard)
        attempt = extended.attempt if case.attempt is not None else None
        context = self._context(case, attempt, extended)
        if attempt is not None and call.of_now and (call.may_open or attempt.version):
            weight = report.weight if report.weight is not None else call.ask.weight
            attempt = advance(
                attempt, said=said, stage=report.stage, reason=reason_told(report, said, case.mode), at=call.at,
                weight=weight, report_id=report_id(context, report.stage, report.window, report.reason),
                degraded=degraded, human=case.word is not None,
            )  # fmt: skip
            if _unseen_step(call, attempt, said):
                attempt = stepped(attempt, call.at + SAME_TICK, routed=True)
            document = report_document(report, said, replace(context, attempt=attempt))
            attempt = self._write(case, attempt, document, extended, context)
        else:
            document = report_document(report, said, context)
            self.store.write(Write(report=document))
        weighed = case.word is None and not degraded and (record is not None or extended.unseen)
        return Outcome(
            heard=heard, document=document, attempt=attempt, policy=case.policy, weighed=weighed, record=record,
            alarmed=bool(alarming(report.evidence)), degraded=degraded,
        )  # fmt: skip

    def _context(self, case: _Case, attempt: Attempt | None, extended: Extended) -> Context:
        ask, frame = case.call.ask, extended.frame
        notes = [*case.policy.notes, *(frame[key] for key in ("noise_note", "birth_note") if frame.get(key))]
        grid = None
        if "start" in frame:
            grid = {"start": frame["start"], "length": frame["length"], "lag": frame["lag"]}
        return Context(
            policy=case.policy,
            attempt=attempt,
            mode=case.mode,
            asked_at=case.call.at,
            public_url=self.public_url,
            weight=ask.weight,
            next_weight=ask.next_weight,
            override=case.word,
            fault=extended.code or extended.fault,
            data_digest=data_digest(ask.data) if ask.data else "",
            inline=ask.data,
            asked=ask,
            noise_window=frame.get("noise_window"),
            queries=extended.asked,
            flags=(*case.flags, *(["source_degraded"] if extended.fault else [])),
            notes=tuple(notes),
            own_seconds=self.stopwatch() - case.begun - extended.source_seconds,
            source_seconds=extended.source_seconds,
            grid=grid,
            steps=() if ask.data else steps_until(attempt, case.call.horizon),
        )

    def _write(
        self, case: _Case, attempt: Attempt, document: dict[str, Json], extended: Extended, context: Context
    ) -> Attempt:
        """Write attempt, looks and report as one, its closing report before it, and end what it supersedes after it."""
        outcome = outcome_of(case.before, attempt)
        if outcome:
            closing = closing_document(document, outcome, case.call.at, replace(context, attempt=attempt))
            self.store.write(Write(report=closing))
            attempt = closed(attempt, outcome, case.call.at, closing)
        self.store.write(Write(attempt=attempt.document(), looks=extended.rows, report=document))
        for old in superseded(case.known, attempt, case.call.at):
            self.store.write(Write(attempt=old.document()))
        return replace(attempt, version=attempt.version + 1)

    def _without_store(self, case: _Case, fault: str) -> Outcome:
        """Return a hold because the store is away: overrides are unknown, so nothing else may be said."""
        ask = case.call.ask
        report = judge.cannot_judge(fault, ask.stage or Stage.STEP, case.call.horizon)
        heard = answers.heard(report.verdict, case.mode, degraded=True)
        context = Context(
            policy=case.policy, attempt=None, mode=case.mode, asked_at=case.call.at, public_url=self.public_url,
            fault="store", flags=("store_degraded",), own_seconds=self.stopwatch() - case.begun,
            next_weight=ask.next_weight,
        )  # fmt: skip
        document = report_document(report, answers.spoken(heard), context)
        release = {"cluster": self.cluster, "namespace": ask.namespace, "name": ask.name, "revision": ask.revision}
        document["release"] = {**document["release"], **release}
        return Outcome(heard=heard, document=document, policy=case.policy, degraded=True)


def _unseen_step(call: Call, attempt: Attempt, said: Verdict) -> bool:
    """Return whether Flagger now takes a step that no event hook will tell of."""
    increase = call.caller is Caller.FLAGGER and call.hook == Hook.CONFIRM_TRAFFIC_INCREASE.value
    return increase and said is Verdict.PROMOTE and Hook.EVENT.value not in attempt.hooks
