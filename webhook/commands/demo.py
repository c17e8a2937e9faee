"""``weighbridge demo``: a good and a bad release, live, judged by the real service over HTTP."""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from webhook.commands.terminal import Exit, fail, say, say_json

if TYPE_CHECKING:
    from webhook.demo.loopback import OverHTTP
    from webhook.demo.rollout import Demonstration

USUAL_TICKS = 24
"""Questions that a release usually takes to be decided; the wall clock is cut into as many pieces."""
SHORTEST_S, LONGEST_S = 0.0, 600.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.epilog = (
        "Two releases are simulated, one of them with three times the errors. The service that judges them is the "
        "real one, on a free port of this machine; only its clock runs faster. "
        "Ends with 0 if both were decided, 1 if not."
    )
    parser.add_argument("--seconds", type=float, default=20.0, metavar="N", help="about how long it takes (default 20)")
    parser.add_argument("--swap", action="store_true", help="make the first release the bad one")
    parser.add_argument("--seed", type=int, metavar="N", help="of the simulated traffic (default: another every time)")
    parser.add_argument("--json", action="store_true", help="print all answers and both reports as JSON, at the end")


def run(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Play it."""
    if not SHORTEST_S <= options.seconds <= LONGEST_S:
        fail(f"--seconds: must lie between {SHORTEST_S:.0f} and {LONGEST_S:.0f}, got {options.seconds:g}", Exit.USAGE)
    if options.seed is not None and options.seed < 0:
        fail(f"--seed: must not be negative, got {options.seed}", Exit.USAGE)
    from webhook import logs
    from webhook.app import create_app
    from webhook.demo.loopback import OverHTTP, serving
    from webhook.demo.rollout import Demonstration as Both
    from webhook.settings import Settings

    logs.configure("error", "text")
    seed = random.randrange(10**6) if options.seed is None else options.seed
    demonstration = Both.beginning(time.time(), seed=seed, swap=options.swap)
    application = create_app(Settings(), sources=demonstration.sources(), clock=demonstration.clock)
    with serving(application) as port:
        played = _Played(demonstration, OverHTTP(port), options.seconds / USUAL_TICKS, seed)
        return played.as_json() if options.json else played.as_text()


class _Played:
    """One playing: the demonstration, who asks, the wall time of a tick."""

    def __init__(self, demonstration: Demonstration, caller: OverHTTP, tick: float, seed: int) -> None:
        self._demonstration = demonstration
        self._caller = caller
        self._tick = tick
        self._seed = seed
        self._next = time.monotonic()

    def as_text(self) -> int:
        """Show every answer as it comes, then both explanations."""
        from webhook.demo.progress import Progress

        names = tuple(rollout.traffic.name for rollout in self._demonstration.rollouts)
        say(f"Two simulated releases, {' and '.join(names)}: is one of them bad? (seed {self._seed})")
        say("time, canary's share, canary errors/requests vs baseline, odds, what the service says:")
        say()
        progress = Progress(sys.stdout, names)
        for event in self._demonstration.play(self._caller, self._pause):
            progress.show(event)
        for rollout in self._demonstration.rollouts:
            if rollout.last is not None:
                say(f"\n{'=' * 100}\n")
                told = self._caller.text(f"/v1/reports/{rollout.last.report}?format=text")
                # Queries of a simulated source, and a record that ends with this command, help nobody.
                say(told.partition("\nQUERIES\n")[0].partition("\nTHE SAME AGAIN\n")[0].rstrip("\n"))
        say(f"\n{'=' * 100}\n")
        for rollout in self._demonstration.rollouts:
            say(f"{rollout.traffic.name}: {rollout.ended or 'undecided'} at {rollout.weight:.0%} of the traffic")
        return self._code()

    def as_json(self) -> int:
        """Print answers and reports as one document."""
        from webhook.demo.rollout import begun_at, event_document

        events = [event_document(event) for event in self._demonstration.play(self._caller, self._pause)]
        releases = [
            {
                "name": rollout.traffic.name,
                "outcome": rollout.ended or "undecided",
                "weight": rollout.weight,
                "seconds": rollout.last.seconds,
                "report": self._caller.get(f"/v1/reports/{rollout.last.report}?format=json"),
            }
            for rollout in self._demonstration.rollouts
            if rollout.last is not None
        ]
        say_json({"seed": self._seed, "begun": begun_at(self._demonstration), "releases": releases, "events": events})
        return self._code()

    def _pause(self) -> None:
        """Wait for the next tick of the wall clock; our own computing is part of it."""
        self._next = max(self._next + self._tick, time.monotonic() - self._tick)
        time.sleep(max(0.0, self._next - time.monotonic()))

    def _code(self) -> int:
        return 0 if all(rollout.ended for rollout in self._demonstration.rollouts) else 1
