"""What placebos said, for people and programs: the ledger, and an operator's word that lifts what it did."""

from __future__ import annotations

from flask import Blueprint, Response, request

from analysis.types import Json
from webhook.http import answer_json, body_of
from webhook.placebo.ledger import Entry, Ledger
from webhook.schema import scalars
from webhook.schema.lift import read_lift
from webhook.schema.report import finite, instant
from webhook.service import Service
from webhook.tokens import Verb


def blueprint(service: Service, ledger: Ledger) -> Blueprint:
    """Return the blueprint with ``/v1/placebos``."""
    placebos = Blueprint("placebos", __name__, url_prefix="/v1/placebos")

    @placebos.get("", provide_automatic_options=False)
    def every() -> Response:
        principal = service.guard.authorise(request.environ, Verb.READ, None)
        found = [entry for entry in ledger.entries() if principal.may(Verb.READ, entry.namespace)]
        return answer_json({"services": [shown(entry) for entry in found]})

    @placebos.post("/<namespace>/<name>/lift", provide_automatic_options=False)
    def lift(namespace: str, name: str) -> Response:
        principal = service.guard.authorise(request.environ, Verb.OPERATE, namespace)
        word = read_lift(scalars.parsed(body_of(service.settings.body_limit)))
        word |= {"at": service.clock(), "principal": principal.name}
        return answer_json({"services": [shown(entry) for entry in ledger.lift(namespace, name, word)]})

    return placebos


def shown(entry: Entry) -> dict[str, Json]:
    """Return an entry as callers see it."""
    account = entry.account
    total = sum(entry.outcomes.values())
    return dict(
        finite(
            {
                "namespace": entry.namespace,
                "name": entry.name,
                "policy": f"{entry.policy}@{entry.digest[:8]}",
                "promised": account.alpha,
                "placebos": total,
                "outcomes": dict(entry.outcomes),
                "aborted_ratio": entry.outcomes.get("aborted", 0) / total if total else None,
                "log_e": account.log_e,
                "dropped": entry.dropped,
                "reason": entry.reason,
                "until": instant(entry.until) if entry.until else None,
                "note": entry.note,
                "lifts": [{**word, "at": instant(word["at"])} for word in entry.lifts],
            }
        )
    )
