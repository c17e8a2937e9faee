"""What is remembered between calls is a memo: thrown away, the same values come out, look for look."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis import evidence, resumed
from analysis.compare import counts
from analysis.compare.arms import batch_of, prepare
from analysis.compare.counts_arms import arms_of
from analysis.compare.latency import weigh
from analysis.compare.latency_noise import stable_of
from analysis.compare.latency_parts import LatencyQuestion
from analysis.compare.scores import SHIFT
from analysis.evidence import Null
from analysis.judge import judge
from analysis.resumed import BACK, LARGEST, MOST, ROOM, WIDE, Recalled, Resumed, Tabled, Trail
from tests.analysis.counts_examples import release
from tests.analysis.kinds_examples import every_kind
from tests.analysis.kinds_examples import release as kinds_release
from tests.analysis.latency_examples import EDGES
from tests.analysis.latency_examples import counts as counts_of_latency
from tests.analysis.latency_examples import release as release_of_latency


@pytest.fixture(autouse=True)
def forgetful():
    resumed.forget()


def prepared(looks):
    return prepare(arms_of(release(looks=looks), counts.CountsQuestion())).looks


@pytest.mark.parametrize("harm", [False, True])
@pytest.mark.parametrize("back", [1, 3])
def test_a_release_watched_look_by_look_is_the_one_judged_at_once(harm, back):
    """Every figure and word of every kind equals that of a judge who has forgotten everything."""
    asked, whole = every_kind(), kinds_release(harm=harm)
    looks = range(30, 30 + 10 * back, back)
    watched = [repr(judge(asked, whole, float(whole.ends[look]))) for look in looks]
    for look, report in zip(looks, watched, strict=True):
        resumed.forget()
        assert report == repr(judge(asked, whole, float(whole.ends[look])))


@pytest.mark.parametrize("back", [1, 3])
@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="noise of history"),
        pytest.param({"history": 0}, id="noise of the run"),
        pytest.param({"history": 5}, id="too little history"),
        pytest.param({"history": 0, "requests": 4.0}, id="slots of several looks"),
        pytest.param({"history": 0, "pods": (1, 1)}, id="one stable pod"),
        pytest.param({"history": 0, "pods": (1, 1), "visible": False}, id="pods that cannot be seen"),
        pytest.param({"history": 0, "shift": np.where(np.arange(60) < 30, 1.0, 1.5)}, id="harm"),
    ],
)
def test_a_latency_watched_look_by_look_is_the_one_weighed_at_once(changes, back):
    """Pods that are gone for some looks, looks left out, a weight step: each curve is that of a replay, to the bit."""
    data = release_of_latency(3, looks=60, **changes)
    data.canary[:, :25] //= 3
    data.baseline[0, 20:24] = np.nan
    data.left_out[[12, 40]] = True

    def told(upto):
        cut = {name: getattr(data, name)[:, :upto] for name in ("baseline", "canary")}
        cut |= {name: getattr(data, name)[:upto] for name in ("left_out", "ends", "seconds")}
        found = weigh(replace(data, **cut), LatencyQuestion())
        curves = "edge_warn", "edge_tolerated", "score_warn", "warn", "abort", "promote", "better", "step"
        shift = (getattr(found.shift, name) for name in SHIFT)
        return repr([each.tolist() for each in (*(getattr(found, name) for name in curves), *shift)])

    looks = range(20, 60 + 1, back)
    watched = [told(upto) for upto in looks]
    for upto, report in zip(looks, watched, strict=True):
        resumed.forget()
        assert report == told(upto)


def test_two_releases_that_part_share_only_what_they_had_in_common():
    """The newest look of one is another's: what either learns of its own looks is not told to the other."""
    rng = np.random.default_rng(3)
    one = counts_of_latency(rng, 4, 40, 400.0)[None]
    other = one.copy()
    other[:, :, 31:] = counts_of_latency(rng, 4, 9, 400.0, shift=1.5)
    seconds = np.full(40, 10.0)
    together = []
    for upto in (30, 31, 32, 36):
        for each in (one, other):
            stable = stable_of(each[:, :, :upto], EDGES, seconds[:upto], True)
            together.append(repr(stable.learned(np.arange(1), upto)))
    alone = []
    for upto in (30, 31, 32, 36):
        for each in (one, other):
            resumed.forget()
            stable = stable_of(each[:, :, :upto], EDGES, seconds[:upto], True)
            alone.append(repr(stable.learned(np.arange(1), upto)))
    assert together == alone
    assert alone[0] == alone[1]
    assert alone[4] != alone[5]


