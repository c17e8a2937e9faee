"""The image that `tools/image` built: what is in it, who it runs as, and a verdict from the running container."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fenced import blocks
from tests.prometheus_server import free_port
from tests.shipped import ROOT

pytestmark = pytest.mark.timeout(300)
TOOL = ROOT / "tools" / "image"
LARGEST_MB = 400
"""Ours without the base; nine tenths are the numerical libraries."""
START_S = 120
PACKED = re.compile(r"app/lib/python3\.\d+/site-packages/(analysis|webhook)/")

BYTE_CODE = """
import importlib.util, pathlib, sys, sysconfig
folders = {"ours": sysconfig.get_path("purelib"), "standard": pathlib.Path(importlib.util.__file__).parents[1]}
for name, folder in folders.items():
    for source in sorted(pathlib.Path(folder).rglob("*.py")):
        if name == "standard" and {"site-packages", "dist-packages", "test", "idlelib", "lib2to3"} & set(source.parts):
            continue
        made = pathlib.Path(importlib.util.cache_from_source(str(source)))
        if not made.exists():
            print(name, source)
        elif name == "ours" and made.read_bytes()[4:8] != b"\\x01\\0\\0\\0":
            print("compared with its source", source)
"""
IMPORTS = """
import importlib, pkgutil, analysis, webhook
names = [module.name for package in (analysis, webhook)
         for module in pkgutil.walk_packages(package.__path__, package.__name__ + ".")]
for name in names:
    importlib.import_module(name)
import matplotlib.backends.backend_agg, pandas, scipy.optimize, scipy.stats, statsmodels.api
print(len(names))
"""


def inside(*command, check=True):
    """Run a command in a container of the image."""
    done = subprocess.run([TOOL, "run", *command], cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def files():
    """Return the size of every file of the image by its path."""
    if subprocess.run([TOOL, "--fresh"], cwd=ROOT, capture_output=True, timeout=60).returncode != 0:
        pytest.skip("no image of this tree here: make image builds it where buildah runs")
    done = subprocess.run([TOOL, "files"], cwd=ROOT, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    lines = [line.partition(" ") for line in done.stdout.splitlines()]
    return {path: int(size) for size, _, path in lines}


def test_it_holds_the_product_and_no_more(files):
    """Every module, page and preset of ours is in it; no test, cache, installer or other folder is."""
    ours = {match.string[match.start(1) :] for path in files if (match := PACKED.match(path))}
    product = {
        str(path.relative_to(ROOT))
        for folder in ("analysis", "webhook")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert {path for path in ours if not path.endswith(".pyc")} == product
    unwanted = re.compile(r"(^|/)(tests?|\.git|\.venv|docs|e2e|bench)/|/(pip|setuptools)/|\.cache/|\.(pyi|whl)$")
    app = {path for path in files if path.startswith("app/")}
    assert sorted(path for path in app if unwanted.search(path)) == []
    outside = ("src/", "root/.cache/", "tmp/", "var/lib/apt/lists/", "var/cache/apt/archives/")
    assert sorted(path for path, size in files.items() if size and path.startswith(outside)) == []


def test_it_is_small(files):
    """What we add to the base stays below its limit."""
    size = sum(size for path, size in files.items() if path.startswith("app/")) / 1e6
    assert size < LARGEST_MB, f"{size:.0f} MB"


def test_byte_code_is_shipped(files):
    """Nothing is compiled at a start, ours never compared with its source: the file system is read-only."""
    assert inside("python", "-c", BYTE_CODE).stdout == ""


def test_it_is_not_root_and_cannot_change_itself(files):
    """Nobody in particular runs it, who may write to the state folder and to nothing of ours."""
    assert inside("id", "-u").stdout.strip() == "10001"
    assert inside("sh", "-c", "touch /var/lib/weighbridge/x").returncode == 0
    for place in ("/app/x", "/app/bin/python", "/etc/x"):
        assert inside("sh", "-c", f": >> {place}", check=False).returncode != 0


def test_everything_can_be_imported(files):
    """No module misses what was left out of the image."""
    assert int(inside("python", "-W", "error::ImportWarning", "-c", IMPORTS).stdout) > 150


@contextmanager
def serving():
    """Serve from a container, on a free port of loopback; the server itself is told to end, and is waited for."""
    port = free_port()
    # With a source it does not play its demonstration; inline data asks no source.
    command = ["weighbridge", "serve", "--listen", f"127.0.0.1:{port}", "--prometheus", "http://127.0.0.1:9"]
    with subprocess.Popen([TOOL, "run", *command], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as made:
        try:
            yield port
        finally:
            for process in servers(port):
                os.kill(process, signal.SIGTERM)
            made.wait(timeout=60)


def servers(port):
    """Return the processes of the server on a port, parents first; the tools that started it are not among them."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if f"127.0.0.1:{port}".encode() in words and words[0].startswith(b"/app/bin/python"):
            found.append(int(folder.name))
    return sorted(found)


def curl(*arguments):
    done = subprocess.run(["curl", "-sS", "-m", "20", *arguments], capture_output=True, text=True, timeout=30)
    return done.returncode, done.stdout


def test_a_running_container_gives_a_verdict(files, tmp_path):
    """The release of the README is sent with curl, and aborted."""
    (example,) = [block for block in blocks(ROOT / "README.md") if block.file == "release.json"]
    (tmp_path / "release.json").write_text(example.text)
    with serving() as port:
        until = time.monotonic() + START_S
        while curl("-o", os.devnull, f"http://127.0.0.1:{port}/healthz")[0] != 0:
            assert time.monotonic() < until, "it does not answer"
            time.sleep(0.2)
        code, said = curl(f"http://127.0.0.1:{port}/v1/analysis", "-d", f"@{tmp_path / 'release.json'}")
        assert servers(port)
    assert code == 0
    assert json.loads(said)["verdict"] == "abort"
