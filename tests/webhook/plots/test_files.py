"""Plots as files: the same bytes every time, readable without seeing, and nothing in them that runs or loads."""

from __future__ import annotations

import struct
import subprocess
import sys
import xml.etree.ElementTree as ET
from functools import cache
from pathlib import Path

import pytest

from analysis.trace import Trace, trace
from tests.analysis.kinds_examples import every_kind, release
from tests.analysis.record_examples import policy, proportion, question, record
from tests.webhook.plots.report_examples import reported
from webhook.plots.files import rendered

ROOT = Path(__file__).parents[3]
SVG = "{http://www.w3.org/2000/svg}"
WORDS = {
    "error-rate": (
        "What share of requests was bad?", "How does the canary compare with stable?",
        "Is the canary worse than stable?", "Is it safe to go on?", "HOLD (freeze) from 100 : 1",
        "ABORT from 1,000 : 1", "PROMOTE, last step from 20 : 1", "PROMOTE to the next step from 5 : 1",
        "95 % bounds, at all looks at once", "baseline", "canary",
    ),
    "latency": (
        "How many requests take longer?", "objective 500 ms", "tolerated: 1.25x as long", "tolerated: 2.0x as many",
        "tolerated up to 1.25x, ABORT may be proved beyond",
    ),
    "cpu": (
        "What was the level?", "single stable replicas, 95 % of values",
        "tolerated up to 1.25x, ABORT may be proved beyond",
    ),
    "summary": ("What was the published p95?", "Is the canary worse than stable?"),
    "heap": ("What was the published quantile?", "Did it move more than it does by itself?", "HOLD beyond"),
    "timeouts": ("worse than stable, stops nothing",),
}  # fmt: skip


@cache
def traced(harm: bool) -> Trace:
    found = release(harm=harm)
    return trace(every_kind(), found, float(found.ends[-1]))


@cache
def drawn(name: str, form: str = "svg", theme: str = "light", *, harm: bool = True) -> bytes:
    told = traced(harm)
    return rendered(reported(harm=harm), told, name, told.questions[name].track(), form, theme)


def texts(svg: bytes) -> list[str]:
    return ["".join(one.itertext()).strip() for one in ET.fromstring(svg).iter(f"{SVG}text")]


@pytest.mark.parametrize("name", WORDS)
def test_a_plot_says_what_it_shows(name):
    """Each kind has its panels, their questions as titles, their thresholds with what follows from them, as text."""
    found = texts(drawn(name))
    for words in WORDS[name]:
        assert any(words in text for text in found), (words, found)
    assert any("UTC" in text for text in found)


def test_an_abort_is_marked_where_it_was_proved():
    """Only on a release that was aborted."""
    assert "ABORT proved" in texts(drawn("error-rate"))
    assert "ABORT proved" not in texts(drawn("error-rate", harm=False))


@pytest.mark.parametrize("name", WORDS)
def test_a_plot_can_be_read_without_seeing_it(name):
    """It is a picture with a title and a text, which tell the verdict, the effect and every proof with its goal."""
    root = ET.fromstring(drawn(name))
    assert root.attrib["role"] == "img"
    labels = root.attrib["aria-labelledby"].split()
    title, text = (next(one for one in root if one.attrib.get("id") == label) for label in labels)
    assert (title.tag, text.tag) == (f"{SVG}title", f"{SVG}desc")
    assert "shop/checkout" in (title.text or "")
    assert "verdict ABORT" in (title.text or "")
    assert (text.text or "").startswith(f"Plots of {name} over ")
    if name != "heap":
        assert "canary over baseline at the end" in (text.text or "")
        assert "abort at 1,000 : 1" in (text.text or "")


@pytest.mark.parametrize("name", WORDS)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_in_a_plot_runs_or_loads(name, theme):
    """No script, no link out of the file, no picture of somebody else."""
    root = ET.fromstring(drawn(name, theme=theme))
    tags = {one.tag.rpartition("}")[2] for one in root.iter()}
    assert tags.isdisjoint({"script", "image", "foreignObject", "a", "iframe", "animate", "set"})
    for one in root.iter():
        for key, value in one.attrib.items():
            assert not key.startswith("on")
            if key.endswith("href"):
                assert value.startswith("#")


def test_the_same_report_gives_the_same_bytes():
    """In another process with other hashes, the file is the same to the last byte."""
    code = (
        "import sys; from tests.webhook.plots import test_files as t;"
        "sys.stdout.buffer.write(t.drawn('summary') + t.drawn('heap', 'png', 'dark'))"
    )
    environ = {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "7", "HOME": "/nonexistent", "TZ": "Asia/Tokyo"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environ, capture_output=True, timeout=120, check=True
    )
    assert done.stdout == drawn("summary") + drawn("heap", "png", "dark")
    assert done.stderr == b""


def test_a_png_is_one():
    """It is 1,238 dots wide, twice what a page shows, and carries title and text."""
    found = drawn("heap", "png")
    assert found.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">I", found[16:20]) == (1238,)
    assert b"verdict ABORT" in found
    assert b"Plots of heap over" in found


def test_themes_differ_in_colours_alone():
    """What is written is the same on a light and on a dark page."""
    light, dark = drawn("cpu"), drawn("cpu", theme="dark")
    assert light != dark
    assert texts(light) == texts(dark)


def test_nothing_to_draw_is_said():
    """A question of which nothing is known is a sheet that says so."""
    silent = record({"error-rate": question({}, {"c": {"bad": [float("nan")] * 9, "total": [float("nan")] * 9}})})
    told = trace(policy(proportion()), silent, float(silent.ends[-1]))
    found = texts(rendered({}, told, "error-rate", None, "svg", "light"))
    assert "Nothing to draw: no look holds a number of either side." in found
