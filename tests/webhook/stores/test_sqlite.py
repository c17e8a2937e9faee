"""What the SQLite file promises beyond the port: crashes, other processes, full disks, wrong files."""

from __future__ import annotations

import itertools
import os
import signal
import sqlite3
import stat
import tempfile
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.webhook.stores.documents import RELEASE, look, opened, report
from tests.webhook.stores.writers import program
from webhook.errors import StoreDown
from webhook.ports import Write
from webhook.stores.sqlite import SQLiteStore
from webhook.stores.sqlite_file import SCHEMA_VERSION


def kill(process):
    """Send SIGKILL, and wait for the end."""
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=30)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "weighbridge.db"


@pytest.fixture
def sqlite_store(path):
    store = SQLiteStore(path)
    yield store
    store.close()


@pytest.mark.parametrize("kills", [pytest.param(4, id="killed four times")])
def test_kill_9_in_mid_write_loses_no_acknowledged_report(path, sqlite_store, kills):
    """Whatever was acknowledged before SIGKILL is there, and nothing is there by halves."""
    acknowledged = []
    for number in range(1, kills + 1):
        with program("endless", path, number) as writer:
            lines = iter(writer.stdout.readline, "")
            # Killed after a few more acknowledgements each time, while the next write is under way.
            seen = list(itertools.islice(lines, 3 + 2 * number))
            kill(writer)
            seen += list(lines)
        acknowledged += [line.strip() for line in seen if line.startswith("r_")]
    assert len(acknowledged) >= 2 * kills
    missing = [name for name in acknowledged if sqlite_store.report(name) is None]
    assert missing == []
    for kept in sqlite_store.attempts("shop", "checkout"):
        # Version, looks and reports of one attempt were each written together or not at all.
        number = kept["attempt"]
        reports = sqlite_store.reports(RELEASE, number, limit=10_000)
        assert kept["version"] - 1 == len(sqlite_store.looks(RELEASE, number)) == len(reports)
        assert kept.get("last") == (reports[0]["id"] if reports else None)
    sqlite_store.ping()


def test_processes_lose_no_update(path, sqlite_store):
    """Four processes that create the file at once and write the same attempt count to the exact sum."""
    with ExitStack() as stack:
        writers = [stack.enter_context(program("count", path, 25)) for _ in range(4)]
        for writer in writers:
            assert writer.stdout.readline() == "ready\n"
        for writer in writers:
            writer.stdin.write("go\n")
            writer.stdin.flush()
        assert [writer.stdout.readline() for writer in writers] == ["done\n"] * 4
    kept = sqlite_store.attempt(RELEASE, 1)
    assert (kept["count"], kept["version"]) == (100, 100)
    assert len(sqlite_store.looks(RELEASE, 1)) == 100


def test_a_full_disk_is_store_down(path, sqlite_store):
    """The write that does not fit raises `StoreDown`; everything acknowledged before it is there."""
    with program("full", path, 3_000_000) as writer:
        lines = writer.stdout.read().splitlines()
    assert lines[-1].startswith("down ")
    acknowledged = lines[:-1]
    assert len(acknowledged) > 10
    assert all(sqlite_store.report(name) for name in acknowledged)
    assert len(sqlite_store.reports(RELEASE, limit=10_000)) == len(acknowledged)