@pytest.mark.parametrize("history", [pytest.param(0, id="noise learned in the run"), pytest.param(60, id="history")])
@pytest.mark.parametrize("back", [1, 3, BACK])
def test_going_on_is_bit_for_bit_what_a_replay_is(history, back):
    """Pods that come, noise that is learned while it runs, one look or several at once: not a digit differs."""
    rng = np.random.default_rng(7)
    data = counts.CountsData(
        baseline_bad=rng.poisson(2.0, (4, 80)) * 1.0, baseline_total=np.full((4, 80), 200.0),
        canary_bad=np.where(np.arange(80) < [[0], [37]], np.nan, rng.poisson(1.0, (2, 80))),
        canary_total=np.where(np.arange(80) < [[0], [37]], np.nan, 90.0),
        left_out=np.zeros(80, dtype=bool), ends=10.0 * np.arange(1, 81), seconds=np.full(80, 10.0),
        earlier_bad=rng.poisson(2.0, (4, history)) * 1.0 if history else None,
        earlier_total=np.full((4, history), 200.0) if history else None,
    )  # fmt: skip
    looks = prepare(arms_of(data, counts.CountsQuestion())).looks
    start = evidence.promote_start(np.array([[0.4]]), looks.pod_factor[:, 0], looks.pod_weights[:, 0])

    def both(upto):
        part = looks.between(0, upto)
        return evidence.abort_evidence(part, Null())[0], evidence.promote_evidence(part, Null(ratio=1.5), start)[0]

    for upto in range(20, 80 + 1, back):
        watched = both(upto)
        resumed.forget()
        for one, other in zip(watched, both(upto), strict=True):
            assert np.array_equal(one, other)


def test_one_look_more_computes_one_look():
    """The second call goes on where the first ended."""
    asked = []
    seen = Resumed[int]()

    def advance(first, state):
        asked.append(first)
        return np.arange(first, columns[0].shape[1], dtype=float)[None], (state or 0) + 1

    for count in (30, 31, 31, 30 + BACK):
        columns = (np.arange(count, dtype=float)[None],)
        log_e, _ = seen.run(b"", columns, advance)
        assert log_e[0].tolist() == list(range(count))
    assert asked == [0, 30, 31]


def test_a_past_that_changed_is_computed_anew():
    """One number of one look is another: nothing of the earlier call is used."""
    looks = prepared(40)
    first, _ = evidence.abort_evidence(looks, Null())
    moved = looks.without(np.arange(40) == 3)
    again, _ = evidence.abort_evidence(moved, Null())
    resumed.forget()
    fresh, _ = evidence.abort_evidence(moved, Null())
    assert np.array_equal(again, fresh)
    assert not np.array_equal(again, first)


@pytest.mark.parametrize("null", [pytest.param(Null(ratio=1.2), id="ratio"), pytest.param(Null(slack=0.1), id="slack")])
def test_another_null_is_another_process(null):
    """Two limits of one question never share what was computed."""
    looks = prepared(40)
    plain, _ = evidence.abort_evidence(looks, Null())
    other, _ = evidence.abort_evidence(looks, null)
    assert not np.array_equal(plain, other)


def test_what_is_returned_may_be_changed():
    """A caller that writes into its result does not write into the memory of others."""
    looks = prepared(40)
    first, _ = evidence.abort_evidence(looks, Null())
    kept = first.copy()
    first[:] = 0
    assert np.array_equal(evidence.abort_evidence(looks, Null())[0], kept)


@pytest.mark.parametrize("shared", [False, True])
def test_runs_that_part_do_not_write_over_each_other(shared):
    """Each goes on from the same looks in its own way; what was handed out before stays as it was."""
    seen = Resumed[None](shared=shared)

    def ask(looks):
        columns = np.array([looks], dtype=np.float64)
        return seen.run(b"", (columns,), lambda first, _: (columns[:, first:] * 2, None))[0]

    past = list(range(30))
    one = [[*past, *range(100, 100 + n)] for n in range(3 * ROOM)]
    other = [[*past, *range(200, 200 + n)] for n in range(3 * ROOM)]
    told = [(looks, ask(looks)) for pair in zip(one, other, strict=True) for looks in pair]
    for looks, found in told:
        assert found.tolist() == [[2.0 * look for look in looks]]


def test_memory_is_bounded():
    """The oldest process is forgotten first."""
    seen = Resumed[int]()
    calls = []

    def advance(first, state):
        calls.append(first)
        return np.zeros((1, 20 - first)), 0

    for n in range(MOST + 1):
        seen.run(str(n).encode(), (np.zeros((1, 20)),), advance)
    seen.run(b"0", (np.zeros((1, 20)),), advance)
    seen.run(str(MOST).encode(), (np.zeros((1, 20)),), advance)
    assert len(calls) == MOST + 2


def test_wide_looks_are_recognised_like_narrow_ones():
    """Numbers that stand in columns of their own mark a past as the same numbers beside others do."""
    rng = np.random.default_rng(1)
    wide, narrow = rng.normal(size=(2, 40, WIDE + 1)), rng.normal(size=(2, 40))
    asked = []
    seen = Resumed[int]()

    def ask(upto):
        columns = (wide[:, :upto], narrow[:, :upto])

        def advance(first, state):
            asked.append(first)
            return columns[0][:, first:].sum(axis=-1) + columns[1][:, first:], 0

        return seen.run(b"", columns, advance)[0]

    for upto in (30, 31, 40):
        assert np.array_equal(ask(upto), wide[:, :upto].sum(axis=-1) + narrow[:, :upto])
    wide[1, 2, 3] += 1e-9
    ask(40)
    narrow[0, 2] += 1e-9
    ask(40)
    assert asked == [0, 30, 0, 0, 0]  # ten looks more are more than are looked back


