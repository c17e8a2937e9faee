"""
The long calibration: ``python -m tests.calibration [--only T1 T9] [--seed amber] [--scale 0.1] [--report FILE]``.

Prints target, reached figure and verdict of every cell and ends with 1 if one is missed. A share of false alarms
is missed if it would come from its level less than once in a thousand times. A miss that a longer run has shown and a
decision page documents is printed, and ends with 0 as long as it is no worse than that. With ``--report`` each table is
written into its section of that file as soon as it is done.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from tqdm import tqdm  # type: ignore[import-untyped]

from tests.calibration import report
from tests.calibration.ceilings import CEILING_CELLS
from tests.calibration.cells import CELLS, SEEDS, Row
from tests.calibration.delays import DELAY_CELLS
from tests.calibration.drift_kinds import DRIFT_KIND_CELLS
from tests.calibration.drifts import DRIFT_CELLS
from tests.calibration.gauges import GAUGE_CELLS
from tests.calibration.latency_cells import CELLS as LATENCY_CELLS
from tests.calibration.oddities import ODD_CELLS
from tests.calibration.rollouts import ROLLOUT_CELLS
from tests.calibration.splits import SPLITS
from tests.calibration.variations import VARIATION_CELLS
from tests.calibration.warmups import WARMUP_CELLS

EVERY: Final[tuple[Any, ...]] = (
    *CELLS,
    *DELAY_CELLS,
    *SPLITS,
    *LATENCY_CELLS,
    *GAUGE_CELLS,
    *VARIATION_CELLS,
    *ODD_CELLS,
    *DRIFT_CELLS,
    *DRIFT_KIND_CELLS,
    *WARMUP_CELLS,
    *ROLLOUT_CELLS,
    *CEILING_CELLS,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the cells that were asked for; return the exit code."""
    tables = [name for name in report.TITLES if any(cell.table == name for cell in EVERY)]
    parser = argparse.ArgumentParser(prog="python -m tests.calibration", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=tables, default=tables, metavar="TABLE", help=", ".join(tables))
    parser.add_argument("--seed", choices=sorted(SEEDS), help="all releases from one seed, not a third from each")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the releases, for a quick look")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write each table into its section of FILE")
    chosen = parser.parse_args(arguments)
    seeds = {chosen.seed: SEEDS[chosen.seed]} if chosen.seed else SEEDS
    cells = [replace(c, releases=max(30, round(c.releases * chosen.scale))) for c in EVERY if c.table in chosen.only]
    total = sum(getattr(c, "draws", -(-c.releases // len(seeds)) * len(seeds)) for c in cells)
    found: list[Row] = []
    print(f"seeds: {', '.join(f'{name} {seed}' for name, seed in seeds.items())}")
    with tqdm(total=total, unit=" releases", smoothing=0.05, file=sys.stderr) as bar:
        for name in (name for name in tables if name in chosen.only):
            rows: list[Row] = []
            for cell in (cell for cell in cells if cell.table == name):
                bar.set_description(f"{cell.table} {cell.name}"[:44].ljust(44))
                rows += cell.measure(seeds, bar.update)
            found += rows
            if chosen.report:
                written = report.section(name, rows, command(chosen, name), seeds)
                text = chosen.report.read_text(encoding="utf-8")
                chosen.report.write_text(report.replaced(text, name, written), encoding="utf-8")
    print(table(found))
    print(report.within(found))
    return 0 if all(row.passed or row.documented for row in found) else 1


def command(chosen: argparse.Namespace, name: str) -> str:
    """Return the command that makes one table of this run again."""
    scale = "" if chosen.scale == 1 else f" --scale {chosen.scale:g}"
    seed = f" --seed {chosen.seed}" if chosen.seed else ""
    return f"python -m tests.calibration --only {name}{scale}{seed}"


def table(rows: Sequence[Row]) -> str:
    """Return the rows as aligned text."""
    lines = [("table", "cell", "figure", "target", "reached", "verdict", "remark")]
    lines += [
        (r.table, r.cell, r.figure, report.number(r.target), report.number(r.reached), r.verdict, r.remark)
        for r in rows
    ]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines)


if __name__ == "__main__":
    sys.exit(main())
