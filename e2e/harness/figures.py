"""Figures that one run measured, side by side: printed at the end, kept in a file, copied into docs/e2e.md."""

from __future__ import annotations

import threading
from pathlib import Path

from e2e.harness.tools import MADE

FILE = MADE / "figures.md"
NOT_MEASURED = "–"


class Figures:
    """A table: rows by what was measured, columns by whose it is. Threads may share it."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[str, str]] = {}
        self._lock = threading.Lock()

    def note(self, row: str, column: str, figure: float | str) -> None:
        """Keep one figure; a number is seconds."""
        text = figure if isinstance(figure, str) else f"{figure:.0f} s"
        with self._lock:
            self._rows.setdefault(row, {})[column] = text

    def table(self) -> str:
        """Return the table in Markdown, empty if nothing was measured."""
        with self._lock:
            rows = {row: dict(columns) for row, columns in sorted(self._rows.items())}
        if not rows:
            return ""
        columns = list(dict.fromkeys(column for cells in rows.values() for column in sorted(cells)))
        lines = [["", *columns], ["---"] * (len(columns) + 1)]
        lines += [[row, *(cells.get(column, NOT_MEASURED) for column in columns)] for row, cells in rows.items()]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"

    def write(self, path: Path = FILE) -> None:
        """Write the table, if anything was measured."""
        if table := self.table():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(table)
