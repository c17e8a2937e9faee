"""``weighbridge simulate POLICY``: what a policy would do with releases of a service, before there is one."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from webhook.commands import files, past
from webhook.commands.terminal import Exit, fail, say, say_json

if TYPE_CHECKING:
    from analysis.policy import Policy
    from webhook.simulation.summary import Forecast
    from webhook.simulation.world import World

WEIGHTS = (0.05, 0.1, 0.25, 0.5)
EFFECTS = "1,1.5,2,3,10"
MANY, FEW = 200, 20
"""Releases of each effect: where they can be weighed together, and where each is played through the service."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.epilog = (
        "Plays many releases of an invented service through a policy: how many healthy ones it lets through without a "
        "person, how many it aborts wrongly, what harm it catches, how soon and at what price."
    )
    parser.add_argument("policy", metavar="POLICY", help="policy file, or name of one in --policies or of a preset")
    parser.add_argument("--policies", metavar="DIR", help="folder of policies (default: WEIGHBRIDGE_POLICIES)")
    service = parser.add_argument_group("service")
    service.add_argument("--rps", type=float, required=True, metavar="N", help="requests per second of the service")
    service.add_argument("--share", type=float, default=0.01, metavar="P", help="bad share when healthy (default 0.01)")
    service.add_argument("--latency", default="100ms", metavar="TIME", help="median duration (default 100ms)")
    service.add_argument("--pods", type=int, default=10, metavar="N", help="stable replicas (default 10)")
    service.add_argument(
        "--canary-pods", type=int, metavar="N", help="canary replicas (default: the weight's share of --pods)"
    )
    service.add_argument(
        "--dispersion", type=float, default=1.0, metavar="PHI", help="how clumped errors come, 1 is not (default 1)"
    )
    service.add_argument(
        "--replica-effect", type=float, default=0.1, metavar="SD",
        help="how far replicas differ: sd of the log of their rates (default 0.1)",
    )  # fmt: skip
    service.add_argument(
        "--history", metavar="TIME",
        help="how long stable ran before the release (default: all of the past that the policy reads, noise.history)",
    )  # fmt: skip
    release = parser.add_argument_group("release")
    release.add_argument(
        "--weight", action="append", metavar="SHARE",
        help="weight of a step, or several with commas (default: the policy's steps, else 0.05,0.1,0.25,0.5)",
    )  # fmt: skip
    release.add_argument("--step-time", metavar="TIME", help="shortest time of a step (default: the policy's)")
    release.add_argument("--duration", default="4h", metavar="TIME", help="when it is given up (default 4h)")
    release.add_argument("--look", metavar="TIME", help="length of a look (default: the policy's, at least 1 min)")
    release.add_argument(
        "--effect", action="append", metavar="X",
        help=f"harm of a release, or several with commas; 1 is healthy (default {EFFECTS})",
    )  # fmt: skip
    release.add_argument("--question", metavar="NAME", help="which question is harmed (default: the first)")
    _about_playing(parser)


def _about_playing(parser: argparse.ArgumentParser) -> None:
    playing = parser.add_argument_group("simulation")
    playing.add_argument(
        "--releases", type=int, metavar="N",
        help=f"of each effect (default {MANY}, or {FEW} where more is asked than shares of bad requests)",
    )  # fmt: skip
    playing.add_argument("--seed", type=int, default=0, metavar="N", help="of everything that is drawn (default 0)")
    playing.add_argument("--output", choices=["text", "json"], default="text", help="default text")
    playing.add_argument("--json", dest="output", action="store_const", const="json", help="the same as --output json")


