"""Where a person lands: the list of releases, and a report behind the link that every verdict carries."""

from __future__ import annotations

from flask import Blueprint, Response, request

from webhook.explain import page
from webhook.releases import CANARY_ITSELF
from webhook.service import Service
from webhook.tokens import Verb
from webhook.v1 import html, shown, wanted


def blueprint(service: Service) -> Blueprint:
    """Return the blueprint with ``/`` and ``/reports/{id}``."""
    pages = Blueprint("pages", __name__)

    @pages.get("/", provide_automatic_options=False)
    def front() -> Response:
        principal = service.guard.authorise(request.environ, Verb.READ, None)
        found = [r for r in service.gate.store.releases() if r["revision"] != CANARY_ITSELF]
        return html(
            page.releases([r for r in found if principal.may(Verb.READ, r["namespace"])], base=request.script_root)
        )

    @pages.get("/reports/<report_id>", provide_automatic_options=False)
    def report(report_id: str) -> Response:
        return shown(service, report_id, wanted())

    return pages
