"""``weighbridge replay``: a past window, judged look by look as it would have been judged then."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from analysis.types import Mode, Stage
from webhook.commands import past
from webhook.commands.judge import CODES
from webhook.commands.terminal import Exit, fail, say, say_json

if TYPE_CHECKING:
    from webhook.replaying import Replay

MOST_VERDICTS = 5000


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.epilog = (
        "What would have been decided when, and the report of the last verdict. "
        "Ends with 0 for promote, 1 for hold, 2 for abort, 64 and above for errors."
    )
    past.configure(parser, canary=True)
    asked = parser.add_argument_group("asking")
    asked.add_argument("--every", metavar="TIME", help="time between two verdicts (default: one a look)")
    asked.add_argument("--stage", choices=[stage.value for stage in Stage], help="what is asked for")
    asked.add_argument("--next-weight", metavar="SHARE", help="share of traffic after the next step, such as 0.25")
    output = parser.add_argument_group("output")
    output.add_argument("--all", action="store_true", help="show every verdict, not only where something changed")
    output.add_argument("--output", choices=["text", "json"], default="text", help="default text")
    output.add_argument("--json", dest="output", action="store_const", const="json", help="the same as --output json")


def run(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Replay the window and print its history and its report."""
    from webhook import replaying

    found = _replayed(options, environ)
    document = replaying.report(found)
    if options.output == "json":
        say_json({"history": [replaying.moment_document(one) for one in found.moments], "report": document})
    else:
        from webhook.explain import text

        say(replaying.history(found, every=options.all))
        # Nobody keeps this report, so there is no record to be fetched under its id.
        say(text.render(document).partition("\nTHE SAME AGAIN\n")[0].rstrip("\n"))
    return CODES[document["would"]]


def _replayed(options: argparse.Namespace, environ: Mapping[str, str]) -> Replay:
    from webhook.commands.progress import Bar
    from webhook.replaying import moments, read
    from webhook.schema import scalars
    from webhook.schema.request import Ask

    asked = past.read(options, environ, time.time())
    next_weight = None
    if options.next_weight is not None:
        next_weight = scalars.share(options.next_weight, "--next-weight", loose=True)
    ask = Ask(
        namespace=options.namespace, name=options.name, revision=options.revision,
        stable_revision=options.stable_revision, cluster=asked.settings.cluster, from_=asked.start, to=asked.end,
        stage=Stage(options.stage) if options.stage else None, next_weight=next_weight,
    )  # fmt: skip
    known = read(asked.source, asked.policy, ask, timeout=asked.settings.source_timeout_s)
    every = past.seconds(options.every, "--every") if options.every else None
    times = known.times(every)
    if len(times) > MOST_VERDICTS:
        fail(f"--every: at most {MOST_VERDICTS} verdicts are given, got {len(times)}", Exit.USAGE)
    bar = Bar(sys.stderr, len(times))
    found = []
    for one in moments(known, times):
        found.append(one)
        bar.advance()
    bar.close()
    mode: Mode | None = asked.settings.mode
    return replace(known, moments=tuple(found), mode=mode or asked.policy.mode or Mode.ENFORCE)
