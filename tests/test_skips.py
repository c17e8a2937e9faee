"""No test is skipped in silence."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import SKIPS, allowed_skips

ROOT = Path(__file__).parents[1]


def test_listed_skips_still_exist():
    """Each line of skips.txt names a test file that is there."""
    files = [pattern.split("::")[0] for pattern, _ in allowed_skips(SKIPS.read_text())]
    assert [file for file in files if not list(ROOT.glob(file))] == []


SKIPPING = """
import pytest

@pytest.mark.parametrize("x", ["a"])
def test_skipped(x):
    pytest.skip("no Prometheus here")
"""


@pytest.mark.parametrize(
    ("flags", "listed", "code"),
    [
        pytest.param([], "", 0, id="a person's run goes on"),
        pytest.param(["--strict-skips"], "", 1, id="not listed"),
        pytest.param(
            ["--strict-skips"],
            "*test_it.py::test_skipped[[]a]  # matched as a set",
            1,
            id="brackets are literal",
        ),
        pytest.param(["--strict-skips"], "*test_it.py::test_skipped[a]  # needs Prometheus", 0, id="listed"),
        pytest.param(["--strict-skips"], "*test_it.py::*", 4, id="without a reason"),
        pytest.param(["--strict-skips", "-k", "nothing"], "", 5, id="no tests at all"),
        pytest.param(["-n", "2"], "", 0, id="a person's run in two processes"),
        pytest.param(["--strict-skips", "-n", "2"], "", 1, id="in two processes, not listed"),
        pytest.param(
            ["--strict-skips", "-n", "2"],
            "*test_it.py::test_skipped[a]  # no Prometheus",
            0,
            id="in two processes, listed",
        ),
    ],
)
def test_a_skip_must_be_listed(tmp_path, flags, listed, code):
    """Under --strict-skips a run fails for a skipped test that skips.txt does not list with a reason."""
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    (tmp_path / "skips.txt").write_text(f"# heading\n{listed}\n")
    (tmp_path / "test_it.py").write_text(SKIPPING)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *flags, "test_it.py"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == code, run.stdout + run.stderr


@pytest.mark.parametrize("processes", ["0", "2"])
@pytest.mark.parametrize(("listed", "code"), [("", 1), ("*test_whole.py  # needs Prometheus", 0)])
def test_a_file_that_is_skipped_whole_must_be_listed(tmp_path, processes, listed, code):
    """It has no test that is skipped: only collecting tells of it, in one process as in several."""
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    (tmp_path / "skips.txt").write_text(f"# heading\n{listed}\n")
    (tmp_path / "test_whole.py").write_text('import pytest\n\npytest.skip("none here", allow_module_level=True)\n')
    (tmp_path / "test_it.py").write_text("def test_it():\n    pass\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--strict-skips", "-n", processes]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == code, run.stdout + run.stderr
