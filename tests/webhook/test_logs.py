"""The shape of a log line, and what never stands in one."""

from __future__ import annotations

import io
import json
import logging

import pytest

from webhook import logs


@pytest.fixture
def stream():
    """Give the root logger our line for one test, and take it away again."""
    root = logging.getLogger()
    before = (list(root.handlers), root.level, logs.log.level, logging.getLogger("gunicorn").level)
    made = io.StringIO()
    yield made
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    logs.log.setLevel(before[2])
    logging.getLogger("gunicorn").setLevel(before[3])


def test_lines_are_strict_json_with_known_fields(stream):
    """Our own events and what libraries say have one shape; absent fields are left out."""
    logs.configure("info", "json", stream)
    logs.event("policy_broken", level=logging.WARNING, policy="x.yaml", reason="größer\nals 1", id=None)
    logging.getLogger("some.library").warning("took %d s", 7)
    ours, theirs = (json.loads(line) for line in stream.getvalue().splitlines())
    assert ours["event"] == "policy_broken"
    assert ours["reason"] == "größer\nals 1"
    assert "id" not in ours
    assert (theirs["event"], theirs["logger"], theirs["reason"]) == ("log", "some.library", "took 7 s")
    assert set(ours) | set(theirs) <= set(logs.FIELDS)
    assert ours["ts"].endswith("Z")
    assert len(ours["ts"]) == len("2026-11-24T02:34:59.312Z")


def test_a_field_that_nobody_knows_is_a_mistake():
    """The set of fields is closed, so that a search for one finds all."""
    with pytest.raises(TypeError, match="'verdikt'"):
        logs.event("decision", verdikt="hold")


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        pytest.param("debug", ["debug", "info", "warning"], id="debug"),
        pytest.param("info", ["info", "warning"], id="info"),
        pytest.param("error", [], id="error"),
    ],
)
def test_the_level_cuts(stream, level, expected):
    """Lower levels are silent; libraries never speak below warning."""
    logs.configure(level, "json", stream)
    for number in (logging.DEBUG, logging.INFO, logging.WARNING):
        logs.event("x", level=number)
    logging.getLogger("some.library").info("chatter")
    assert [json.loads(line)["level"] for line in stream.getvalue().splitlines()] == expected


def test_text_is_one_line_for_eyes(stream):
    """Time, level and event first, then the rest as words."""
    logs.configure("info", "text", stream)
    logs.event("decision", verdict="hold", reason="not yet\nproved")
    line = stream.getvalue()
    assert line.endswith('INFO decision verdict="hold" reason="not yet\\nproved"\n')
    assert line.count("\n") == 1


def test_an_exception_keeps_its_trace(stream):
    """A fault can be found from its line alone."""
    logs.configure("info", "json", stream)
    try:
        raise RuntimeError("boom")
    except RuntimeError:
        logs.log.exception("it broke")
    assert "RuntimeError: boom" in json.loads(stream.getvalue())["trace"]


SECRET = "wb_" + "Zz09_-" * 7


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(f"GET /t/{SECRET}/flagger/rollout", id="path"),
        pytest.param("GET /t/handmade/flagger/rollout", id="path with another token"),
        pytest.param(f"header Authorization: Bearer {SECRET}", id="bearer"),
        pytest.param("header authorization: basic dXNlcjpoYW5kbWFkZQ==", id="Basic"),
        pytest.param(f"X-API-Key={SECRET}", id="key"),
    ],
)
def test_secrets_are_never_written(stream, message):
    """Whoever puts a token into a message, it does not reach the log."""
    logs.configure("info", "json", stream)
    logging.getLogger("some.library").error(message)
    logs.event("x", reason=message)
    assert not [s for s in (SECRET, "handmade", "dXNlcjpoYW5kbWFkZQ") if s in stream.getvalue()]
    assert stream.getvalue().count("***") == 2


def test_a_long_message_is_cut(stream):
    """A library that logs a whole body does not fill the disk."""
    logs.configure("info", "json", stream)
    logging.getLogger("some.library").error("x" * 100_000)
    assert len(stream.getvalue()) < 2500
