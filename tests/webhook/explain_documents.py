"""Report documents written by hand, and ways to damage them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

GOLDEN = Path(__file__).parents[1] / "golden" / "explain"
NAMES = sorted(path.stem for path in GOLDEN.glob("*.json"))


def document(name: str) -> dict[str, Any]:
    return json.loads((GOLDEN / f"{name}.json").read_text())


def places(value: Any, here: tuple = ()) -> list[tuple]:
    """Return the path of every key and list entry below ``value``."""
    found = []
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        found += [(*here, key), *places(item, (*here, key))]
    return found


@st.composite
def damaged(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a document in which up to eight parts are gone, None, or of a wrong type."""
    made = document(draw(st.sampled_from(NAMES)))
    for _ in range(draw(st.integers(1, 8))):
        *path, last = draw(st.sampled_from(places(made)))
        inner = made
        for key in path:
            inner = inner[key]
        wrong = draw(st.sampled_from(["gone", None, [], {}, "word", -1, 0, 1e300, True, [None], ["x"], {"x": 1}]))
        if wrong == "gone":
            del inner[last]
        else:
            inner[last] = wrong
        if not places(made):
            break
    return made
