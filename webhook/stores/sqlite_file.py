"""The file of the SQLite store: its tables, how it is made and opened, and what is refused."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from contextlib import suppress
from pathlib import Path

from webhook.errors import StoreDown

APPLICATION_ID = 0x57424447
"""``WBDG``: marks the file as ours, so that a wrong path does not write into somebody else's database."""

SCHEMA_VERSION = 1

BUSY_TIMEOUT_S = 2.0
"""Seconds to wait for another writer: a quarter of what a whole verdict may take."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS attempts (
    seq INTEGER PRIMARY KEY,
    cluster TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, revision TEXT NOT NULL,
    attempt INTEGER NOT NULL, version INTEGER NOT NULL, changed INTEGER NOT NULL, document BLOB NOT NULL,
    UNIQUE (namespace, name, cluster, revision, attempt)
);
CREATE INDEX IF NOT EXISTS attempts_changed ON attempts (changed);
CREATE TABLE IF NOT EXISTS looks (
    attempt INTEGER NOT NULL REFERENCES attempts, number INTEGER NOT NULL, document BLOB NOT NULL,
    PRIMARY KEY (attempt, number)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS reports (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,
    cluster TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, revision TEXT NOT NULL,
    attempt INTEGER NOT NULL, closing INTEGER NOT NULL, written REAL NOT NULL, document BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS reports_release ON reports (namespace, name, cluster, revision, attempt);
CREATE INDEX IF NOT EXISTS reports_written ON reports (written) WHERE NOT closing;
CREATE TABLE IF NOT EXISTS overrides (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,
    namespace TEXT NOT NULL, name TEXT NOT NULL, document BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS overrides_release ON overrides (namespace, name);
CREATE TABLE IF NOT EXISTS gates (
    cluster TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
    version INTEGER NOT NULL, changed INTEGER NOT NULL, document BLOB NOT NULL,
    PRIMARY KEY (namespace, name, cluster)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ping (only INTEGER PRIMARY KEY CHECK (only = 1), at REAL NOT NULL);
"""
NEWEST_TABLE = "gates"
"""A file of an earlier version gets what it lacks, and stays readable for that version."""


def close(connections: list[sqlite3.Connection]) -> None:
    """Close connections; one that cannot be closed is left to its end."""
    for connection in connections:
        with suppress(sqlite3.Error):
            connection.close()


def connect(path: Path) -> sqlite3.Connection:
    """Open a database that exists already; lent to one thread at a time, so any thread may use it."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",
        uri=True,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA journal_size_limit = 16777216")
    except BaseException:
        close([connection])
        raise
    return connection


def create(path: Path) -> sqlite3.Connection:
    """Open the database, making file and tables where they are absent; refuse one that is not ours."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # One process at a time, because the switch to the log does not wait for others. The folder is locked
    # and not the file: closing a second descriptor of the file would drop SQLite's own locks.
    folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        with suppress(FileExistsError):
            # SQLite gives its log and its shared memory the mode of the main file.
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
        return _prepared(path)
    finally:
        os.close(folder)


def _prepared(path: Path) -> sqlite3.Connection:
    """Return a connection to a file that has our tables and writes ahead."""
    connection = connect(path)
    try:
        _make_tables(connection, path)
        mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            raise StoreDown(f"{path.name}: needs write-ahead logging, the file system gives {mode!r}")
    except BaseException:
        close([connection])
        raise
    return connection


def _make_tables(connection: sqlite3.Connection, path: Path) -> None:
    if _is_ready(connection, path):
        return
    connection.execute("BEGIN IMMEDIATE")
    if not _is_ready(connection, path):  # another process may have been quicker
        for statement in SCHEMA.split(";\n"):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    connection.execute("COMMIT")


def _is_ready(connection: sqlite3.Connection, path: Path) -> bool:
    """Return whether the tables are there, without waiting for writers; `StoreDown` if they are not ours."""
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    (mark,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if tables and mark != APPLICATION_ID:
        raise StoreDown(f"{path.name}: is a database of another program; choose another path")
    if version > SCHEMA_VERSION:
        raise StoreDown(f"{path.name}: has schema {version}, this version knows up to {SCHEMA_VERSION}")
    return NEWEST_TABLE in tables
