"""
The command ``weighbridge``: options, and which command they are for.

Only this file knows the arguments and the environment of the process; commands get both passed in and
are imported when they run, so that ``--help`` and the server start at once.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

from webhook.commands.terminal import CommandError, Exit, complain, ending

DESCRIPTION = """\
Weighs a release at every step and says promote, hold or abort: to Argo Rollouts, to Flagger, to curl."""

EPILOG = """\
examples:
  weighbridge serve --prometheus http://127.0.0.1:9090 --policies policies/
  weighbridge judge release.json
  weighbridge policy check policies/ --prometheus http://127.0.0.1:9090 --namespace shop --name checkout
  weighbridge demo

exit codes: judge ends with 0 promote, 1 hold, 2 abort; a check with 0 fine, 1 problems; errors are 64 and above."""

COMMANDS = {
    "serve": "answer Argo Rollouts, Flagger and people over HTTP",
    "judge": "judge numbers from a file, offline",
    "policy": "check policies, print their schema",
    "simulate": "see what a policy would do, before there is a release",
    "calibrate": "see on a past period whether a policy keeps its promises",
    "replay": "judge a past window of a source, look by look",
    "demo": "watch a good and a bad release, live, with nothing installed",
    "token": "make a token for the tokens file",
}
"""Each has a module of its name in ``webhook.commands`` with ``configure(parser)`` and ``run(options, environ)``."""

THREADS = "OPENBLAS_NUM_THREADS"
"""Read by numpy when it is imported. Matrices are small here, and workers are processes: more than one thread for each
product costs more than it brings, many times over where cores are busy."""


class Layout(argparse.RawDescriptionHelpFormatter):
    """Help in which every command stands on the line of its summary; argparse forgets that commands are indented."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog)
        self._action_max_length = max(map(len, COMMANDS)) + 4


class Parser(argparse.ArgumentParser):
    """A parser whose mistakes are one line and never exit code 2, which would say abort."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and where help is."""
        raise CommandError(f"{message} (try: {self.prog} --help)", Exit.USAGE)


def main(arguments: Sequence[str] | None = None, environ: Mapping[str, str] | None = None) -> int:
    """
    Run one command.

    Parameters
    ----------
    arguments : sequence of str, optional
        Default: those of the process.
    environ : mapping, optional
        Default: that of the process.

    Returns
    -------
    int
        The exit code, see `webhook.commands.terminal.Exit`.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if environ is None:
        os.environ.setdefault(THREADS, "1")
    variables = os.environ if environ is None else environ
    return ending(lambda: _run(words, variables))


def _run(words: Sequence[str], environ: Mapping[str, str]) -> int:
    # Only the command that is asked for is imported; its name is the first word that is no option.
    named = next((word for word in words if not word.startswith("-")), "")
    parser = Parser(
        prog="weighbridge",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=Layout,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="store_true", help="print the version and end")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for name, summary in COMMANDS.items():
        sentence = f"{summary[0].upper()}{summary[1:]}."
        below = commands.add_parser(name, help=summary, description=sentence, allow_abbrev=False)
        if name == named:
            _module(name).configure(below)
    options = parser.parse_args(words)
    if options.version:
        return _version()
    if options.command is None:
        parser.print_help()
        return Exit.USAGE
    return int(_module(options.command).run(options, environ))


def _module(command: str):  # type: ignore[no-untyped-def]
    return importlib.import_module(f"webhook.commands.{command}")


def _version() -> int:
    import importlib.metadata

    try:
        found = importlib.metadata.version("weighbridge")
    except importlib.metadata.PackageNotFoundError:
        complain("is not installed, so it has no version")
        return Exit.SOFTWARE
    sys.stdout.write(f"weighbridge {found}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
