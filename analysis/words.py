"""
Numbers as a person writes them: shares, counts, ratios, odds, durations.

Reasons, the plain-text report and the page all use these, so that one number looks the same everywhere.
Every function is total over the floats: NaN is ``"unknown"``, and an infinity is said in words, never
printed as ``inf``.
"""

from __future__ import annotations

import math
from collections.abc import Callable

Show = Callable[[float], str]
"""How a number of some unit is written."""

REASON = 199
"""Longest reason: under 200 characters."""

UNKNOWN = "unknown"
MILLION = 1_000_000
CAP = math.log(MILLION)
"""Odds beyond a million to one say nothing more to a person."""
ENDLESS = 1e15
"""From here on a number is as good as infinite."""
MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0


def percent(share: float) -> str:
    """
    Return a share in percent, as rates are written: one decimal, more where one would hide the number.

    Parameters
    ----------
    share : float
        A share, 0.01 for one percent; may be negative or beyond 1.

    Returns
    -------
    str
        At least one decimal, and at most five more: enough for two significant digits of the distance
        to 0 or to 100 %, whichever is nearer. Zero and one themselves are ``"0 %"`` and ``"100 %"``.

    Examples
    --------
    >>> percent(0.013), percent(0.01), percent(0.00042), percent(0.9995), percent(0.0)
    ('1.3 %', '1.0 %', '0.042 %', '99.95 %', '0 %')
    """
    if not _plain(share):
        return _odd(share)
    if share in (-1, 0, 1):
        return f"{int(share) * 100} %"
    if abs(share) < 1e-8:
        return "under 0.000001 %"
    gap = min(abs(share), abs(1 - abs(share))) * 100
    decimals = min(6, max(1, 1 - math.floor(math.log10(gap)))) if gap > 0 else 1
    return f"{_trim(f'{share * 100:,.{decimals}f}', keep=1)} %"


def share(value: float) -> str:
    """
    Return a share in percent without needless decimals, as traffic weights are written.

    Examples
    --------
    >>> share(0.1), share(0.125), share(1.0), share(0.0005)
    ('10 %', '12.5 %', '100 %', '0.05 %')
    """
    text = percent(value)
    return text.replace(".0 %", " %")


def signed_percent(change: float) -> str:
    """
    Return a relative change in percent, with its sign.

    Examples
    --------
    >>> signed_percent(0.5), signed_percent(-0.034), signed_percent(0.0)
    ('+50.0 %', '-3.4 %', '0 %')
    """
    return f"+{percent(change)}" if change > 0 else percent(change)


def points(difference: float) -> str:
    """
    Return a difference of two shares in percentage points, with its sign.

    Examples
    --------
    >>> points(0.003), points(-0.02), points(0.00012), points(0.0)
    ('+0.3 pp', '-2.0 pp', '+0.012 pp', '0 pp')
    """
    if not _plain(difference) or difference == 0:
        return f"{_odd(difference) if difference else '0'} pp"
    decimals = min(6, max(1, -1 - math.floor(math.log10(abs(difference)))))
    return f"{_trim(f'{difference * 100:+,.{decimals}f}', keep=1)} pp"


def count(number: float) -> str:
    """
    Return a whole number with thousands apart; increments of rates are rounded to the nearest.

    Examples
    --------
    >>> count(2100), count(57.0), count(0)
    ('2,100', '57', '0')
    """
    return f"{round(number):,}" if _plain(number) else _odd(number)


def about(number: float) -> str:
    """
    Return a count that is only known roughly, to two significant digits.

    Examples
    --------
    >>> about(2087), about(87), about(123_456)
    ('2,100', '87', '120,000')
    """
    return count(_significant(number, 2)) if _plain(number) else _odd(number)


def number(value: float) -> str:
    """
    Return any other number to three significant digits, without exponent or needless zeros.

    Examples
    --------
    >>> number(1.4), number(0.0834), number(1234.6), number(0.0), number(-2.5)
    ('1.4', '0.0834', '1,235', '0', '-2.5')
    """
    if not _plain(value):
        return _odd(value)
    if abs(value) >= 100:
        return f"{round(value):,}"
    if abs(value) < 1e-9:
        return "0"
    decimals = min(9, 2 - math.floor(math.log10(abs(value))))
    return _trim(f"{value:.{decimals}f}")


def ratio(value: float) -> str:
    """
    Return a ratio of canary over baseline.

    Two decimals below 2, where they decide something, one below 10, none above; two significant digits
    below 0.1. An infinite bound is ``"any ratio"``.

    Examples
    --------
    >>> ratio(1.3), ratio(0.98), ratio(1.25), ratio(3.04), ratio(41.7), ratio(0.0132), ratio(1.0)
    ('1.3x', '0.98x', '1.25x', '3.0x', '42x', '0.013x', '1.0x')
    """
    if not _plain(value):
        return "any ratio" if value > 0 else _odd(value)
    size = abs(value)
    if size >= 9.95:
        return f"{round(value):,}x"
    if size >= 1.995:
        return f"{value:.1f}x"
    if size < 0.1:
        return f"{number(_significant(value, 2))}x"
    return f"{_trim(f'{value:.2f}', keep=1)}x"


