"""Where the programs and the custom resource definitions are that ``make e2e-tools`` made."""

from __future__ import annotations

import shutil
from pathlib import Path

ROOT = Path(__file__).parents[2]
MADE = ROOT / ".e2e"


def program(name: str) -> str:
    """Return the path of a program: one that was built, else one that is installed."""
    built = MADE / "bin" / name
    found = str(built) if built.exists() else shutil.which(name)
    assert found, f"{name} is missing: run make e2e-tools"
    return found


def definitions(project: str) -> list[Path]:
    """Return the files with the custom resource definitions of argo, flagger, gateway, istio or prometheus."""
    files = sorted((MADE / "crds" / project).glob("*.yaml"))
    assert files, f"no definitions of {project}: run make e2e-tools"
    return files
