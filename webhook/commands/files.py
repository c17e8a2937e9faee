"""Reading what a command is given: files with a limit, ``-`` for the standard input."""

from __future__ import annotations

import sys
from pathlib import Path

from webhook.commands.terminal import Exit, fail

LARGEST = 64 * 1024 * 1024
"""Bytes of a file: a record of 20,000 looks of many replicas fits."""


def content(path: str) -> bytes:
    """Return the bytes of a file, or of the standard input for ``-``; fail in one line if that cannot be."""
    try:
        if path == "-":
            found = sys.stdin.buffer.read(LARGEST + 1)
        else:
            with Path(path).open("rb") as file:
                found = file.read(LARGEST + 1)
    except OSError as error:
        fail(f"{path}: cannot be read: {error.strerror}", Exit.NO_INPUT)
    if len(found) > LARGEST:
        fail(f"{path}: may have {LARGEST:,} bytes, it has more", Exit.DATA)
    return found
