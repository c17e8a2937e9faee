"""An operator's word that lifts what placebos did: ``POST /v1/placebos/{namespace}/{name}/lift``."""

from __future__ import annotations

from analysis.types import Json
from webhook.errors import BadRequest
from webhook.schema import scalars
from webhook.schema.override import LONGEST
from webhook.schema.problems import did_you_mean, shown

KEYS = ("reason", "actor")


def read_lift(body: Json) -> dict[str, Json]:
    """
    Return ``reason`` and ``actor``; neither is optional, because a word that nobody stands for cannot be audited.

    Raises
    ------
    BadRequest
        Place, rule and value of the first thing that is wrong.
    """
    if not isinstance(body, dict):
        raise scalars.refuse("", "the body must be a JSON object", body)
    for key in body:
        if key not in KEYS:
            raise BadRequest(f"unknown key {shown(key)}{did_you_mean(str(key), KEYS)}", f"/{key}")
    found: dict[str, Json] = {}
    for key in KEYS:
        value = body.get(key)
        if not isinstance(value, str) or not value.strip() or len(value) > LONGEST:
            raise scalars.refuse(f"/{key}", f"must be 1 to {LONGEST} characters", value)
        found[key] = " ".join(value.split())
    return found
