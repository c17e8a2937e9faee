"""Documents as the service writes them, small."""

from __future__ import annotations

from webhook.ports import Write

RELEASE = ("", "shop", "checkout", "6c54bd4f4b")


def attempt(release=RELEASE, number=1, version=0, **rest):
    keys = dict(zip(("cluster", "namespace", "name", "revision"), release))
    return {**keys, "attempt": number, "version": version, **rest}


def report(report_id, release=RELEASE, number=1, phase="progressing", **rest):
    keys = dict(zip(("cluster", "namespace", "name", "revision"), release))
    return {"id": report_id, "release": {**keys, "attempt": number, "phase": phase}, **rest}


def look(number, bad=1, total=100):
    return {"look": number, "questions": {"error-rate": {"canary": {"c-1": {"bad": bad, "total": total}}}}}


def opened(store, release=RELEASE, number=1, **rest):
    """Write a new attempt; return its document as it is stored."""
    store.write(Write(attempt=attempt(release, number, **rest)))
    return store.attempt(release, number)
