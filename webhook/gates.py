"""
Gates for people, a drop-in for those of Flagger's load tester: the same paths, codes and texts, but kept.

``/gate/…`` holds a release until somebody opens it, ``/rollback/…`` rolls back when somebody opens it. Closed is the
safe state of both: whatever goes wrong, a check hears 403.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from flask import Blueprint, Response, request

from webhook import doors, logs
from webhook.answers import GATE_ANSWERS, Action, Hook, Reply
from webhook.doors import Doors, Kind, Word
from webhook.errors import BadRequest, Forbidden, NotFound, StoreConflict, StoreDown, StoreFault
from webhook.gate import TRIES
from webhook.http import answer_json, answer_line, answer_words, body_of
from webhook.schema.gates import Knock, Unreadable, Wish, read_knock, read_wish, shown_doors
from webhook.service import Service
from webhook.tokens import Verb

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
"""The load tester looks at no method."""
CONSTANT = (Action.APPROVE, Action.HALT)
WORDS = (Action.OPEN, Action.CLOSE)
ACTIONS = {Kind.GATE: tuple(Action), Kind.ROLLBACK: (Action.CHECK, *WORDS)}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """One request, read and authorised."""

    kind: Kind
    hook: str
    knock: Knock
    wish: Wish
    action: Action
    principal: str


def blueprint(service: Service) -> Blueprint:
    """Return the blueprint with ``/gate/…``, ``/rollback/…`` and ``/v1/gates``."""
    gates = Blueprint("gates", __name__)
    for kind in Kind:
        for action in ACTIONS[kind]:
            gates.add_url_rule(
                f"/{kind.value}/{action.value}", f"{kind.value}_{action.value}",
                partial(_answer, service, kind, action), methods=METHODS, provide_automatic_options=False,
            )  # fmt: skip
    _lists(gates, service)
    return gates


def _lists(gates: Blueprint, service: Service) -> None:
    @gates.get("/v1/gates", provide_automatic_options=False)
    def every() -> Response:
        principal = service.guard.authorise(request.environ, Verb.READ, None)
        found = [d for d in service.gate.store.all_gates() if principal.may(Verb.READ, d["namespace"])]
        now = service.clock()
        return answer_json({"gates": [shown_doors(doors.read_doors(d), now, history=False) for d in found]})

    @gates.get("/v1/gates/<namespace>/<name>", provide_automatic_options=False)
    def one(namespace: str, name: str) -> Response:
        service.guard.authorise(request.environ, Verb.READ, namespace)
        found = service.gate.store.gates((service.gate.cluster, namespace, name))
        if found is None:
            raise NotFound(f"no gates of {namespace}/{name} are known: nobody has opened or closed one")
        return answer_json(shown_doors(doors.read_doors(found), service.clock(), history=True))


def _answer(service: Service, kind: Kind, action: Action) -> Response:
    """Read and authorise a request, do what it asks, and answer by the table."""
    service.guard.identify(request.environ)
    knock, hook, why = Knock(), "", ""
    try:
        knock = _read(service, action)
        principal = service.guard.authorise(
            request.environ,
            Verb.OPERATE if action in WORDS else Verb.ASK,
            None if action in CONSTANT else knock.namespace,
        )
        wish = read_wish(knock.options)
        _fit(kind, action, wish)
        hook = "" if kind is Kind.ROLLBACK else wish.hook
        outcome, note = DOES[action](
            service, _Asked(kind=kind, hook=hook, knock=knock, wish=wish, action=action, principal=principal.name)
        )
    except Forbidden as forbidden:
        outcome, note = Reply.FORBIDDEN, forbidden.message
    except Unreadable as unreadable:
        outcome, note = Reply.UNREADABLE, unreadable.message
    except BadRequest as wrong:
        outcome, note = Reply.WRONG_OPTION, (why := str(wrong))
    except StoreFault as down:
        service.telemetry.fault(down)
        outcome, note = Reply.DEGRADED, (why := f"store down, so nothing is known of gates: {down.message}")
    status, text = GATE_ANSWERS[action][outcome]
    service.telemetry.gate(kind.value, action.value, outcome.value)
    logs.event(
        "gate", caller="gate", hook=hook or None, namespace=knock.namespace or None, name=knock.name or None,
        reason=f"{kind.value} {action.value}: {outcome.value}{f', {note}' if note else ''}",
    )  # fmt: skip
    return answer_line(f"{text}: {why}" if text else why, status) if why else answer_words(text, status)


def _read(service: Service, action: Action) -> Knock:
    """Return the payload; whose gate it is does not matter to one that is always open or closed, so no body is read."""
    return Knock() if action in CONSTANT else read_knock(body_of(service.settings.body_limit), request.args)


def _fit(kind: Kind, action: Action, wish: Wish) -> None:
    """Raise `BadRequest` where an option has no meaning at this gate."""
    if kind is Kind.ROLLBACK and wish.hook not in ("", Hook.ROLLBACK.value):
        raise BadRequest("must be rollback or absent: this gate belongs to one hook", "hook")
    if action in WORDS and kind is Kind.GATE and wish.revision and not wish.hook:
        raise BadRequest("needs its hook: a check that does not say its hook may carry another checksum", "revision")
    if action is Action.CLOSE and (wish.expires_in is not None or wish.once):
        raise BadRequest("means nothing at close: a gate stays closed until it is opened", "expires_in or once")


def _always(outcome: Reply) -> Callable[[Service, _Asked], tuple[Reply, str]]:
    return lambda service, asked: (outcome, "")


def _check(service: Service, asked: _Asked) -> tuple[Reply, str]:
    """Return whether the gate is open; one that opens once is closed before anybody hears it."""
    # Without its hook a check may come from confirm-rollout, where the checksum is that of the release before.
    known = asked.kind is Kind.ROLLBACK or asked.hook not in ("", Hook.CONFIRM_ROLLOUT.value)
    revision = asked.knock.checksum if known else ""
    now = service.clock()
    for _ in range(TRIES):
        kept = _doors(service, asked.knock)
        word = doors.deciding(kept, asked.kind, asked.hook, revision)
        if word is None or not doors.is_open(word, now):
            return Reply.CLOSED, word.state(now).value if word else "nobody has opened it"
        if word.once or asked.wish.once:
            try:
                service.gate.store.write_gates(doors.passed(kept, word, now, asked.hook, revision).document())
            except StoreConflict:
                continue
        return Reply.OPEN, _by(word)
    raise StoreDown("others kept writing these gates")


def _say(service: Service, asked: _Asked) -> tuple[Reply, str]:
    """Keep a word that opens or closes the gate."""
    now, wish = service.clock(), asked.wish
    word = Word(
        kind=asked.kind, opens=asked.action is Action.OPEN, at=now, hook=asked.hook, revision=wish.revision,
        actor=wish.actor or asked.principal, principal=asked.principal, reason=wish.reason, once=wish.once,
        expires_at=now + wish.expires_in if wish.expires_in is not None else None,
    )  # fmt: skip
    for _ in range(TRIES):
        try:
            service.gate.store.write_gates(doors.said(_doors(service, asked.knock), word).document())
        except StoreConflict:
            continue
        return Reply.KEPT, _by(word)
    raise StoreDown("others kept writing these gates")


DOES: Mapping[Action, Callable[[Service, _Asked], tuple[Reply, str]]] = {
    Action.APPROVE: _always(Reply.OPEN),
    Action.HALT: _always(Reply.CLOSED),
    Action.CHECK: _check,
    Action.OPEN: _say,
    Action.CLOSE: _say,
}


def _doors(service: Service, knock: Knock) -> Doors:
    canary = (service.gate.cluster, knock.namespace, knock.name)
    found = service.gate.store.gates(canary)
    if found is not None:
        return doors.read_doors(found)
    return Doors(cluster=canary[0], namespace=canary[1], name=canary[2])


def _by(word: Word) -> str:
    return f"{word.actor}: {word.reason}" if word.reason else word.actor
