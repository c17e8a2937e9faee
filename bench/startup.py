"""How long a fresh interpreter needs to load what a verdict needs, and how much memory that takes."""

from __future__ import annotations

import importlib.util
import statistics
import subprocess
import sys

from bench.evidence import RUNS, Line

PROGRAM = """
import sys, time
begin = time.perf_counter()
import {module}
took = time.perf_counter() - begin
heavy = [m for m in ("scipy.stats", "statsmodels", "pandas") if m in sys.modules]
status = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
print(took, int(status["VmHWM"].split()[0]) / 1024, *heavy)
"""
LIMIT_MS = 700.0


def lines() -> list[Line]:
    """Measure the core, and the service where it can be imported."""
    found = []
    for module in ("analysis.merging", "webhook.app"):
        if importlib.util.find_spec(module) is not None:
            found += _measure(module)
    return found


def _measure(module: str) -> list[Line]:
    times, memory, heavy = [], 0.0, 0
    for _ in range(RUNS):
        answer = subprocess.run(
            [sys.executable, "-c", PROGRAM.format(module=module)], capture_output=True, text=True, check=True
        ).stdout.split()
        times.append(1e3 * float(answer[0]))
        memory, heavy = float(answer[1]), len(answer) - 2
    return [
        Line(name=f"import {module}", unit="ms", reached=statistics.median(times), target=LIMIT_MS),
        Line(name=f"memory after import {module}", unit="MiB", reached=memory),
        Line(name=f"heavy modules loaded by {module}", unit="", reached=heavy, target=0),
    ]
