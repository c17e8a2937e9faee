"""The application that ``served.py`` runs: the real parts of operations around two small views."""

from __future__ import annotations

import os
import time

from flask import Flask, request
from prometheus_client import CollectorRegistry

from webhook import logs, ops
from webhook.auth import PATH_TOKEN, PathToken
from webhook.telemetry import ROUTE, Decision, Requests, Telemetry, exposition


def create(settings):
    app = Flask(__name__)
    telemetry = Telemetry(CollectorRegistry(), version="0.0.test")
    telemetry.policies(2, 1)
    metrics = exposition(telemetry.registry)
    app.register_blueprint(ops.blueprint(probes={}, metrics=metrics, version="0.0.test"))

    @app.after_request
    def leave_route(response):
        request.environ[ROUTE] = request.url_rule.rule if request.url_rule else None
        return response

    @app.get("/pid")
    def pid():
        telemetry.decided(
            Decision(policy="p@1", verdict="hold", would="hold", mode="enforce", caller="v1", reason="r", id="r_1")
        )
        return {"pid": os.getpid(), "token": request.environ.get(PATH_TOKEN)}

    @app.get("/slow")
    def slow():
        logs.event("slow_begun")
        time.sleep(float(request.args["seconds"]))
        return {"done": True}

    app.wsgi_app = PathToken(Requests(app.wsgi_app, telemetry))
    return app