def test_what_was_computed_is_recalled_by_its_numbers():
    """The same numbers are not computed again; another number, shape or opening is."""
    calls = []
    known = Recalled[float](3)

    def ask(opening, *numbers):
        return known.value(opening, numbers, lambda: calls.append(opening) or float(sum(n.sum() for n in numbers)))

    numbers = np.arange(6.0)
    assert [ask(b"a", numbers), ask(b"a", numbers.copy()), ask(b"a", numbers[::-1])] == [15.0, 15.0, 15.0]
    assert len(calls) == 2
    ask(b"a", numbers.reshape(2, 3))
    ask(b"a", numbers[:3], numbers[3:])
    ask(b"b", numbers)
    assert len(calls) == 5
    ask(b"a", numbers)  # three others came since
    assert len(calls) == 6
    resumed.forget()
    ask(b"a", numbers)
    assert len(calls) == 7


def test_what_is_shared_cannot_be_written_into():
    """Tables too large to be copied are handed out as they are, and closed."""
    seen = Resumed[None](shared=True)
    found, _ = seen.run(b"", (np.zeros((1, 20)),), lambda first, _: (np.zeros((1, 20 - first)), None))
    with pytest.raises(ValueError, match="read-only"):
        found[0, 0] = 1.0


def test_what_is_too_large_is_not_remembered():
    """A table of very many looks is computed again rather than kept."""
    seen, calls = Resumed[None](), []
    looks = 1 + LARGEST // 8

    def advance(first, _):
        calls.append(first)
        return np.zeros((1, looks - first)), None

    for _ in range(2):
        seen.run(b"", (np.zeros((1, looks)),), advance)
    assert calls == [0, 0]


def test_a_table_is_worked_out_row_by_row_and_once():
    """Rows that were asked for before are not computed again, and too many at once are not kept for ever."""
    asked = []
    table = Tabled(4)

    def make(rows):
        asked.append(rows[:, 0].tolist())
        return rows[:, :1] * [10.0, 20.0]

    def ask(*numbers):
        found = table.rows(np.array([[number, 7.0] for number in numbers]), make)
        assert found.tolist() == [[10 * number, 20 * number] for number in numbers]

    ask(1.0, 2.0, 1.0)
    ask(2.0, 3.0)
    ask(3.0, 1.0, 2.0)
    assert asked == [[1.0, 2.0], [3.0]]
    ask(4.0, 5.0)  # more than four
    ask(1.0)
    assert asked[2:] == [[4.0, 5.0], [1.0]]
    resumed.forget()
    ask(1.0)
    assert asked[4:] == [[1.0]]


def test_processes_of_one_question_share_the_digest_of_its_looks():
    """A trail that begins later tells apart where it began; a look that changed changes every digest."""
    rng = np.random.default_rng(4)
    columns = [rng.normal(size=(1, 40)), rng.normal(size=(1, 40, 3))]
    whole, part = Trail(columns), Trail(columns).after(7)
    assert whole.mark(40, b"") == Trail(columns).mark(40, b"")
    assert whole.mark(39, b"") == Trail([column[:, :39] for column in columns]).mark(39, b"")
    assert whole.mark(33, b"") == Trail([column[:, :33] for column in columns]).mark(33, b"")
    assert len({whole.mark(40, b""), whole.mark(39, b""), whole.mark(40, b"a"), part.mark(33, b"")}) == 4
    columns[1][0, 3, 1] += 1e-9
    assert Trail(columns).mark(40, b"") != whole.mark(40, b"")


def test_what_is_made_of_looks_has_a_trail_of_its_own():
    """The same looks, of which other things are made, and the same things made of other looks are told apart."""
    looks, other = np.arange(40.0)[None], np.arange(40.0)[None] + 1
    trail = Trail([looks])
    made = trail, trail.named(b"a"), trail.named(b"b"), trail.named(b"a").named(b"b"), Trail([other]).named(b"a")
    marks = {*(each.mark(40, b"") for each in made), trail.after(10).mark(30, b"")}
    assert len(marks) == 6
    assert trail.named(b"a").after(3).mark(37, b"") == Trail([looks]).after(3).named(b"a").mark(37, b"")


def test_releases_chosen_of_others_are_told_by_their_looks():
    """What is remembered of one row is not told of another."""
    looks = prepare(batch_of([arms_of(release(looks=40), counts.CountsQuestion())] * 2)).looks
    looks = replace(looks, bad_canary=looks.bad_canary * [[1.0], [3.0]])
    assert looks.trail.count == 40  # so that rows take their trail from it

    def weighed():
        return [evidence.abort_evidence(looks.chosen(np.array([row])), Null())[0].tolist() for row in (0, 1, 0)]

    remembered = weighed()
    resumed.forget()
    assert remembered == weighed()
    assert remembered[0] == remembered[2] != remembered[1]
