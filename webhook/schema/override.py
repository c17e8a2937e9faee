"""A human's word on the wire: ``POST /v1/releases/{namespace}/{name}/override``."""

from __future__ import annotations

from analysis.types import Json
from webhook.errors import BadRequest
from webhook.schema import scalars
from webhook.schema.problems import Problem, did_you_mean, shown
from webhook.schema.shapes import BROKEN, Duration

VERDICTS = ("promote", "hold", "abort", "retry")
KEYS = ("verdict", "reason", "actor", "revision", "expires_in")
LONGEST = 300


def read_override_request(body: Json) -> dict[str, Json]:
    """
    Return ``verdict``, ``reason``, ``actor``, and where given ``revision`` and ``expires_in`` (seconds).

    Raises
    ------
    BadRequest
        Place, rule and value of the first thing that is wrong. Reason and actor are not optional: a word that
        nobody stands for cannot be audited.
    """
    if not isinstance(body, dict):
        raise scalars.refuse("", "the body must be a JSON object", body)
    for key in body:
        if key not in KEYS:
            raise BadRequest(f"unknown key {shown(key)}{did_you_mean(str(key), KEYS)}", f"/{key}")
    verdict = body.get("verdict")
    if verdict not in VERDICTS:
        raise scalars.refuse("/verdict", f"must be one of {', '.join(VERDICTS)}", verdict)
    found: dict[str, Json] = {"verdict": verdict}
    for key in ("reason", "actor"):
        value = body.get(key)
        if not isinstance(value, str) or not value.strip() or len(value) > LONGEST:
            raise scalars.refuse(f"/{key}", f"must be 1 to {LONGEST} characters", value)
        found[key] = " ".join(value.split())
    revision = scalars.name(body.get("revision"), "/revision")
    if revision is not None:
        found["revision"] = revision
    if body.get("expires_in") is not None:
        problems: list[Problem] = []
        seconds = Duration(positive=True).read(body["expires_in"], "/expires_in", problems)
        if seconds is BROKEN:
            raise BadRequest(problems[0].rule, "/expires_in")
        found["expires_in"] = seconds
    return found
