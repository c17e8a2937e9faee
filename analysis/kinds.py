"""
How each kind of question is weighed: a table from kind and data to the functions that know its arithmetic.

A new kind is a line of this table. What is asked as a ``query``, or published as percentiles, is a level whatever
its kind; what is judged by its variation is not here but in ``variations.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

import numpy as np

from analysis import (
    explain_latency,
    explain_levels,
    explain_since,
    explaining,
    latencies,
    levels,
    proportions,
    rates,
    silences,
)
from analysis import since as earlier
from analysis.compare import counts, latency
from analysis.explaining import Standing
from analysis.gone import applies, gone_since
from analysis.grid import Floats
from analysis.policy import Gauge, Latency, Policy, Proportion, Quantile, Question, Rate, Ratio
from analysis.record import QuestionRecord, Record
from analysis.report import Evidence
from analysis.sequential import Sequential
from analysis.silences import Silence
from analysis.types import BoolArray, Pairing

T = TypeVar("T")
Asked = tuple[Any, Record]
"""A question, and the record that it is asked of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """
    How questions of one kind are weighed and told.

    Parameters
    ----------
    silence : callable (question, record)
        Why it cannot be judged, or None.
    weigh_together : callable (questions with their records, policy, next_weight, steps)
        Evidence of each, or None where there is nothing to weigh; ``steps`` are the looks at which the split changed.
    with_next_weight : callable (evidence, next_weight)
    answer : callable (question, policy, record, evidence, standing)
        What a person reads.
    counts : bool
        Whether events are counted: only then may a freeze that stays open abort.
    splits : bool
        Whether its requests show the traffic split.
    ages : bool
        Whether young replicas tell nothing yet, so that they are left out; its evidence can be ``backed``.
    causal : callable (question of the record)
        Whether abort evidence of a look is the same on a record that ends with it.
    """

    silence: Callable[[Any, Record], Silence | None]
    weigh_together: Callable[[Sequence[Asked], Policy, float | None, BoolArray | None], Sequence[Any]]
    with_next_weight: Callable[[Any, float], Any]
    answer: Callable[[Any, Policy, Record, Any, Standing], Evidence]
    counts: bool = False
    splits: bool = False
    ages: bool = False
    causal: Callable[[QuestionRecord], bool] = lambda _: False

    def weigh(
        self, question: Question, policy: Policy, record: Record, next_weight: float | None, steps: BoolArray | None
    ) -> Any:
        """Return the evidence of one question alone, or None."""
        return self.weigh_together([(question, record)], policy, next_weight, steps)[0]

    @property
    def family(self) -> object:
        """What kinds have in common whose questions are weighed together."""
        return self.weigh_together, self.ages


def _where_known(
    data: Sequence[T | None], weigh: Callable[[Sequence[T], Sequence[int]], Sequence[Sequential]]
) -> Sequence[Sequential | None]:
    """Return the evidence of data at each place, None where there is none; ``weigh`` takes data and their places."""
    places = [place for place, each in enumerate(data) if each is not None]
    found = dict(zip(places, weigh([each for each in data if each is not None], places), strict=True))
    return [found.get(place) for place in range(len(data))]


def _weigh_counts(
    asked: Sequence[Asked], policy: Policy, next_weight: float | None, steps: BoolArray | None
) -> Sequence[Sequential | None]:
    del steps  # they are read from the requests of each, or from its other exposure
    return _where_known(
        [_counted(*one) for one in asked],
        lambda data, places: counts.weigh_together(
            data, [_asked_of_counts(asked[place][0], policy) for place in places], next_weight
        ),
    )


def _counted(question: Proportion | Rate, record: Record) -> counts.CountsData | None:
    return (
        rates.counts_of(question, record) if isinstance(question, Rate) else proportions.counts_data(question, record)
    )


def _asked_of_counts(question: Proportion | Rate, policy: Policy) -> counts.CountsQuestion:
    return rates.asked(question, policy) if isinstance(question, Rate) else proportions.asked(question, policy)


def _weigh_latency(
    asked: Sequence[Asked], policy: Policy, next_weight: float | None, steps: BoolArray | None
) -> Sequence[Sequential | None]:
    del steps
    return _where_known(
        [latencies.latency_data(*one) for one in asked],
        lambda data, places: latency.weigh_together(
            data, [latencies.asked(asked[place][0], policy) for place in places], next_weight
        ),
    )


