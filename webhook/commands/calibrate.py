"""``weighbridge calibrate``: how often a policy would have aborted, frozen or held releases that change nothing."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from webhook.commands import past
from webhook.commands.terminal import Exit, fail, say, say_json

if TYPE_CHECKING:
    from webhook.placebo.summary import Summary
    from webhook.placebo.trial import Conduct

MOST_WINDOWS = 2000


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.epilog = (
        "Stable replicas play the canary and are judged as a release would have been: how many were aborted, frozen "
        "and held stands next to what the policy promises. "
        "Ends with 0 if the promise is not contradicted, 1 if it is broken, 64 and above for errors."
    )
    past.configure(parser, canary=False)
    trial = parser.add_argument_group("placebos")
    trial.add_argument("--length", default="1h", metavar="TIME", help="length of one release (default 1h)")
    trial.add_argument("--replicas", type=int, default=1, metavar="N", help="replicas that play the canary (default 1)")
    trial.add_argument("--per-window", type=int, default=1, metavar="N", help="placebos at a time (default 1)")
    trial.add_argument("--every", default="5m", metavar="TIME", help="time between two verdicts (default 5m)")
    trial.add_argument("--stage", choices=["step", "final"], default="final", help="what is asked for (default final)")
    trial.add_argument("--seed", type=int, default=0, metavar="N", help="chooses the replicas (default 0)")
    output = parser.add_argument_group("output")
    output.add_argument("--output", choices=["text", "json"], default="text", help="default text")
    output.add_argument("--json", dest="output", action="store_const", const="json", help="the same as --output json")


def run(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Judge the placebos and print what became of them."""
    from webhook.placebo import summary

    found = _summary(options, past.read(options, environ, time.time()))
    if options.output == "json":
        say_json(summary.document(found))
    else:
        say(summary.render(found))
    if not found.placebos:
        return Exit.UNAVAILABLE
    return 1 if found.broken else 0


def _summary(options: argparse.Namespace, asked: past.Past) -> Summary:
    import numpy as np

    from webhook.commands.progress import Bar
    from webhook.errors import WebhookError
    from webhook.placebo.summary import Summary
    from webhook.placebo.trial import Placebo, Service, Window, judged_part, lag_of, skipped, trials, windows

    conduct, length = _conduct(options, asked)
    policy, left_out = judged_part(asked.policy)
    stretches = windows(asked.start, min(asked.end, time.time() - lag_of(policy)), length)
    if not 1 <= len(stretches) <= MOST_WINDOWS:
        fail(f"--start: 1 to {MOST_WINDOWS} windows of {options.length} must fit, got {len(stretches)}", Exit.USAGE)
    service = Service(
        namespace=options.namespace, name=options.name, stable_revision=options.stable_revision,
        cluster=asked.settings.cluster,
    )  # fmt: skip
    bar = Bar(sys.stderr, len(stretches) * options.per_window)
    found: list[Placebo] = []
    empty: list[tuple[Window, str]] = []
    for number, window in enumerate(stretches):
        before = len(found)
        rng = np.random.default_rng([options.seed, number])
        try:
            for one in trials(asked.source, policy, service, window, rng, conduct):
                found.append(one)
                bar.advance()
        except WebhookError as error:
            empty.append((window, skipped(error)))
        bar.advance(options.per_window - (len(found) - before))
    bar.close()
    return Summary(
        policy=policy, service=service, conduct=conduct, length=length, windows=stretches, placebos=tuple(found),
        skipped=tuple(empty), left_out=left_out, seed=options.seed,
    )  # fmt: skip


def _conduct(options: argparse.Namespace, asked: past.Past) -> tuple[Conduct, float]:
    """Return how placebos are made, and how long each lasts."""
    from analysis.types import Stage
    from webhook.placebo.trial import Conduct

    for name in ("replicas", "per_window", "seed"):
        least = int(name != "seed")
        if getattr(options, name) < least:
            fail(f"--{name.replace('_', '-')}: must be at least {least}, got {getattr(options, name)}", Exit.USAGE)
    length, every = past.seconds(options.length, "--length"), past.seconds(options.every, "--every")
    if every > length:
        fail(f"--every: must not be longer than a release of {options.length}, got {options.every}", Exit.USAGE)
    conduct = Conduct(
        replicas=options.replicas, splits=options.per_window, every=every, stage=Stage(options.stage),
        timeout=asked.settings.source_timeout_s,
    )  # fmt: skip
    return conduct, length
