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
import threading
from contextlib import contextmanager
from pathlib import Path

from webhook import server
from webhook.settings import Settings

ROOT = Path(__file__).parents[2]


class Served:
    """A running server: its process, its base URL, and the lines that it logged so far."""

    def __init__(self, process):
        self.process = process
        self.url = ""
        self.lines = []
        self._news = threading.Condition()
        # Read all the time: a server whose pipe is full would wait for us at its next line.
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        for line in self.process.stderr:
            with self._news:
                self.lines.append(json.loads(line) if line.startswith("{") else {"event": "not ours", "text": line})
                self._news.notify()

    def read_until(self, event):
        """Return the first line of this event, waiting for it."""

        def found():
            return next((line for line in self.lines if line["event"] == event), None)

        with self._news:
            assert self._news.wait_for(lambda: found() or not self._reader.is_alive(), timeout=30), self.lines
            return found()

    def stop(self, sent=signal.SIGTERM):
        """End it, and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(sent)
        code = self.process.wait(timeout=30)
        self._reader.join()
        return code


def start(client_silence_s=server.CLIENT_SILENCE_S, **variables):
    """Start a process; text of stderr is piped."""
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(ROOT / "absent")}
    environ |= {f"WEIGHBRIDGE_{name}": value for name, value in variables.items()}
    environ |= {key: value for key, value in os.environ.items() if key.startswith("COVERAGE")}
    command = [sys.executable, "-m", "tests.webhook.served", str(client_silence_s)]
    return subprocess.Popen(command, cwd=ROOT, env=environ, stderr=subprocess.PIPE, text=True)


@contextmanager
def served(*, client_silence_s=server.CLIENT_SILENCE_S, **variables):
    """Serve on a free port of loopback until the block ends."""
    process = start(client_silence_s, **{"LISTEN": "127.0.0.1:0", "STORE": "sqlite:unused.db", **variables})
    running = Served(process)
    running.url = running.read_until("listening")["reason"]
    try:
        yield running
    finally:
        running.stop(signal.SIGKILL if process.poll() is None and sys.exc_info()[0] else signal.SIGTERM)
        process.stderr.close()


if __name__ == "__main__":
    server.CLIENT_SILENCE_S = int(sys.argv[1])
    server.serve("tests.webhook.served_app:create", Settings.from_environ(os.environ))
