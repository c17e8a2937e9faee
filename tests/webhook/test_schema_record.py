"""The export of a record: what is written is read back bit for bit, and damage is named."""

from __future__ import annotations

import copy
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.errors import InvalidPolicy, InvalidRecord
from analysis.noise import learn
from analysis.record import Grid, LeftOut, QuestionRecord, Record, SideSeries
from analysis.types import Pairing
from webhook.policies import Policies
from webhook.schema.record import Export, read_record, write_record
from webhook.schema.report import dump

POLICY = Policies(None, clock=lambda: 0.0).default()
RELEASE = {"namespace": "shop", "name": "店舗", "revision": "6c54bd4f4b", "attempt": 2}


def side(replicas, **fields):
    return SideSeries(
        replicas=replicas, fields={name: np.array(values, dtype=float) for name, values in fields.items()}
    )


def example():
    """Return an export with everything that a record may hold."""
    nothing = math.nan
    grid = Grid.starting(1_795_428_003.0, 10.0)
    stable = side(("s-1", "s-2"), bad=[[1, 0.5, 2], [0, nothing, 1]], total=[[100, 99, 101], [98, nothing, 97.25]])
    rng = np.random.default_rng(7)
    totals = np.full((2, 40), 500.0)
    errors = QuestionRecord(
        baseline=stable,
        canary=side(("c-1",), bad=[[0, 1, nothing]], total=[[10, 1 / 3, nothing]]),
        left_out=(None, LeftOut(code="overlap", text="pod c-1 is on both sides"), None),
        noise=learn(rng.poisson(5, totals.shape).astype(float), totals, np.full(40, 10.0), visible=True),
        notes={"label": "code", "late": 3},
    )
    latency = QuestionRecord(
        baseline=side(("",), counts=[[[5, 4, 1], [nothing] * 3, [6, 3, 0]]]),
        canary=SideSeries(replicas=(), fields={}),
        left_out=(None, None, None),
        visible=False,
        edges=(0.1, 0.5),
        history=side(("",), counts=[[[5, 4, 1], [nothing] * 3]]),
    )
    record = Record(
        grid=grid,
        ends=np.array([grid.end(look) for look in range(3)]),
        questions={"error-rate": errors, "latency": latency},
        weights=np.array([0.05, 0.05, nothing]),
        pairing=Pairing.BEFORE_AFTER,
        aligned=False,
        events=({"id": "o_1", "verdict": "hold"},),
    )
    window = {"start": grid.start - 14400, "end": grid.start - 10}
    return Export(
        policy=POLICY, record=record, release=RELEASE, window=window, left_out=({"looks": 3, "text": "rollout"},)
    )


def same_series(one, other):
    if one is None or other is None:
        return one is other
    return (
        one.replicas == other.replicas
        and one.fields.keys() == other.fields.keys()
        and all(np.array_equal(one.fields[f], other.fields[f], equal_nan=True) for f in one.fields)
    )


def same(one, other):
    """Return whether two records are equal in every bit."""
    plain = ("left_out", "visible", "edges", "noise", "notes")
    return (
        (one.grid, one.pairing, one.aligned, one.events) == (other.grid, other.pairing, other.aligned, other.events)
        and np.array_equal(one.ends, other.ends)
        and np.array_equal(one.weights, other.weights, equal_nan=True)
        and one.questions.keys() == other.questions.keys()
        and all(
            all(getattr(q, name) == getattr(other.questions[n], name) for name in plain)
            and all(
                same_series(getattr(q, part), getattr(other.questions[n], part))
                for part in ("baseline", "canary", "history")
            )
            for n, q in one.questions.items()
        )
    )


def again(export):
    """Return an export after it went through a file."""
    return read_record(json.loads(dump(write_record(export))))


def test_a_record_comes_back_bit_for_bit():
    """Whoever judges the file judges what the service judged: policy, noise and history included."""
    export = example()
    found = again(export)
    assert same(found.record, export.record)
    assert found.policy == export.policy
    assert (found.release, found.window, found.left_out) == (export.release, export.window, export.left_out)
    assert write_record(found) == write_record(export)


def test_the_document_has_the_shape_of_the_format():
    """Format, release, whole policy, grid, noise with its window, looks one by one, events."""
    document = write_record(example())
    assert document["format"] == "weighbridge-record/1"
    assert {"release", "policy", "grid", "noise", "looks", "events"} < set(document)
    assert document["policy"]["digest"] == POLICY.digest
    assert {"window", "left_out"} < set(document["noise"])
    look = document["looks"][1]
    assert look["left_out"] == {"error-rate": ["overlap", "pod c-1 is on both sides"]}
    assert look["questions"]["error-rate"]["canary"] == {"c-1": {"bad": 1.0, "total": 1 / 3}}
    assert document["looks"][2]["weight"] is None


def test_a_record_without_looks_is_a_record():
    """An attempt that has just begun can be exported too."""
    export = example()
    empty = Record(grid=export.record.grid, ends=np.array([]), questions={}, weights=np.array([]))
    assert same(again(replace(export, record=empty)).record, empty)


numbers = st.floats(0, 1e12) | st.just(math.nan)
reasons = st.none() | st.builds(LeftOut, code=st.just("gap"), text=st.text(max_size=5))