def run(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Play the releases and print what became of them."""
    from webhook.simulation import summary

    found = _forecast(options, environ)
    if options.output == "json":
        say_json(summary.document(found))
    else:
        say(summary.render(found))
    return 0


def _forecast(options: argparse.Namespace, environ: Mapping[str, str]) -> Forecast:
    from webhook.commands.progress import Bar
    from webhook.queries import replica_labels
    from webhook.simulation.batch import batchable, play_all
    from webhook.simulation.played import play, simulated
    from webhook.simulation.summary import Forecast, Row
    from webhook.simulation.world import Release, playable

    asked = _policy(options, environ)
    world = _world(options, asked)
    policy, left_out = playable(asked)
    hidden = [q.name for q in policy.questions if q.kind != "limits" and not replica_labels(policy, q.name)]
    left_out += tuple(f"{name}: that its replicas are hidden, they are visible here" for name in hidden)
    policy = simulated(policy, world)
    if options.step_time is not None:
        policy = replace(policy, min_step=past.seconds(options.step_time, "--step-time"))
    names = [question.name for question in policy.questions if not question.muted and question.kind != "limits"]
    hit = options.question or names[0]
    if hit not in names:
        fail(f"--question: must be one of {', '.join(names)}, got {hit!r}", Exit.USAGE)
    effects = _numbers(options.effect or [EFFECTS], "--effect")
    if any(effect < 1 for effect in effects):
        fail(f"--effect: must be at least 1, got {min(effects):g}", Exit.USAGE)
    together = batchable(policy)
    count = options.releases if options.releases is not None else MANY if together else FEW
    if count < 1:
        fail(f"--releases: must be at least 1, got {count}", Exit.USAGE)
    bar = Bar(sys.stderr, len(effects) * count)
    rows = []
    for effect in effects:
        releases = [Release(world=world, policy=policy, number=n, effect=effect, hit=hit) for n in range(count)]
        word = "healthy releases" if effect == 1 else f"harm {effect:g}x"
        if together:
            ended = play_all(releases, lambda word=word: bar.advance(word=word))  # type: ignore[misc]
        else:
            ended = []
            for release in releases:
                ended.append(play(release))
                bar.advance(word=word)
        rows.append(Row(effect=effect, ended=tuple(ended)))
    bar.close()
    return Forecast(policy=policy, world=world, hit=hit, rows=tuple(rows), left_out=left_out)


def _policy(options: argparse.Namespace, environ: Mapping[str, str]) -> Policy:
    from webhook.policies import Policies, presets
    from webhook.schema import documents
    from webhook.settings import Settings

    settings = Settings.from_environ(environ, policies=options.policies, store="memory:")
    policies = Policies(settings.policies, default=settings.default_policy or None, clock=time.monotonic)
    named = options.policy
    if named == "-" or Path(named).suffix or Path(named).is_file():
        return policies.inline(documents.parse(files.content(named), Path(named).name))
    if named in presets() and named not in [policy.name for policy in policies.all()]:
        return policies.inline({"apiVersion": "weighbridge/v1", "name": named.replace("_", "-"), "preset": named})
    return policies.find(named)


def _world(options: argparse.Namespace, policy: Policy) -> World:
    from analysis.errors import InvalidInput
    from webhook.simulation.world import World

    if options.look is not None:
        look = past.seconds(options.look, "--look")
    else:
        look = max(60.0, policy.looks.length or 0.0)
    weights = _numbers(options.weight, "--weight") if options.weight else None
    steps = weights or tuple(step for step in policy.steps if step < 1) or WEIGHTS
    duration = past.seconds(options.duration, "--duration")
    ran = policy.history if options.history is None else past.seconds(options.history, "--history")
    if options.seed < 0:
        fail(f"--seed: must not be negative, got {options.seed}", Exit.USAGE)
    try:
        return World(
            rps=options.rps, share=options.share, weights=steps, pods=options.pods, canary_pods=options.canary_pods,
            sd=options.replica_effect, dispersion=options.dispersion,
            median=past.seconds(options.latency, "--latency"), look=look, duration=duration,
            history=min(policy.history, ran), seed=options.seed,
        )  # fmt: skip
    except InvalidInput as error:
        fail(f"--{OPTIONS.get(error.place, error.place[1:])}: {error.message}", Exit.USAGE)


OPTIONS = {"/sd": "replica-effect", "/weights": "weight", "/median": "latency", "/canary_pods": "canary-pods"}
"""By the place of what is wrong in a world: the option that said it."""


def _numbers(texts: list[str], option: str) -> tuple[float, ...]:
    """Return the numbers of an option that may be repeated and may hold several with commas."""
    found = [part.strip() for text in texts for part in text.split(",") if part.strip()]
    try:
        return tuple(float(part) for part in found)
    except ValueError:
        fail(f"{option}: must be numbers with commas between them, got {', '.join(texts)!r}", Exit.USAGE)
