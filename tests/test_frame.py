"""Rules of the house that no other tool checks: who imports what, who reads the environment, sizes, names."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE_FOLDERS = ("analysis", "webhook", "tests", "bench", "tools", "e2e")
LARGEST_FILE = 400
LONGEST_FUNCTION = 50
MADE = {"__pycache__", "node_modules", "build", "dist", "htmlcov", "var"}
"""Folders that are made, not written."""
HEAVY = ("scipy.stats", "statsmodels", "pandas")
"""What the path of a verdict must not pay for at start-up: 0.8 s and more."""
MAY_BE_HEAVY = {"analysis/compare/fixed.py", "analysis/outcome.py"}
MAY_READ_ENVIRONMENT = {"webhook/settings.py", "webhook/cli.py"}
MAY_MAKE_VERDICTS = {"analysis/judge.py", "analysis/types.py"}
ENVIRONMENT = {"os.environ", "os.environb", "os.getenv", "os.getenvb"}
OUTSIDE_WORLD = {
    "asyncio", "concurrent", "http", "io", "logging", "multiprocessing", "os", "pathlib", "random", "secrets",
    "shutil", "signal", "socket", "sqlite3", "subprocess", "sys", "tempfile", "threading", "time", "urllib",
    "uuid",
}  # fmt: skip
NUMERICAL = {"numpy", "scipy.special", "scipy.optimize"}
MACHINE_PATH = re.compile(
    r"(?<![\w.:$})/-])/(?:" + "|".join(["work", "root", "Users", "home/[a-z]+", "opt", "mnt"]) + ")/"
)
# Cut in two, so that this file does not name them.
REGISTRIES = [
    "pypi" + ".org",
    "python" + "hosted",
    "npm" + "js",
    "proxy.golang" + ".org",
    "crates" + ".io",
    "artifact" + "ory",
]


# ------------------------------------------------------------------- reading the tree


def python_files(*folders: str) -> list[Path]:
    return sorted(p for f in folders for p in (ROOT / f).rglob("*.py") if MADE.isdisjoint(p.parts))


def text_files() -> Iterator[tuple[Path, str]]:
    """Yield every text file that belongs to the project; what is hidden (but for .ci) or made does not."""
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        kept = parts[-1].startswith((".coverage", ".git"))  # .git is a file in a worktree
        hidden = kept or any(p.startswith(".") and p != ".ci" for p in parts[:-1])
        if hidden or not MADE.isdisjoint(parts) or any(p.endswith(".egg-info") for p in parts) or not path.is_file():
            continue
        try:
            yield path, path.read_text()
        except UnicodeDecodeError:
            continue


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def trees(*folders: str) -> dict[str, ast.Module]:
    """Return the syntax tree of every Python file, by its path from the root."""
    return {relative(p): ast.parse(p.read_text(), filename=str(p)) for p in python_files(*folders)}


def imports(tree: ast.AST) -> set[str]:
    """Return the absolute dotted names that a tree imports; ``from a import b`` gives ``a`` and ``a.b``."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def dotted(node: ast.AST) -> str:
    """Return ``a.b.c`` for a chain of attributes, an empty string for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (left := dotted(node.value)):
        return f"{left}.{node.attr}"
    return ""


def within(name: str, packages: set[str] | tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(package + ".") for package in packages)


# ------------------------------------------------------------------- the rules, as functions


def reads_environment(tree: ast.AST) -> bool:
    return bool(ENVIRONMENT & ({dotted(node) for node in ast.walk(tree)} | imports(tree)))


def heavy_imports(tree: ast.AST) -> list[str]:
    return sorted(name for name in imports(tree) if within(name, HEAVY))


def impure(tree: ast.AST) -> list[str]:
    """Return what reaches for the world: modules, prints, files, clocks, randomness without a seed."""
    found = [name for name in imports(tree) if name.split(".")[0] in OUTSIDE_WORLD]
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = dotted(node.func)
        unseeded = name.endswith("random.default_rng") and not node.args and not node.keywords
        global_random = name.startswith("np.random.") and not name.endswith((".default_rng", ".Generator"))
        clock = name.endswith((".now", ".utcnow", ".today"))
        if name in {"open", "print", "input"} or unseeded or global_random or clock:
            found.append(name)
    return sorted(found)


def foreign_to_core(tree: ast.AST) -> list[str]:
    """Return what is imported and is neither standard library, nor the core, nor its numerical libraries."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            parts = [f"scipy.{alias.name}" for alias in node.names]
            names.update(parts if node.module == "scipy" else [node.module or ""])
    return sorted(name for name in names if not within(name, {*sys.stdlib_module_names, "analysis", *NUMERICAL}))


def makes_verdicts(tree: ast.AST) -> list[str]:
    members = {
        node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and dotted(node.value).endswith("Verdict")
    }
    calls = {n for n in ast.walk(tree) if isinstance(n, ast.Call) and dotted(n.func).split(".")[-1] == "Verdict"}
    return sorted({dotted(m) for m in members} | {"Verdict()" for _ in calls})


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the number of lines of a function, its docstring and decorators not counted."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 2 if body else 1


