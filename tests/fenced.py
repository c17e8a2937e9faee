"""Fenced blocks of the documentation: found, run against a service of their own, and compared with what they show."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from werkzeug.serving import WSGIRequestHandler, make_server

FENCE = re.compile(r"^(```+)([^\n`]*)\n(.*?)^\1[ \t]*$", re.MULTILINE | re.DOTALL)
SHOWN_AT = "127.0.0.1:8080"
"""Where the documentation says that the service listens."""
ANYTHING = "…"
"""Stands in a shown output for whatever is there."""
TIMEOUT_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One fenced block: its language, the file it is to be written to if it names one, and the line it begins at."""

    path: Path
    line: int
    language: str
    file: str
    text: str

    @property
    def place(self) -> str:
        """Return ``README.md:12``."""
        return f"{self.path.name}:{self.line}"


def blocks(path: Path) -> list[Block]:
    """Return the fenced blocks of a page."""
    text = path.read_text()
    found = []
    for match in FENCE.finditer(text):
        language, _, file = match[2].strip().partition(" ")
        line = text.count("\n", 0, match.start()) + 1
        found.append(Block(path=path, line=line, language=language, file=file.strip(), text=match[3]))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command of a console block and the output that is shown below it, which may be none."""

    text: str
    shown: str


def commands(block: Block) -> Iterator[Command]:
    """Yield the commands of a console block: ``$ `` begins one, a final backslash continues it."""
    lines = block.text.splitlines()
    position = 0
    while position < len(lines):
        assert lines[position].startswith("$ "), f"{block.place}: a console block begins with a command"
        command = [lines[position][2:]]
        while command[-1].endswith("\\"):
            position += 1
            command.append(lines[position])
        position += 1
        output = []
        while position < len(lines) and not lines[position].startswith("$ "):
            output.append(lines[position])
            position += 1
        yield Command(text="\n".join(command), shown="\n".join(output).strip("\n"))


def alike(shown: str, real: str) -> bool:
    """Return whether an output is what is shown; ``…`` stands for anything, space at the end of lines for nothing."""
    pattern = ".*?".join(re.escape(part) for part in _trimmed(shown).split(ANYTHING))
    return re.fullmatch(pattern, _trimmed(real), re.DOTALL) is not None


def _trimmed(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip("\n").splitlines())


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What a command came to."""

    code: int
    output: str


def run(command: str, folder: Path, served: str) -> Ran:
    """Run a command of the documentation in a folder, with the service where it listens for this test."""
    environ = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run(
        ["bash", "-uo", "pipefail", "-c", command.replace(SHOWN_AT, served)],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    return Ran(code=done.returncode, output=(done.stdout + done.stderr).replace(served, SHOWN_AT))


class Quiet(WSGIRequestHandler):
    """Writes no access log."""

    def log(self, type: str, message: str, *args: object) -> None:
        """Write nothing."""


@contextmanager
def listening(app) -> Iterator[str]:
    """Serve an application on a free port of loopback for the length of a ``with`` block; yields ``HOST:PORT``."""
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def written(found: list[Block], folder: Path) -> None:
    """Write every block that names a file."""
    for block in found:
        if block.file:
            target = folder / block.file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.text)


def words(command: str) -> list[str]:
    """Return the words of a command, continuation lines joined."""
    return shlex.split(command.replace("\\\n", " "))


def anchors(text: str) -> set[str]:
    """Return the anchors that the headings of a page make."""
    headings = re.findall(r"^#{1,6} +(.+?) *$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def tables(text: str) -> Iterator[tuple[list[str], list[list[str]]]]:
    """Yield header and rows of every table of a page, cells without code marks."""
    for match in re.finditer(r"^\|(.+)\|\n\|[-| :]+\|\n((?:\|.+\|\n?)*)", text, re.MULTILINE):
        rows = [_cells(row) for row in match[2].splitlines()]
        yield _cells(f"|{match[1]}|"), rows


def _cells(row: str) -> list[str]:
    return [cell.strip().replace("`", "") for cell in re.split(r"(?<!\\)\|", row.strip()[1:-1])]


def columns(text: str, heading: str) -> list[str]:
    """Return the first cells of the first table below a heading."""
    _, _, below = text.partition(f"\n{heading}\n")
    assert below, f"no heading {heading!r}"
    _, rows = next(tables(below))
    return [row[0] for row in rows]