def test_a_file_that_may_only_be_read_is_store_down(sqlite_store):
    """A probe and a write both say so, in the words of the database or the system."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weighbridge.db"
        made = SQLiteStore(path)
        made.ping()
        made.close()
        path.chmod(0o444)
        Path(folder).chmod(0o555)
        with program("forbidden", path) as process:
            lines = process.stdout.read().splitlines()
        Path(folder).chmod(0o755)
    assert [line.split()[0] for line in lines] == ["down", "down"]


def a_folder(path):
    path.mkdir(parents=True)


def a_file_above(path):
    path.parent.write_text("not a folder")


def noise(path):
    path.parent.mkdir()
    path.write_bytes(b"certainly not a database" * 400)


def another_program(path):
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (id INTEGER)")


def a_newer_schema(path):
    store = SQLiteStore(path)
    store.ping()
    store.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        pytest.param(a_folder, "unable to open", id="a folder is there"),
        pytest.param(a_file_above, "exists|Not a directory", id="its folder is a file"),
        pytest.param(noise, "not a database", id="no database"),
        pytest.param(another_program, "another program", id="a database of another program"),
        pytest.param(a_newer_schema, f"schema {SCHEMA_VERSION + 1}", id="written by a newer version"),
    ],
)
def test_a_wrong_file_is_store_down_and_left_alone(path, spoil, says):
    """Construction never fails; every call says what is wrong, and nothing is changed or made."""
    spoil(path)
    before = path.read_bytes() if path.is_file() else None
    store = SQLiteStore(path)
    for call in (store.ping, store.releases, lambda: store.write(Write(report=report("r_1")))):
        with pytest.raises(StoreDown, match=says):
            call()
    assert (path.read_bytes() if path.is_file() else None) == before
    store.close()


def test_a_writer_that_does_not_let_go_is_store_down(path, sqlite_store, monkeypatch):
    """A lock held by another process ends a write after the busy timeout; reading goes on."""
    monkeypatch.setattr("webhook.stores.sqlite_file.BUSY_TIMEOUT_S", 0.05)
    opened(sqlite_store)
    second = SQLiteStore(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreDown, match="locked"):
            second.ping()
        assert second.attempt(RELEASE, 1) is not None
    second.ping()
    second.close()


def test_a_damaged_document_is_store_down(path, sqlite_store):
    """Bytes that are no document are a fault of the store, not an empty answer."""
    opened(sqlite_store)
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE attempts SET document = x'00'")
    with pytest.raises(StoreDown, match="damaged"):
        sqlite_store.attempt(RELEASE, 1)


def test_file_log_and_folder_belong_to_us_alone(path, sqlite_store):
    """Reports name services and people: nobody else on the machine reads them."""
    opened(sqlite_store)
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in path.parent.iterdir()}
    assert modes == dict.fromkeys(("weighbridge.db", "weighbridge.db-wal", "weighbridge.db-shm"), 0o600)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("parts", [pytest.param("*", id="with its log"), pytest.param("*.db", id="alone")])
def test_a_removed_file_is_made_anew(path, sqlite_store, parts):
    """A store that is wiped under a running service is empty, and keeps what is written next."""
    opened(sqlite_store)
    for part in path.parent.glob(parts):
        part.unlink()
    assert sqlite_store.attempt(RELEASE, 1) is None
    opened(sqlite_store)
    other = SQLiteStore(path)
    assert other.attempt(RELEASE, 1) is not None
    other.close()


def test_a_second_store_on_the_file_reads_what_the_first_wrote(path, sqlite_store):
    """The file is all there is: nothing is kept in memory."""
    sqlite_store.write(Write(attempt=opened(sqlite_store), looks=[(0, look(0))], report=report("r_1")))
    other = SQLiteStore(path)
    assert (other.attempt(RELEASE, 1)["version"], other.looks(RELEASE, 1)) == (2, [look(0)])
    assert other.report("r_1") == report("r_1")
    other.close()


def test_a_child_process_opens_its_own_connection(path, sqlite_store):
    """A fork after the first use neither shares nor closes the parent's connection."""
    opened(sqlite_store)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            sqlite_store.write(Write(report=report("r_child")))
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    sqlite_store.write(Write(report=report("r_parent")))
    assert [r["id"] for r in sqlite_store.reports(RELEASE)] == ["r_parent", "r_child"]


def test_pruning_is_done_in_portions(sqlite_store):
    """A large backlog goes in several short transactions, so that no writer waits long."""
    for number in range(5):
        sqlite_store.write(Write(report=report(f"r_{number}")))
    later = 4e9
    assert [sqlite_store.prune(later, most=3), sqlite_store.prune(later), sqlite_store.prune(later)] == [
        3,
        2,
        0,
    ]