@st.composite
def records(draw):
    looks = draw(st.integers(1, 4))
    grid = Grid(start=draw(st.floats(0, 1e9)), length=draw(st.floats(0.5, 600)), lengthening=draw(st.booleans()))

    def drawn(names):
        rows = [draw(st.lists(numbers, min_size=looks, max_size=looks)) for _ in names]
        kept = [n for n, row in enumerate(rows) if not all(math.isnan(value) for value in row)]
        picked = tuple(names[n] for n in kept)
        return side(picked, values=[rows[n] for n in kept]) if kept else SideSeries(replicas=(), fields={})

    question = QuestionRecord(
        baseline=drawn(sorted(draw(st.sets(st.text(max_size=3), max_size=2)))),
        canary=drawn(["c"]),
        left_out=tuple(draw(reasons) for _ in range(looks)),
        visible=draw(st.booleans()),
    )
    weights = np.array(draw(st.lists(st.floats(0, 1) | st.just(math.nan), min_size=looks, max_size=looks)))
    ends = np.array([grid.end(look) for look in range(looks)])
    return Record(grid=grid, ends=ends, questions={"x": question}, weights=weights)


@given(records())
def test_any_record_survives_its_file(record):
    """parse(render(x)) == x for replicas that said something."""
    assert same(again(Export(policy=POLICY, record=record)).record, record)


BAD = ["looks", 0, "questions", "error-rate", "canary", "c-1", "bad"]


def put(path, value):
    """Return the change that puts a value in a place of the document; `...` removes it."""

    def change(document):
        *way, last = path
        for key in way:
            document = document[key]
        if value is ...:
            del document[last]
        else:
            document[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(put(["format"], "weighbridge-record/2"), "/format: must be weighbridge-record/1", id="format"),
        pytest.param(put(["surprise"], 1), "/surprise: unknown key", id="key"),
        pytest.param(put(["grid"], ...), "/grid: must be an object", id="no grid"),
        pytest.param(put(["grid", "start"], "now"), "/grid/start: must be a finite number", id="start"),
        pytest.param(put(["grid", "length"], -1), "positive length", id="length"),
        pytest.param(put(["grid", "lengthening"], 1), "/grid/lengthening: must be true or false", id="lengthening"),
        pytest.param(put(["pairing"], "x"), "/pairing: must be one of", id="pairing"),
        pytest.param(put(["aligned"], "no"), "/aligned: must be true or false", id="aligned"),
        pytest.param(put(["looks"], {}), "/looks: must be a list", id="looks"),
        pytest.param(put(["looks", 1, "end"], 0), "must rise", id="unsorted times"),
        pytest.param(put(["looks", 1, "end"], None), "/looks/1/end: must be a finite number", id="no end"),
        pytest.param(put(["looks", 0], None), "/looks/0: must be an object", id="no look"),
        pytest.param(put(["looks", 0, "weight"], "5 %"), "/looks/0/weight: must be a finite number", id="weight"),
        pytest.param(put(["looks", 0, "questions"], []), "/looks/0/questions: must be an object", id="questions"),
        pytest.param(
            put(["looks", 0, "left_out", "error-rate"], "gap"),
            "/left_out/error-rate: must be code and text",
            id="left out",
        ),
        pytest.param(put(BAD, "0"), "/looks/0/questions/error-rate/canary/c-1/bad: must be", id="text"),
        pytest.param(put(BAD, math.nan), "must be a finite number", id="nan"),
        pytest.param(put(BAD, [1, 2]), "must keep its shape", id="shape"),
        pytest.param(
            put(["looks", 0, "questions", "latency", "baseline", "", "counts"], [1, None, 2]),
            "must be a finite number",
            id="hole",
        ),
        pytest.param(put(["noise", "questions", "error-rate", "phi"], 0.5), "dispersion must be at least 1", id="phi"),
        pytest.param(
            put(["noise", "questions", "error-rate", "phi"], "1"), "/noise/questions/error-rate", id="phi as text"
        ),
        pytest.param(
            put(["noise", "questions", "error-rate", "looks"], ...),
            "/noise/questions/error-rate: cannot be read",
            id="noise cut",
        ),
        pytest.param(
            put(["noise", "questions", "error-rate", "tau"], 1),
            "/noise/questions/error-rate/tau: unknown key",
            id="noise key",
        ),
        pytest.param(put(["noise", "window"], 7), "/noise/window: must be an object", id="window"),
        pytest.param(
            put(["questions", "latency", "edges"], ["x"]),
            "/questions/latency/edges: must be a finite number",
            id="edges",
        ),
        pytest.param(
            put(["questions", "latency", "history", "fields", "counts"], [[1], [2, 3]]),
            "/history/fields/counts: must be numbers",
            id="ragged history",
        ),
        pytest.param(
            put(["questions", "latency", "history", "replicas"], ["a", "b"]),
            "must have a row for each of 2 replicas",
            id="history rows",
        ),
        pytest.param(put(["events"], "none"), "/events: must be a list", id="events"),
        pytest.param(put(["policy", "mode"], "on"), "/policy/mode: must be one of", id="policy"),
        pytest.param(put(["policy"], ...), "/policy: must be an object", id="no policy"),
    ],
)
def test_damage_is_named(change, words):
    """A file that was changed by hand is refused with place, rule and value, never misread."""
    document = copy.deepcopy(write_record(example()))
    change(document)
    with pytest.raises((InvalidRecord, InvalidPolicy)) as caught:
        read_record(document)
    assert words in str(caught.value)


@pytest.mark.parametrize("document", [None, [], 7, "x", {}], ids=repr)
def test_what_is_no_record_is_refused(document):
    """Any other JSON is told from a record at once."""
    with pytest.raises(InvalidRecord):
        read_record(document)
