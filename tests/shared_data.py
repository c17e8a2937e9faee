"""Where the reference data beside the repository lies, and how a test asks for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

SHARED = Path(__file__).parents[2] / "shared"
"""Reference data kept beside the repository: captures, conformance cases, corpus, design pages."""


def capture(name: str) -> Any:
    """Return the parsed capture file *name*; skip the calling test where the data is absent."""
    path = SHARED / "captures" / name
    if not path.is_file():
        pytest.skip(f"recorded controller traffic is absent: shared/captures/{name}")
    return json.loads(path.read_text(encoding="utf-8"))
