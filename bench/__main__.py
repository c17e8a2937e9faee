"""``python -m bench``: medians of five runs; ends with 1 if a target is missed."""

from __future__ import annotations

import sys

from bench import evidence, judging, reading, startup


def main() -> int:
    """Print the table; return the exit code."""
    rows = [*evidence.lines(), *reading.lines(), *judging.lines(), *startup.lines()]
    width = max(len(row.name) for row in rows)
    print(f"{'':{width}}  {'reached':>10}  {'target':>8}")
    for row in rows:
        target = "" if row.target is None else f"{row.target:g}"
        verdict = "" if row.target is None else ("ok" if row.passed else "MISSED")
        print(f"{row.name:{width}}  {row.reached:>10.4g}  {target:>8}  {row.unit:4} {verdict}".rstrip())
    return 0 if all(row.passed for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
