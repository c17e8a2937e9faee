"""
One cluster for all scenarios, and all scenarios at the same time.

A test that takes ``cluster`` is a scenario: all that were selected start together when the first one is reached, each
in a thread; pytest then only waits for them, one after the other. ``@pytest.mark.timeout(seconds)`` is a scenario's own
time limit, counted from its own start. Fixtures other than ``cluster`` are not for scenarios, parameters are.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from e2e.harness.cluster import Cluster
from e2e.harness.figures import FILE
from e2e.harness.namespace import isolated
from e2e.harness.process import PATIENCE
from e2e.harness.stage import Scenario, Stage
from e2e.harness.tools import ROOT

AT_ONCE = 14
LIMIT_S = 300.0
"""Of a scenario that names none."""
STAGE = pytest.StashKey[Stage]()
FIGURES = pytest.StashKey[str]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a person on a small machine play fewer at a time, and keep the data to look at."""
    parser.addoption("--at-once", type=int, default=AT_ONCE, help="scenarios that play at the same time")
    parser.addoption("--patience", type=float, default=1.0, help="factor of all time limits, for a busy machine")
    parser.addoption("--keep", type=Path, help="folder for data and logs, kept; default: a temporary one")


def pytest_configure(config: pytest.Config) -> None:
    """Overlook sockets that are found open: the scenarios kill whom they speak to."""
    config.addinivalue_line("filterwarnings", "ignore::ResourceWarning")
    config.addinivalue_line("filterwarnings", "ignore::pytest.PytestUnraisableExceptionWarning")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Refuse to run where controllers could reach anything."""
    if not isolated():
        raise pytest.UsageError("the scenarios run in a network of their own: make e2e")
    PATIENCE.factor = session.config.getoption("--patience")
    session.stash[STAGE] = Stage(session.config.getoption("--at-once"))


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Start everything once."""
    kept: Path | None = request.config.getoption("--keep")
    folder = (kept or tmp_path_factory.mktemp("e2e")).resolve()
    if kept and folder.exists():
        shutil.rmtree(folder)
    made = Cluster(folder)
    try:
        made.start()
        yield made
    finally:
        made.stop()
        made.figures.write()
        request.config.stash[FIGURES] = made.figures.table()


def _is_scenario(item: pytest.Item) -> bool:
    return isinstance(item, pytest.Function) and "cluster" in item.fixturenames


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the stage keep the time of scenarios: pytest's own clock would count the waiting for the others."""
    for item in items:
        if _is_scenario(item):
            item.add_marker(pytest.mark.timeout(0), append=False)


def _scenario(item: pytest.Function, cluster: Cluster) -> Scenario:
    limits = [float(mark.args[0]) for mark in item.iter_markers("timeout") if mark.args[0]]
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    call = partial(item.obj, cluster=cluster, **parameters)
    limit = (limits[0] if limits else LIMIT_S) * PATIENCE.factor
    return Scenario(name=item.nodeid, limit=limit, call=call)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> object:
    """Begin all scenarios at the first one, then wait for this one."""
    if not _is_scenario(pyfuncitem):
        return None
    stage = pyfuncitem.session.stash[STAGE]
    if not stage.scenarios:
        cluster = pyfuncitem.funcargs["cluster"]
        assert isinstance(cluster, Cluster)
        chosen = [item for item in pyfuncitem.session.items if isinstance(item, pytest.Function) and _is_scenario(item)]
        stage.begin([_scenario(item, cluster) for item in chosen])
    next(one for one in stage.scenarios if one.name == pyfuncitem.nodeid).outcome()
    return True


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say how long each scenario took, which pytest cannot know."""
    session = terminalreporter._session
    stage = session.stash.get(STAGE, None) if session else None
    if stage and stage.scenarios:
        terminalreporter.section("seconds of each scenario, of those allowed")
        for scenario in sorted(stage.scenarios, key=lambda one: -one.seconds):
            terminalreporter.write_line(f"{scenario.seconds:6.0f} /{scenario.limit:4.0f}  {scenario.name}")
    if table := config.stash.get(FIGURES, ""):
        terminalreporter.section(f"figures, also in {FILE.relative_to(ROOT)}")
        terminalreporter.write_line(table)
