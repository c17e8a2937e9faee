"""Numbers as a person writes them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis import words

ANY = st.floats(allow_nan=True, allow_infinity=True)


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        pytest.param(0.0, "0 %", id="nothing is no decimal"),
        pytest.param(1e-9, "under 0.000001 %", id="something is never nothing"),
        pytest.param(0.00042, "0.042 %", id="small"),
        pytest.param(0.00999, "1.0 %", id="rounded up"),
        pytest.param(0.01, "1.0 %", id="one percent"),
        pytest.param(0.031, "3.1 %", id="usual"),
        pytest.param(0.1, "10.0 %", id="one decimal stays"),
        pytest.param(0.9995, "99.95 %", id="near all of it"),
        pytest.param(1.0, "100 %", id="all"),
        pytest.param(12.3, "1,230.0 %", id="an increase"),
        pytest.param(-0.02, "-2.0 %", id="negative"),
        pytest.param(math.nan, "unknown", id="unknown"),
    ],
)
def test_percent(share, expected):
    """A rate has one decimal, and more only where one would hide it."""
    assert words.percent(share) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        pytest.param(0.0, "0 s", id="none"),
        pytest.param(0.0123, "12.3 ms", id="milliseconds"),
        pytest.param(0.9999, "1 s", id="not 1000 ms"),
        pytest.param(95, "95 s", id="under two minutes"),
        pytest.param(119.7, "2 min", id="not 120 s"),
        pytest.param(240, "4 min", id="minutes"),
        pytest.param(7199, "2 h", id="not 120 min"),
        pytest.param(9000, "2 h 30 min", id="hours"),
        pytest.param(259_200, "3 days", id="days"),
        pytest.param(-60, "-60 s", id="ago"),
        pytest.param(math.inf, "never", id="never"),
    ],
)
def test_duration(seconds, expected):
    """A time is told in the largest unit that still counts two of it."""
    assert words.duration(seconds) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(0.0, "0x", id="zero"),
        pytest.param(0.0132, "0.013x", id="small"),
        pytest.param(0.98, "0.98x", id="below one"),
        pytest.param(1.25, "1.25x", id="a tolerance keeps its digits"),
        pytest.param(1.996, "2.0x", id="no 2.00x"),
        pytest.param(9.96, "10x", id="no 10.0x"),
        pytest.param(1234.0, "1,234x", id="large"),
        pytest.param(math.inf, "any ratio", id="nothing bounds it"),
    ],
)
def test_ratio(value, expected):
    """A ratio has the decimals that decide something."""
    assert words.ratio(value) == expected


@pytest.mark.parametrize(
    ("low", "high", "measure", "expected"),
    [
        pytest.param(0.98, 1.7, "ratio", "0.98x to 1.7x", id="both"),
        pytest.param(1.2, None, "ratio", "at least 1.2x", id="no upper bound"),
        pytest.param(1.2, math.inf, "ratio", "at least 1.2x", id="infinite upper bound"),
        pytest.param(None, 0.004, "difference", "at most +0.4 pp", id="no lower bound"),
        pytest.param(None, None, "ratio", "nothing bounds it yet", id="none"),
    ],
)
def test_bounds(low, high, measure, expected):
    """A missing or infinite bound is said in words."""
    assert words.bounds(low, high, measure) == expected


@pytest.mark.parametrize(
    ("log_e", "expected"),
    [
        pytest.param(0.0, "1 : 1", id="nothing known"),
        pytest.param(math.log(5), "5 : 1", id="the odds of a step"),
        pytest.param(4.605, "100 : 1", id="a goal rounded to three decimals"),
        pytest.param(math.log(995), "990 : 1", id="not yet a thousand"),
        pytest.param(math.log(1000), "1,000 : 1", id="a thousand"),
        pytest.param(-2.1, "1 : 8.1", id="for the other side"),
        pytest.param(14.0, "over 1,000,000 : 1", id="capped"),
        pytest.param(-800.0, "under 1 : 1,000,000", id="capped below"),
    ],
)
def test_odds(log_e, expected):
    """Odds are two digits of the e-value, rounded towards even odds."""
    assert words.odds(log_e) == expected


@given(st.floats(0, math.log(1e6)))
def test_odds_claim_no_more_than_was_proved(log_e):
    """What is printed exceeds the e-value by a thousandth at most, and falls short by a tenth at most."""
    told = float(words.odds(log_e).split(" : ")[0].replace(",", ""))
    assert 0.9 * math.exp(log_e) <= told <= 1.0011 * math.exp(log_e)


@given(ANY)
@pytest.mark.parametrize(
    "form",
    [words.percent, words.share, words.signed_percent, words.points, words.count, words.about, words.number,
     words.ratio, words.odds, words.duration],
    ids=lambda form: form.__name__,
)  # fmt: skip
def test_every_float_has_words(form, value):
    """No number breaks a sentence, and neither nan nor inf nor an exponent is ever printed."""
    told = form(value)
    assert told
    assert "nan" not in told
    assert "inf" not in told
    assert "e+" not in told
    assert "e-" not in told


@given(st.text(), st.integers(2, 60))
def test_a_cut_reason_fits(text, limit):
    """A cut text is one line within its limit, and a text that fits is kept word for word."""
    told = words.cut(text, limit)
    assert len(told) <= limit
    assert len(told.splitlines()) <= 1
    if len(" ".join(text.split())) <= limit:
        assert told.split() == text.split()
