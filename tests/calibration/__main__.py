"""
The long calibration: ``python -m tests.calibration [--only T1 T9] [--seed amber] [--scale 0.1]``.

Prints target, reached figure and verdict of every cell and ends with 1 if one is missed. A share of false alarms
is missed if it would come from its level less than once in a thousand times. A miss that a longer run has shown and a
decision page documents is printed, and ends with 0 as long as it is no worse than that.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import replace

from tqdm import tqdm  # type: ignore[import-untyped]

from tests.calibration.cells import CELLS, SEEDS, Row
from tests.calibration.drifts import DRIFT_CELLS
from tests.calibration.gauges import GAUGE_CELLS
from tests.calibration.latency_cells import CELLS as LATENCY_CELLS
from tests.calibration.rollouts import ROLLOUT_CELLS
from tests.calibration.splits import SPLITS
from tests.calibration.variations import VARIATION_CELLS
from tests.calibration.warmups import WARMUP_CELLS

EVERY = (*CELLS, *SPLITS, *LATENCY_CELLS, *GAUGE_CELLS, *VARIATION_CELLS, *DRIFT_CELLS, *WARMUP_CELLS, *ROLLOUT_CELLS)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the cells that were asked for; return the exit code."""
    tables = sorted({cell.table for cell in EVERY})
    parser = argparse.ArgumentParser(prog="python -m tests.calibration", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=tables, default=tables, metavar="TABLE", help=", ".join(tables))
    parser.add_argument("--seed", choices=sorted(SEEDS), help="all releases from one seed, not a third from each")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the releases, for a quick look")
    chosen = parser.parse_args(arguments)
    seeds = {chosen.seed: SEEDS[chosen.seed]} if chosen.seed else SEEDS
    cells = [replace(c, releases=max(30, round(c.releases * chosen.scale))) for c in EVERY if c.table in chosen.only]
    total = sum(-(-c.releases // len(seeds)) * len(seeds) for c in cells)
    rows: list[Row] = []
    with tqdm(total=total, unit=" releases", smoothing=0.05, file=sys.stderr) as bar:
        for cell in cells:
            bar.set_description(f"{cell.table} {cell.name}"[:44].ljust(44))
            rows += cell.measure(seeds, bar.update)
    print(f"seeds: {', '.join(f'{name} {seed}' for name, seed in seeds.items())}")
    print(table(rows))
    held = [row for row in rows if not math.isnan(row.target)]
    within = sum(row.passed for row in held)
    documented = sum(row.documented and not row.passed for row in held)
    print(f"{within} of {len(held)} figures within target, {documented} missed as documented")
    return 0 if within + documented == len(held) else 1


def table(rows: Sequence[Row]) -> str:
    """Return the rows as aligned text."""
    lines = [("table", "cell", "figure", "target", "reached", "verdict", "remark")]
    lines += [(r.table, r.cell, r.figure, _number(r.target), _number(r.reached), r.verdict, r.remark) for r in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines)


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.4g}"


if __name__ == "__main__":
    sys.exit(main())
