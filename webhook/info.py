"""
Replicas that only an info series names: ``target_info`` and its like.

Some series carry no pod, only what identifies their target (``job``, ``instance``); beside them an info series says
which pod that is. The matchers of a side then select the info series, and what is counted is joined to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from analysis.policy import Question
from webhook.selectors import narrowed


@dataclass(frozen=True, slots=True, kw_only=True)
class Info:
    """
    Which series names the replicas of a question, and how the two belong together.

    Parameters
    ----------
    series : str
        The info series, with or without matchers; its value is 1.
    match : tuple of str
        Labels that both have, which identify a target.
    label : str
        The label of the info series that names the replica.
    """

    series: str
    match: tuple[str, ...]
    label: str

    @property
    def every(self) -> str:
        """Return the matcher that stands for ``$side`` where series carry no side: it takes every target."""
        return f'{self.match[0]}!=""'

    def of_side(self, matchers: str) -> str:
        """Return the selector of one side's info series."""
        return narrowed(self.series, matchers)

    def joined(self, expr: str, matchers: str) -> str:
        """
        Return what of an expression belongs to one side, labelled with the replica.

        A target that two replicas share cannot be told apart: the source refuses the join and says which.
        """
        on = ", ".join(self.match)
        group = f"group by ({on}, {self.label}) ({self.of_side(matchers)})"
        return f"({expr}) * on ({on}) group_left ({self.label}) {group}"

    def among(self, expr: str, matchers: str) -> str:
        """Return what of an expression belongs to one side, unlabelled; shared targets are no fault here."""
        return f"({expr}) and on ({', '.join(self.match)}) {self.of_side(matchers)}"


def info_of(question: Question | None) -> Info | None:
    """Return how a question's replicas are named by an info series, None if its own series name them."""
    if question is None or question.replica_from is None:
        return None
    told = question.replica_from
    match = told["match"]
    assert isinstance(match, Sequence)
    return Info(series=str(told["series"]), match=tuple(str(label) for label in match), label=str(told["label"]))
