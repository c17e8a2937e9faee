"""
Habits of the whole suite: reproducible examples in CI, and no test skipped in silence.

``pytest --strict-skips`` fails when a test is skipped that ``skips.txt`` does not list. A line there is a
node id, in which ``*`` and ``?`` stand for anything, two spaces, ``#`` and the reason.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hypothesis import settings

SKIPS = Path(__file__).with_name("skips.txt")

settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("dev", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "dev")


def allowed_skips(text: str) -> Iterator[tuple[str, str]]:
    """Yield (node id pattern, reason) for each line of ``skips.txt``; a line without a reason is an error."""
    for number, line in enumerate(text.splitlines(), start=1):
        pattern, _, reason = line.partition("#")
        if pattern.strip() and not reason.strip():
            raise pytest.UsageError(f"{SKIPS.name}:{number}: must give a reason after '#', got {line!r}")
        if pattern.strip():
            yield pattern.strip(), reason.strip()


class SkipWatch:
    """Collect what was skipped; under ``--strict-skips`` fail the run for what is not listed."""

    def __init__(self, *, strict: bool) -> None:
        self.strict = strict
        # Brackets of parametrised ids are meant literally.
        self.patterns = [pattern.replace("[", "[[]") for pattern, _ in allowed_skips(SKIPS.read_text())]
        self.unlisted: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not hasattr(report, "wasxfail"):
            self.note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self.note(report)

    def note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if report.skipped and not any(fnmatchcase(report.nodeid, pattern) for pattern in self.patterns):
            self.unlisted[report.nodeid] = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.strict and self.unlisted and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.strict and self.unlisted:
            terminalreporter.section(f"skipped, but not listed in {SKIPS.name}", red=True)
            for nodeid, reason in self.unlisted.items():
                terminalreporter.write_line(f"{nodeid}: {reason}")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--strict-skips", action="store_true", help="fail on skipped tests that are not listed")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(SkipWatch(strict=config.getoption("--strict-skips")), "skip-watch")