def bounds(low: float | None, high: float | None, measure: str = "ratio") -> str:
    """
    Return the bounds of an effect; ``None`` and infinity stand for a side that nothing bounds.

    Parameters
    ----------
    low, high : float or None
        A ratio, or a difference of shares where ``measure`` is ``"difference"``.
    measure : {"ratio", "difference"}

    Examples
    --------
    >>> bounds(0.98, 1.7), bounds(1.2, None), bounds(0.001, 0.004, "difference"), bounds(None, None)
    ('0.98x to 1.7x', 'at least 1.2x', '+0.1 pp to +0.4 pp', 'nothing bounds it yet')
    """
    form = points if measure == "difference" else ratio
    below = None if low is None or not _plain(low) else form(low)
    above = None if high is None or not _plain(high) else form(high)
    if below is None and above is None:
        return "nothing bounds it yet"
    if above is None:
        return f"at least {below}"
    return f"at most {above}" if below is None else f"{below} to {above}"


def odds(log_e: float) -> str:
    """
    Return what a log e-value says, as odds.

    Parameters
    ----------
    log_e : float
        Natural logarithm of an e-value. Negative values speak for the other side.

    Returns
    -------
    str
        Two significant digits, rounded towards even odds, so that no more is claimed than was proved (a
        thousandth is forgiven, for goals that were rounded themselves); capped at a million.

    Examples
    --------
    >>> odds(6.07), odds(math.log(1000)), odds(0.9), odds(-2.1), odds(40.0)
    ('430 : 1', '1,000 : 1', '2.4 : 1', '1 : 8.1', 'over 1,000,000 : 1')
    """
    if math.isnan(log_e):
        return UNKNOWN
    if abs(log_e) > CAP + 1e-3:
        return f"over {MILLION:,} : 1" if log_e > 0 else f"under 1 : {MILLION:,}"
    size = math.exp(abs(log_e)) * 1.001
    unit = 10.0 ** (math.floor(math.log10(size)) - 1)
    told = number(round(math.floor(size / unit) * unit, 1))
    return f"{told} : 1" if log_e >= 0 else f"1 : {told}"


def duration(seconds: float) -> str:
    """
    Return a span of time in the largest unit that still counts at least two of it.

    Examples
    --------
    >>> duration(240), duration(95), duration(0.034), duration(2.5), duration(9000), duration(3 * 86400)
    ('4 min', '95 s', '34 ms', '2.5 s', '2 h 30 min', '3 days')
    """
    if not _plain(seconds):
        return "never" if seconds > 0 else _odd(seconds)
    if seconds < 0:
        return f"-{duration(-seconds)}"
    if seconds < 0.9995:
        return f"{number(_significant(seconds * 1000, 3))} ms" if seconds else "0 s"
    if seconds < 9.95:
        return f"{_trim(f'{seconds:.1f}')} s"
    if seconds < 2 * MINUTE - 0.5:
        return f"{round(seconds)} s"
    if seconds < 2 * HOUR - 30:
        return f"{round(seconds / MINUTE)} min"
    if seconds < 2 * DAY - 30:
        hours, minutes = divmod(round(seconds / MINUTE), 60)
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{round(seconds / DAY)} days"


def cut(text: str, limit: int = REASON) -> str:
    """
    Return ``text`` on one line and at most ``limit`` characters long, cut after a word, with an ellipsis.

    Examples
    --------
    >>> cut(" error rate  too high "), cut("one two three", 9)
    ('error rate too high', 'one two…')
    """
    line = " ".join(text.split())
    if len(line) <= limit:
        return line
    head = line[:limit]
    # A single endless word is cut where it stands.
    kept = head[: head.rfind(" ")] if " " in head else head[:-1]
    return f"{kept.rstrip(' ,;:')}…"


def _plain(number: float) -> bool:
    """Return whether a number is one that a person would write down."""
    return abs(number) < ENDLESS


def _odd(number: float) -> str:
    """Return the word for a number that is none."""
    if math.isnan(number):
        return UNKNOWN
    return "unlimited" if number > 0 else "below any limit"


def _significant(number: float, digits: int) -> float:
    """Return ``number`` rounded to so many significant digits."""
    return round(number, digits - 1 - math.floor(math.log10(abs(number)))) if number else 0.0


def _trim(text: str, keep: int = 0) -> str:
    """Return ``text`` without trailing zeros after the point, but with at least ``keep`` decimals."""
    whole, point, decimals = text.partition(".")
    decimals = decimals.rstrip("0").ljust(keep, "0")
    return f"{whole}.{decimals}" if point and decimals else whole
