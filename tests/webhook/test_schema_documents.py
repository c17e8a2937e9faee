"""Files of policies: YAML as people mean it, JSON, and everything that is refused before a policy is seen."""

from __future__ import annotations

import pytest

from webhook.schema import documents
from webhook.schema.problems import PolicyProblems, Problem, shown, step


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("no", "no", id="no is a word"),
        pytest.param("on", "on", id="on is a word"),
        pytest.param("yes", "yes", id="yes is a word"),
        pytest.param("true", True, id="flag"),
        pytest.param("1e-3", 0.001, id="exponent without point"),
        pytest.param("1.5", 1.5, id="decimal"),
        pytest.param("-3", -3, id="whole"),
        pytest.param("4:30", "4:30", id="no sexagesimal"),
        pytest.param("2026-11-23", "2026-11-23", id="no date"),
        pytest.param("010", "010", id="no octal"),
        pytest.param("1_000", "1_000", id="no underscore"),
        pytest.param(".inf", ".inf", id="no infinity"),
        pytest.param(".nan", ".nan", id="no nan"),
        pytest.param("", None, id="nothing"),
        pytest.param("~", None, id="tilde"),
        pytest.param("'3'", "3", id="quoted"),
    ],
)
def test_yaml_means_what_it_looks_like(text, value):
    """Words of YAML 1.2: what looks like a word stays one."""
    found = documents.parse(f"a: {text}".encode(), "x.yaml")["a"]
    assert found == value
    assert type(found) is type(value)


def test_anchors_and_merge_keys_work():
    """What people do to avoid repetition is understood."""
    text = b"base: &b {x: 1, y: 2}\none: {<<: *b, y: 3}\ntwo: *b\n"
    assert documents.parse(text, "x.yaml") == {
        "base": {"x": 1, "y": 2},
        "one": {"x": 1, "y": 3},
        "two": {"x": 1, "y": 2},
    }


BOMB = b"a: &a [1, 2]\n" + b"".join(
    b"%c: &%c [%s]\n" % (n, n, b", ".join([b"*%c" % (n - 1)] * 9)) for n in range(ord("b"), ord("j"))
)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        pytest.param(b"a: 1\nb: 2\na: 3", "'a' stands twice at line 3, column 1", id="key twice"),
        pytest.param(b"a: {b: 1, b: 1}", "'b' stands twice", id="key twice inside"),
        pytest.param(b"a: &a [*a]", "must not unfold", id="holds itself"),
        pytest.param(BOMB, "must not unfold to more than 50000 values", id="bomb"),
        pytest.param(b"[" * 5000, "must not nest this deeply", id="deep"),
        pytest.param(b"a: !!python/object/apply:os.getcwd []", "could not determine a constructor", id="object"),
        pytest.param(b"a: [1,", "must be YAML: expected the node content", id="syntax"),
        pytest.param(b"a: b: c", "at line 1, column 5", id="place"),
        pytest.param(b"a: 1\n---\nb: 2", "found another document", id="two documents"),
        pytest.param(b"? [a]\n: 1", "a key must be one word", id="list as key"),
        pytest.param(b"a: \xff", "must be UTF-8, got byte 0xff at 3", id="bytes"),
        pytest.param(b"a: \x07", "special characters are not allowed", id="control character"),
        pytest.param(b"a: " + b"9" * 5000, "digits", id="endless number"),
        pytest.param(b"#" * (documents.LARGEST + 1), "must have at most 262144 bytes", id="large"),
    ],
)
def test_a_broken_file_is_one_problem_with_its_name(raw, words):
    """Whatever a file holds, the answer is a problem that names it, and no crash."""
    with pytest.raises(PolicyProblems) as caught:
        documents.parse(raw, "x.yaml")
    (problem,) = caught.value.problems
    assert problem.file == "x.yaml"
    assert words in problem.rule
    assert "\n" not in problem.rule


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        pytest.param(b'{"a": 1, "a": 2}', "'a' stands twice", id="key twice"),
        pytest.param(b"{'a': 1}", "at line 1, column 2", id="syntax"),
        pytest.param(b"[" * 200_000, "must not nest this deeply", id="deep"),
    ],
)
def test_json_is_read_by_its_own_rules(raw, words):
    """A name that ends in .json is not YAML."""
    with pytest.raises(PolicyProblems, match=words):
        documents.parse(raw, "x.json")
    assert documents.parse(b'{"a": [1, null]}', "x.json") == {"a": [1, None]}


def test_a_problem_reads_as_one_line():
    """File, place, rule and value stand in one line; what is missing leaves no trace."""
    assert str(Problem(file="a.yaml", place="/x", rule="must be 1, got 2")) == "a.yaml: /x: must be 1, got 2"
    assert str(Problem(place="", rule="must be a mapping")) == "must be a mapping"
    assert step("/a", "b/c~d") == "/a/b~1c~0d"


def test_a_pointer_can_be_printed_whatever_the_key():
    """A key of four megabytes, of two lines, or of half a character does not break the answer that names it."""
    for key in ("x" * 4_000_000, "a\nb", "\ud800", "\u202e" * 99):
        place = step("", key)
        assert len(place) <= 81
        assert place.isprintable()
        assert place.encode()


def test_a_wrong_value_that_nests_without_end_is_shown():
    """A value deeper than the stack is refused in words too."""
    value = []
    for _ in range(100_000):
        value = [value]
    assert shown(value) == "list nested without end"


@pytest.mark.parametrize(
    "value", ["x" * 500, "a\nb\x00", "\ud800", {"k": ["v"] * 99}], ids=["long", "lines", "surrogate", "nested"]
)
def test_a_wrong_value_is_shown_on_one_short_line(value):
    """Whatever was sent can be printed, logged and encoded."""
    text = shown(value)
    assert len(text) <= 80
    assert text.isprintable()
    assert text.encode()
