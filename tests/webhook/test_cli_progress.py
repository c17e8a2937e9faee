"""The progress bar of long commands: on a terminal only, with what is done and what is left."""

from __future__ import annotations

import io

from webhook.commands.progress import CLEAR, Bar


class Terminal(io.StringIO):
    """Text that says it is a terminal."""

    def isatty(self):
        return True


def test_a_bar_shows_how_much_is_done_and_left():
    """Half of the work took ten seconds, so the rest takes ten more; the end takes the bar away."""
    stream, now = Terminal(), [0.0]
    bar = Bar(stream, 4, lambda: now[0])
    now[0] = 10.0
    bar.advance(2, word="harm 2x")
    assert stream.getvalue() == f"{CLEAR}[{'#' * 15}{'.' * 15}] 2 of 4, 0:10 left  harm 2x"
    bar.advance(9)
    assert "4 of 4, 0:00 left" in stream.getvalue()
    bar.close()
    assert stream.getvalue().endswith(CLEAR)


def test_drawing_costs_no_time():
    """No more than ten drawings a second."""
    stream, now = Terminal(), [0.0]
    bar = Bar(stream, 1000, lambda: now[0])
    for step in range(500):
        now[0] = step * 0.001
        bar.advance()
    assert stream.getvalue().count(CLEAR) <= 6


def test_a_file_gets_no_bar():
    """What is written to a log stays readable."""
    stream = io.StringIO()
    bar = Bar(stream, 3)
    bar.advance(3)
    bar.close()
    assert stream.getvalue() == ""