@pytest.mark.parametrize(
    ("rule", "source", "expected"),
    [
        pytest.param(reads_environment, "import os\nx = os.environ['A']", True, id="environ"),
        pytest.param(reads_environment, "from os import getenv", True, id="getenv"),
        pytest.param(reads_environment, "def f(environ): return environ['A']", False, id="environment passed in"),
        pytest.param(heavy_imports, "def f():\n    from scipy import stats", ["scipy.stats"], id="lazy scipy.stats"),
        pytest.param(heavy_imports, "from scipy.special import ndtr", [], id="scipy.special"),
        pytest.param(impure, "import time", ["time"], id="clock module"),
        pytest.param(impure, "import datetime\ndatetime.datetime.now()", ["datetime.datetime.now"], id="now"),
        pytest.param(impure, "np.random.normal()", ["np.random.normal"], id="global random"),
        pytest.param(impure, "np.random.default_rng()", ["np.random.default_rng"], id="unseeded"),
        pytest.param(impure, "def f(rng: np.random.Generator): return rng.normal()", [], id="generator passed in"),
        pytest.param(foreign_to_core, "import yaml\nfrom flask import g", ["flask", "yaml"], id="foreign"),
        pytest.param(foreign_to_core, "from scipy import special, stats", ["scipy.stats"], id="from scipy"),
        pytest.param(
            foreign_to_core,
            "import math\nimport numpy as np\nfrom analysis.types import Effect",
            [],
            id="own",
        ),
        pytest.param(makes_verdicts, "x = Verdict.HOLD", ["Verdict.HOLD"], id="member"),
        pytest.param(makes_verdicts, "x = types.Verdict('hold')", ["Verdict()"], id="call"),
        pytest.param(makes_verdicts, "def f(v: Verdict) -> str: return v.value", [], id="passing one on"),
    ],
)
def test_the_rules_bite(rule, source, expected):
    """Each rule below finds what it is there to find, and nothing else."""
    assert rule(ast.parse(source)) == expected


# ------------------------------------------------------------------- who may do what


def test_the_core_imports_only_numbers():
    """The pure core imports the standard library, numpy, scipy.special and scipy.optimize, nothing else."""
    core = {path: tree for path, tree in trees("analysis").items() if path not in MAY_BE_HEAVY}
    assert {path: names for path, tree in core.items() if (names := foreign_to_core(tree))} == {}


def test_the_core_does_not_touch_the_world():
    """The pure core has no clock, network, file, environment, log, print or global randomness."""
    assert {path: found for path, tree in trees("analysis").items() if (found := impure(tree))} == {}


def test_the_environment_is_read_in_one_place():
    """Only settings and the command line read environment variables."""
    readers = {path for path, tree in trees("analysis", "webhook").items() if reads_environment(tree)}
    assert readers <= MAY_READ_ENVIRONMENT


def test_nothing_heavy_is_imported_on_the_path_of_a_verdict():
    """scipy.stats, statsmodels and pandas are named only by the one-shot tests, and there not at the top."""
    everywhere = trees("analysis", "webhook")
    users = {path: names for path, tree in everywhere.items() if (names := heavy_imports(tree))}
    assert users.keys() <= MAY_BE_HEAVY
    at_import = {
        path for path in users if any(heavy_imports(node) for node in everywhere[path].body if is_import(node))
    }
    assert at_import == set()


def is_import(node: ast.AST) -> bool:
    return isinstance(node, ast.Import | ast.ImportFrom)


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        pytest.param("analysis", ("numpy", "scipy"), id="the package itself imports nothing"),
        pytest.param("analysis.judge", (*HEAVY, "flask", "requests"), id="judging"),
        pytest.param("webhook.app", HEAVY, id="serving"),
    ],
)
def test_importing_stays_light(module, absent):
    """A fresh interpreter that imports the module has not loaded what slows its start."""
    script = f"import sys, {module}; print(*[name for name in {absent!r} if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.split() == []


def test_only_the_judge_makes_a_verdict():
    """Inside the core no file but judge.py names a member of Verdict or constructs one."""
    makers = {path: found for path, tree in trees("analysis").items() if (found := makes_verdicts(tree))}
    assert makers.keys() <= MAY_MAKE_VERDICTS, makers


# ------------------------------------------------------------------- sizes and names


def test_files_are_split_before_they_grow_long():
    """No source file exceeds 400 lines."""
    sizes = {relative(path): len(path.read_text().splitlines()) for path in python_files(*SOURCE_FOLDERS)}
    assert {path: size for path, size in sizes.items() if size > LARGEST_FILE} == {}


def test_functions_are_split_before_they_grow_long():
    """No function of the product exceeds 50 lines, docstring not counted."""
    product = trees("analysis", "webhook")
    long = {
        f"{p}:{f.name}": length(f) for p, t in product.items() for f in functions(t) if length(f) > LONGEST_FUNCTION
    }
    assert long == {}


def test_files_are_named_after_what_they_hold():
    """No file is a drawer for leftovers, and none outside tests/ looks like a test to pytest."""
    drawers = {"util", "utils", "helper", "helpers", "misc", "common", "manager"}
    assert [relative(p) for p in python_files(*SOURCE_FOLDERS) if p.stem in drawers] == []
    product = trees("analysis", "webhook", "bench")
    classes = {f"{p}:{n.name}" for p, t in product.items() for n in ast.walk(t) if isinstance(n, ast.ClassDef)}
    assert {name for name in classes if name.split(":")[1].startswith("Test")} == set()
    assert [path for path in product if path.endswith("/tests.py")] == []


def test_every_test_says_what_it_promises():
    """Each test function has a docstring."""
    silent = {
        f"{path}:{function.name}"
        for path, tree in trees("tests").items()
        for function in functions(tree)
        if Path(path).name.startswith("test_") and function.name.startswith("test_") and not ast.get_docstring(function)
    }
    assert silent == set()


def test_nothing_names_a_machine_or_a_package_registry():
    """No file holds a path of one machine or the host name of a package registry."""
    found = {
        f"{relative(path)}:{number}": line.strip()[:120]
        for path, text in text_files()
        for number, line in enumerate(text.splitlines(), start=1)
        if MACHINE_PATH.search(line) or any(host in line for host in REGISTRIES)
    }
    assert found == {}
