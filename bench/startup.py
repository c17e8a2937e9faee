"""
How long a fresh interpreter needs to load what a verdict needs, and how much memory that takes.

Measured as it is installed, that is compiled: the first import writes byte code into a folder of its own, uncounted.
"""

from __future__ import annotations

import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile

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
            with tempfile.TemporaryDirectory() as compiled:
                found += _measure(module, compiled)
    return found


def _measure(module: str, compiled: str) -> list[Line]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = compiled
    program = [sys.executable, "-c", PROGRAM.format(module=module)]
    times, memory, heavy = [], 0.0, 0
    for run in range(RUNS + 1):
        asked = subprocess.run(program, capture_output=True, text=True, check=True, env=environment)
        if run == 0:
            continue
        answer = asked.stdout.split()
        times.append(1e3 * float(answer[0]))
        memory, heavy = float(answer[1]), len(answer) - 2
    return [
        Line(name=f"import {module}", unit="ms", reached=statistics.median(times), target=LIMIT_MS),
        Line(name=f"memory after import {module}", unit="MiB", reached=memory),
        Line(name=f"heavy modules loaded by {module}", unit="", reached=heavy, target=0),
    ]