def _weigh_levels(
    asked: Sequence[Asked], policy: Policy, next_weight: float | None, steps: BoolArray | None
) -> Sequence[Sequential | None]:
    del next_weight
    return levels.weigh_together(asked, policy, steps=steps)


COUNTS: Final = Kind(
    silence=proportions.silence,
    weigh_together=_weigh_counts,
    with_next_weight=counts.with_next_weight,
    answer=explaining.evidence_of,
    counts=True,
    splits=True,
)
RATES: Final = Kind(
    silence=rates.silence,
    weigh_together=_weigh_counts,
    with_next_weight=rates.with_next_weight,
    answer=rates.answer,
    counts=True,
)
LATENCY: Final = Kind(
    silence=latencies.silence,
    weigh_together=_weigh_latency,
    with_next_weight=latency.with_next_weight,
    answer=explain_latency.evidence_of,
    splits=True,
    ages=True,
    causal=lambda _: True,
)
LEVELS: Final = Kind(
    silence=levels.silence,
    weigh_together=_weigh_levels,
    with_next_weight=lambda found, _: found,
    answer=explain_levels.evidence_of,
    ages=True,
    causal=lambda found: levels.fields_of(found) == (levels.VALUES,),
)


def _silent_since(question: Question, record: Record) -> Silence | None:
    fields = ("total", "exposure", "counts", levels.VALUES, *levels.fields_of(record.questions[question.name]))
    return silences.silence(question, record, tuple(dict.fromkeys(fields)), "data", alone=True)


def _weigh_since(
    asked: Sequence[Asked], policy: Policy, next_weight: float | None, steps: BoolArray | None
) -> Sequence[Sequential | None]:
    """Return evidence against the time before; looks with a baseline are weighed beside it, as ever."""
    found: list[Sequential | None] = []
    for question, record in asked:
        both = None
        if gone_since(question, record) and record.pairing is Pairing.CONCURRENT:
            both = _beside(question, record).weigh(question, policy, record, next_weight, steps)
        found.append(earlier.weigh(question, policy, record, both))
    return found


SINCE: Final = Kind(
    silence=_silent_since,
    weigh_together=_weigh_since,
    with_next_weight=lambda found, _: found,
    answer=explain_since.evidence_of,
)
SINCE_GROWN: Final = replace(SINCE, ages=True)
BY_KIND: Final[Mapping[str, Kind]] = {
    Proportion.kind: COUNTS,
    Latency.kind: LATENCY,
    Gauge.kind: LEVELS,
    Quantile.kind: LEVELS,
    Rate.kind: RATES,
    Ratio.kind: LEVELS,
}


def kind_of(question: Question, record: Record) -> Kind:
    """Return how a question is weighed on this record; raise ``KeyError`` for limits and objectives."""
    plain = _beside(question, record)
    if applies(question, record):
        return SINCE_GROWN if plain.ages else SINCE
    return plain


def _beside(question: Question, record: Record) -> Kind:
    """Return how a question is weighed while both sides serve."""
    found = record.questions.get(question.name)
    if found is not None and levels.fields_of(found):
        return LEVELS
    return BY_KIND[question.kind]


class Nothing:
    """
    The evidence of a question that has no data yet: 1 at every look, whatever is asked of it.

    A question keeps its share of the abort evidence from the first look on, so that no share depends on the data.
    """

    def __init__(self, ends: Floats) -> None:
        self.ends = ends
        self.used: BoolArray = np.zeros(len(ends), dtype=bool)
        self.warn: Floats = np.zeros(len(ends))
        self.tolerated = self.abort = self.promote = self.step = self.better = self.warn
        self.flags: tuple[str, ...] = ()
        self.noise_source = "prior"
        self.first_look: int | None = None
        self.step_start = 0

    def without_looks(self, left_out: object) -> Nothing:
        """Return itself: nothing is less than nothing."""
        del left_out
        return self

    def loudest_look(self, look: int, tolerated: bool = True) -> int:
        """Return the first look."""
        del look, tolerated
        return 0
