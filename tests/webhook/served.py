"""
A small application for the tests of the server, and a way to run it: ``python -m tests.webhook.served``.

Settings come from the environment of the process, as the command line reads them.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from webhook.server import serve
from webhook.settings import Settings

ROOT = Path(__file__).parents[2]


class Served:
    """A running server: its process, its base URL, and the lines that it logged."""

    def __init__(self, process, url):
        self.process = process
        self.url = url
        self.lines = []

    def stop(self, sent=signal.SIGTERM):
        """End it, keep what it logged, and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(sent)
        self.lines += [json.loads(line) for line in self.process.stderr.read().splitlines()]
        return self.process.wait(timeout=30)


def start(**variables):
    """Start a process; text of stderr is piped."""
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(ROOT / "absent")}
    environ |= {f"WEIGHBRIDGE_{name}": value for name, value in variables.items()}
    environ |= {key: value for key, value in os.environ.items() if key.startswith("COVERAGE")}
    command = [sys.executable, "-m", "tests.webhook.served"]
    return subprocess.Popen(command, cwd=ROOT, env=environ, stderr=subprocess.PIPE, text=True)


@contextmanager
def served(**variables):
    """Serve on a free port of loopback until the block ends."""
    process = start(**{"LISTEN": "127.0.0.1:0", "STORE": "sqlite:unused.db", **variables})
    seen = []
    for line in process.stderr:
        seen.append(json.loads(line))
        if seen[-1].get("event") == "listening":
            break
    else:
        raise AssertionError(f"did not start: {seen}")
    running = Served(process, seen[-1]["reason"])
    running.lines = seen
    try:
        yield running
    finally:
        running.stop(signal.SIGKILL if process.poll() is None and sys.exc_info()[0] else signal.SIGTERM)
        process.stderr.close()


if __name__ == "__main__":
    serve("tests.webhook.served_app:create", Settings.from_environ(os.environ))
