"""
Programs that the tests of the stores run as processes of their own: ``python -m …writers NAME PATH-or-URL …``.

Each prints what was acknowledged, line by line, after the store has returned.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

from tests.webhook.stores.documents import RELEASE, attempt, look, report
from webhook.errors import StoreConflict, StoreDown
from webhook.ports import Write
from webhook.redis_url import is_redis
from webhook.stores.redis import RedisStore
from webhook.stores.sqlite import SQLiteStore

ROOT = Path(__file__).parents[3]
PADDING = [f"{n:x}" for n in range(8000)]
"""Makes a document large enough that its write takes many pages of the log."""


def program(name, place, *arguments):
    """Start one of these programs; the caller ends it."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.webhook.stores.writers", name, str(place), *map(str, arguments)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def opened_at(place):
    return RedisStore(place) if is_redis(place) else SQLiteStore(place)


def say(*words):
    print(*words, flush=True)  # noqa: T201 - the test reads it


def endless(path, number):
    """Write looks and reports of one attempt for ever; the test kills this."""
    store = opened_at(path)
    store.write(Write(attempt=attempt(number=int(number))))
    say("ready")
    done = 0
    while True:
        kept = store.attempt(RELEASE, int(number))
        name = f"r_{number}_{done}"
        body = report(name, number=int(number), padding=PADDING)
        try:
            store.write(Write(attempt={**kept, "last": name}, looks=[(done, look(done))], report=body))
        except StoreDown as error:
            say("busy", error)
            continue
        say(name)
        done += 1


def count(path, times):
    """Add 1 to the count of one attempt ``times`` times, reading again after each conflict."""
    store = opened_at(path)
    say("ready")
    sys.stdin.readline()
    done = 0
    while done < int(times):
        kept = store.attempt(RELEASE, 1) or attempt(count=0)
        try:
            store.write(Write(attempt={**kept, "count": kept["count"] + 1}, looks=[(kept["count"], look(0))]))
        except StoreConflict:
            continue
        done += 1
    say("done")


def full(path, size):
    """Write reports until the file may not grow any more."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(size), int(size)))
    store = opened_at(path)
    for number in range(10_000):
        try:
            store.write(Write(report=report(f"r_{number}", padding=PADDING)))
        except StoreDown as error:
            say("down", error)
            return
        say(f"r_{number}")


def forbidden(path):
    """Give up root, then use a file that only its owner may write."""
    store = opened_at(path)
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    for call in (store.ping, lambda: store.write(Write(report=report("r_1")))):
        try:
            call()
        except StoreDown as error:
            say("down", error)


if __name__ == "__main__":
    {f.__name__: f for f in (endless, count, full, forbidden)}[sys.argv[1]](*sys.argv[2:])
