"""Names become literals in PromQL, never code."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.errors import InvalidPolicy
from webhook.selectors import (
    EmptySelector,
    asks_for_label,
    expand_side,
    fill,
    label_names,
    metric_name,
    quote,
    quote_regex,
    set_label,
    suffixed,
    unquote,
)

HOSTILE = 'a"} or vector(1) or x{b="'


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        pytest.param('a="$name"', "shop", 'a="shop"', id="equal"),
        pytest.param('a=~"$name-.*"', "shop.v1", r'a=~"shop\\.v1-.*"', id="regex"),
        pytest.param('a!~"$name"', "a+b", r'a!~"a\\+b"', id="not regex"),
        pytest.param('a!="$name"', "a+b", 'a!="a+b"', id="not equal"),
        pytest.param('a="$name"', HOSTILE, r'a="a\"} or vector(1) or x{b=\""', id="PromQL in an equality"),
        pytest.param('a=~"$name"', 'x"|.*', r'a=~"x\"\\|\\.\\*"', id="PromQL in a regex"),
        pytest.param("a='$name'", "it's", 'a="it\'s"', id="single quotes"),
        pytest.param("a=~`$name\\d`", "b.c", r'a=~"b\\.c\\d"', id="back quotes"),
        pytest.param('a="x\\"$name"', "b", r'a="x\"b"', id="escapes in the template stay"),
        pytest.param('a="$name"', "naïve ☃", 'a="naïve ☃"', id="unicode"),
        pytest.param('a="$name"', "x\ny", r'a="x\U0000000ay"', id="control characters"),
        pytest.param('a="$name$names"', "b", 'a="b$names"', id="longer words are not names"),
        pytest.param('label_replace(x, "a", "$1", "b", "($name).*$")', "n", None, id="other dollars stay"),
    ],
)
def test_fill(text, value, expected):
    """A value is escaped for the matcher in which it stands."""
    filled = fill(text, {"name": value})
    assert filled == (expected if expected is not None else 'label_replace(x, "a", "$1", "b", "(n).*$")')


def test_longer_names_win():
    """$namespace is not $name followed by "space"."""
    assert fill('a="$namespace/$name"', {"namespace": "n", "name": "m"}) == 'a="n/m"'


@pytest.mark.parametrize("names", [{}, {"name": ""}], ids=["absent", "empty"])
def test_an_empty_value_is_an_error_of_its_own(names):
    """It would match nothing, or everything."""
    with pytest.raises(EmptySelector, match=r"a selector uses \$name, which is empty") as caught:
        fill('a="$name"', names)
    assert caught.value.name == "name"


def test_a_name_outside_a_string_is_refused():
    """There it would be code."""
    with pytest.raises(InvalidPolicy, match=r"must stand inside a quoted string: \$name"):
        fill("x{a=$name}", {"name": "b"})


@given(st.text())
def test_a_quoted_string_is_read_back(value):
    """Quoting loses nothing and stays on one line."""
    quoted = quote(value)
    assert unquote(quoted) == value
    assert "\n" not in quoted


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_a_quoted_regex_matches_the_value_alone(value):
    """Python agrees with RE2 on escaped punctuation."""
    assert re.fullmatch(quote_regex(value), value)
    assert not re.fullmatch(quote_regex(value), value + "x")


@given(st.text(min_size=1))
def test_a_filled_value_never_leaves_its_string(value):
    """Whatever the name holds, what follows its matcher is still there and nothing else is."""
    filled = fill('x{a="$name", b=~"$name"} + 1', {"name": value})
    first = quote(value)
    assert filled == f"x{{a={first}, b=~{quote(quote_regex(value))}}} + 1"


def test_side_and_label_are_replaced_outside_strings_only():
    """A text that happens to hold the word keeps it."""
    text = 'x{$side, LABEL=~"5..", note="$side LABEL"}'
    assert expand_side(text, 'a="b"') == 'x{a="b", LABEL=~"5..", note="$side LABEL"}'
    assert set_label(text, "code") == 'x{$side, code=~"5..", note="$side LABEL"}'
    assert asks_for_label(text)
    assert not asks_for_label('x{note="LABEL"}')


def test_what_a_selector_is_made_of():
    """Metric, labels, and the same selector on another metric."""
    text = 'http_total{$side, code=~"5..", path!="/x, y=1", code="a"}'
    assert metric_name(text) == "http_total"
    assert label_names(text) == ["code", "path"]
    assert suffixed(text, "_count") == text.replace("http_total", "http_total_count")
    assert suffixed("up", "_x") == "up_x"
    with pytest.raises(InvalidPolicy, match="must be a metric with label matchers, got 'rate"):
        suffixed("rate(x[1m])", "_count")
