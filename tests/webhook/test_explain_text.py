"""Reports as plain text."""

from __future__ import annotations

import pytest
from hypothesis import given

from tests.webhook.explain_documents import GOLDEN, NAMES, damaged, document
from webhook.explain import text


def queries_cut_off(told: str) -> list[str]:
    """Return the lines outside the section of resolved queries."""
    kept, inside = [], False
    for row in told.splitlines():
        inside = row == "QUERIES" or (inside and row.startswith(" "))
        if not inside:
            kept.append(row)
    return kept


@pytest.mark.parametrize("name", NAMES)
def test_a_report_reads_as_agreed(name):
    """The text of each report is the one that was looked at and kept."""
    assert text.render(document(name)) == (GOLDEN / f"{name}.txt").read_text()


def test_what_was_made_of_no_look_has_no_record_to_judge_again():
    """Nobody is sent to a record that is not there: a fault and a human's word weigh no look."""
    assert "THE SAME AGAIN" in text.render(document("hold"))
    assert "THE SAME AGAIN" not in text.render(document("degraded"))


def test_names_of_events_stay_whole():
    """The longest action fits its column."""
    told = document("abort")
    told["detail"]["history"] = [{"time": 0.0, "weight": 0.25, "action": "superseded", "reason": "by 2"}]
    assert "  1970-01-01 00:00:00Z  25 %   superseded by 2\n" in text.render(told)


@pytest.mark.parametrize(
    ("name", "start"),
    [
        pytest.param("promote", "PROMOTE  error rate 0.9 % vs 1.0 %", id="promote"),
        pytest.param("hold", "HOLD  error rate 1.3 % vs 1.0 %", id="hold"),
        pytest.param("abort", "ABORT  error rate 3.0 % vs 1.0 %", id="abort"),
        pytest.param("degraded", "HOLD  the metrics source does not answer", id="degraded"),
        pytest.param("override", "WOULD ABORT (answers PROMOTE)  error rate", id="the mode changes what is heard"),
    ],
)
def test_the_first_line_is_the_verdict_and_its_reason(name, start):
    """Whoever reads one line only knows the verdict and why."""
    assert text.render(document(name)).splitlines()[0].startswith(start)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        pytest.param(
            "hold", "57/5,700 = 1.0 %     13/1,000 = 1.3 %    1.3x (0.98x to 1.7x)", id="counts on both sides, effect"
        ),
        pytest.param("hold", "worse than stable            log e 2.1 of 4.6   freeze at 100 : 1", id="evidence"),
        pytest.param("hold", "about 2,100 more canary requests, 4 min at 10 %; 95 s at 25 %", id="forecast"),
        pytest.param("hold", "240 looks of 4 replicas", id="noise and where it is known from"),
        pytest.param("hold", 'code=~"5.."', id="resolved queries"),
        pytest.param("hold", "weighbridge judge record.json --at 2026-11-23T10:08:00Z", id="how to get it again"),
        pytest.param("abort", "reached: abort at 1,000 : 1", id="the proof that decided"),
        pytest.param("promote", "latency p95 0.35 vs 0.3, +16.7 %, limit +50.0 %", id="limits"),
        pytest.param("left_out", "matches both selectors (3 looks, last", id="what was left out"),
        pytest.param("left_out", "1.4x (at least 0.9x)", id="an endless bound"),
        pytest.param("override", "would abort; mode shadow answers promote", id="the mode, loudly"),
        pytest.param(
            "override", "on-call said abort at 2026-11-23 10:07:00Z: checkout dashboard is red", id="override"
        ),
        pytest.param("override", "HISTORY (newest 10 of 13)", id="history"),
        pytest.param("degraded", "source degraded (", id="flags"),
        pytest.param("inline", "!!  would promote; a fault of ours (store_down) answers hold", id="a fault of ours"),
        pytest.param("closed", "closed    promoted at 2026-11-23 10:08:17Z after 8 min", id="the end of an attempt"),
        pytest.param("closed", "2026-11-23 09:59:58Z         opened     first asked", id="times of the store"),
        pytest.param("hold", "to abort: will not be proved; estimate 1.3x against 1.5x", id="a wait without end"),
        pytest.param("hold", "at most 180 : 1 that a doubled rate is", id="what these pods cannot prove"),
    ],
)
def test_a_report_tells(name, words):
    """Each part of the document that explains the verdict is in the text."""
    assert words in text.render(document(name))


def test_equal_answers_need_no_warning():
    """The warning of the mode appears only where the caller hears something else."""
    assert "!!" not in text.render(document("abort"))


@pytest.mark.parametrize("name", NAMES)
def test_lines_fit_a_terminal(name):
    """No line is longer than 100 columns."""
    assert max(map(len, queries_cut_off(text.render(document(name))))) <= 100


def test_a_query_is_broken_outside_of_quotes_only():
    """A query can be copied: no quoted string is torn apart, and nothing of it is lost."""
    matcher = '{a="' + "two  words " * 12 + '"}'
    report = document("hold")
    report["detail"]["queries"] = [
        {"question": "q", "field": "bad", "expr": f"sum by (pod) (x{matcher}) + {'zz ' * 80}"}
    ]
    told = text.render(report)
    assert matcher in told
    assert told.count("zz") == 80


def test_a_terminal_obeys_no_name():
    """Escape sequences, line ends and changes of direction in names do not reach the terminal."""
    report = document("hostile")
    report["reason"] = "one\nPROMOTE\r\x1b[2Jtwo\u202e"
    told = text.render(report)
    assert told.startswith("HOLD  one PROMOTE")
    assert not [char for char in told if not char.isprintable() and char != "\n"]


@given(damaged())
def test_a_damaged_document_is_still_told(report):
    """Whatever is missing or of a wrong type, there is a text, its lines fit, and nothing is told as None."""
    told = text.render(report)
    rows = queries_cut_off(told)
    assert told.endswith("\n")
    assert max(map(len, rows)) <= 100
    assert not [row for row in rows if "None" in row or "nan" in row.split()]


def test_an_empty_document_is_still_told():
    """A document without any part says that there is no verdict."""
    assert text.render({}).startswith("NO VERDICT")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        pytest.param("latency", "122,136 requests, 4 replicas", id="requests of a latency"),
        pytest.param("latency", "guilty    more requests over 1 s", id="the most guilty edge"),
        pytest.param("latency", "over 1 s                0.0066 %   1.4 %      over 1,000,000 : 1", id="edges"),
        pytest.param("percentiles", "published percentiles hold no counts", id="a flag with its meaning"),
        pytest.param("level", "noise     known to about 3.6 %: 3.5 % for pods, 0.7 % over time", id="noise of a level"),
        pytest.param("level", "baseline  0.401, 6 replicas", id="a level"),
        pytest.param(
            "variation", "variation, the weaker one: a rule measured on labelled cases", id="the weaker proof"
        ),
        pytest.param("variation", "a change by 1.22x would hold, one by 1.49x abort", id="what would hold or abort"),
        pytest.param("variation", "has not yet stood for a quarter of the canary's age", id="why it does not abort"),
        pytest.param("variation_good", "1.01x (no bounds)", id="no bounds where there are none"),
        pytest.param("rate", "468 events = 21.7 per 1,000, 3 replicas", id="events per unit"),
        pytest.param("rate", "more events in the first hour at full weight", id="the cost of events"),
    ],
)
def test_every_kind_is_told_in_its_own_words(name, words):
    """Edges, levels, variation and rates: counts, noise, proof and findings as the kind has them."""
    assert words in text.render(document(name))
