"""What every command says and how it ends: exit codes, one line for an error, JSON or text."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable
from enum import IntEnum
from typing import Any, NoReturn


class Exit(IntEnum):
    """
    Exit codes: verdicts below 64, errors from there on (the numbers of BSD's ``sysexits.h``).

    0 and 1 also say whether a check found nothing or something.
    """

    PROMOTE = 0
    HOLD = 1
    ABORT = 2
    USAGE = 64
    DATA = 65
    NO_INPUT = 66
    UNAVAILABLE = 69
    SOFTWARE = 70
    CANNOT_WRITE = 73
    CONFIG = 78
    INTERRUPTED = 130


class CommandError(Exception):
    """
    A command cannot do what it was asked.

    Parameters
    ----------
    message : str
        One line: what, where, rule and value.
    code : Exit
        What the process ends with.
    """

    def __init__(self, message: str, code: Exit) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


def fail(message: str, code: Exit) -> NoReturn:
    """Raise `CommandError`."""
    raise CommandError(message, code)


def say(text: str = "") -> None:
    """Write one or several lines to the standard output, at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def say_json(document: Any) -> None:
    """Write a document as strict JSON for people and programs: indented, letters as they are."""
    say(json.dumps(document, allow_nan=False, ensure_ascii=False, indent=2))


def complain(message: str) -> None:
    """Write one line about an error to the standard error output."""
    line = " ".join(message.split())
    sys.stderr.write(f"weighbridge: {line}\n")


def ending(run: Callable[[], int]) -> int:
    """
    Return the exit code of a command; an error on purpose is one line, a broken pipe is silence.

    Whoever reads our output may stop (``| head``); an interrupt is an end and not a fault.
    """
    # Imported here: the errors of the service know no module that is slow to load.
    from analysis.errors import AnalysisError
    from webhook.errors import WebhookError
    from webhook.settings import InvalidSettings

    try:
        return run()
    except CommandError as error:
        complain(error.message)
        return error.code
    except InvalidSettings as error:
        complain(str(error))
        return Exit.CONFIG
    except (AnalysisError, WebhookError) as error:
        complain(str(error))
        return Exit.DATA
    except BrokenPipeError:
        # Python would complain once more when it flushes the stream at its end.
        sys.stdout = None
        return Exit.CANNOT_WRITE
    except OSError as error:
        named = f"{error.filename}: " if error.filename else ""
        complain(f"{named}{error.strerror or error}")
        return Exit.NO_INPUT
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - Python's own exit code would be 1, and 1 says hold
        traceback.print_exc()
        complain(f"something of ours is broken: {type(error).__name__}: {error}")
        return Exit.SOFTWARE
