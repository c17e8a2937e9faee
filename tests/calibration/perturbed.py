"""
The labelled cases, altered: ``python -m tests.calibration.perturbed FOLDER`` prints how many verdicts change.

FOLDER holds ``*.jsonl.gz`` files of cases. Names, order and units must change nothing; fewer digits, lost history,
lost samples and lost request columns show how much the rule rests on each.
"""

from __future__ import annotations

import copy
import gzip
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from tests.calibration.corpus_judge import decide

Case = dict[str, Any]
SIDES: Final = ("stable", "canary", "history")
LAST: Final = 12


def load(folder: Path) -> list[Case]:
    """Return all cases of a folder."""
    found: list[Case] = []
    for path in sorted(folder.glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            found += [json.loads(line) for line in lines]
    return found


def _each(case: Case, change: Callable[[float, dict[str, Any]], float]) -> None:
    for metric in case["metrics"]:
        for side in SIDES:
            metric[side] = [None if v is None else change(v, metric) for v in metric.get(side) or []]


def renamed(case: Case) -> None:
    """Give every metric another name."""
    for number, metric in enumerate(case["metrics"]):
        metric["name"] = f"x{number}"


def shuffled(case: Case) -> None:
    """Put the metrics into another order."""
    order = np.random.default_rng(len(case["metrics"])).permutation(len(case["metrics"]))
    case["metrics"] = [case["metrics"][i] for i in order]


def in_other_units(case: Case) -> None:
    """Multiply health metrics by 1,000, fractions aside: they would be no fractions any more."""
    _each(case, lambda v, m: v if m["direction"] == "context" or m["unit"] == "fraction" else 1000 * v)


def with_three_digits(case: Case) -> None:
    """Keep three significant digits."""
    _each(case, lambda v, _: float(f"{v:.3g}"))


def without_history(case: Case) -> None:
    """Drop history."""
    for metric in case["metrics"]:
        metric["history"] = []


def with_a_short_stable(case: Case) -> None:
    """Keep the last 12 samples of stable; beside the canary the others are missing."""
    for metric in case["metrics"]:
        gone = max(0, len(metric["stable"]) - LAST)
        metric["stable"] = ([None] * gone if case["aligned"] else []) + metric["stable"][gone:]


def with_missing_samples(case: Case) -> None:
    """Drop every tenth sample of each series, another one of each metric."""
    for number, metric in enumerate(case["metrics"]):
        _thinned(metric, number)


def with_missing_scrapes(case: Case) -> None:
    """Drop every tenth sample of all metrics at once, as where a scrape fails: canaries of four samples keep three."""
    for metric in case["metrics"]:
        _thinned(metric, 7)


def _thinned(metric: dict[str, Any], place: int) -> None:
    for side in SIDES:
        metric[side] = [None if (i + place) % 10 == 0 else v for i, v in enumerate(metric.get(side) or [])]


def without_requests(case: Case) -> None:
    """Drop the columns that turn fractions into counts."""
    case["metrics"] = [m for m in case["metrics"] if m["direction"] != "context"]


NEUTRAL: Final = (renamed, shuffled, in_other_units)
HARMFUL: Final = (
    with_three_digits,
    without_history,
    with_a_short_stable,
    with_missing_samples,
    with_missing_scrapes,
    without_requests,
)


def altered(case: Case, change: Callable[[Case], None]) -> Case:
    """Return a changed copy."""
    found = copy.deepcopy(case)
    change(found)
    return found


def share(verdicts: Sequence[str], word: str) -> float:
    """Return how many percent of the verdicts are ``word``."""
    return 100 * sum(v == word for v in verdicts) / max(len(verdicts), 1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line for every alteration; return 1 if one that must not matter did."""
    chosen = sys.argv[1:] if arguments is None else list(arguments)
    cases = load(Path(chosen[0]))
    plain = [decide(c) for c in cases]
    real = [i for i, c in enumerate(cases) if c["source"] != "injected"]
    good = [i for i in real if cases[i]["label"] == "good"]
    bad = [i for i in real if cases[i]["label"] == "bad" and cases[i].get("headline", True)]
    broken = 0
    print(f"{'alteration':24s} {'changed':>8s} {'false abort':>12s} {'hold on good':>13s} {'miss':>6s}")
    for change in (None, *NEUTRAL, *HARMFUL):
        said = plain if change is None else [decide(altered(c, change)) for c in cases]
        moved = sum(a != b for a, b in zip(plain, said, strict=True))
        broken += moved if change in NEUTRAL else 0
        figures = (share([said[i] for i in good], w) for w in ("abort", "hold"))
        miss = share([said[i] for i in bad], "promote")
        name = "none" if change is None else change.__name__.replace("_", " ")
        print(f"{name:24s} {moved:8d} {next(figures):11.1f}% {next(figures):12.1f}% {miss:5.1f}%")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
