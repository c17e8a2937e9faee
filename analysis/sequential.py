"""
What merging and judging ask of the evidence of one question, whatever its kind: counts, latencies, levels, windows.

Each kind has its own arithmetic in ``compare/``; all of them give log e-values at every look, and can say which look
speaks loudest and what is left without it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np

from analysis.grid import Floats
from analysis.types import BoolArray


class Sequential(Protocol):
    """
    Evidence of one question at K looks that stays valid however often it is looked at; logs are natural.

    ``warn`` (worse than stable), ``tolerated`` (beyond the tolerance), ``abort`` (what an abort demands of both),
    ``promote`` (within the tolerance, over the whole run), ``step`` (what the running weight step demands), ``better``:
    each of shape ``(K,)``, 0 where nothing is known. ``ends`` are unix seconds.
    """

    @property
    def ends(self) -> Floats:
        """(K,) unix time of each look's end."""
        ...

    @property
    def used(self) -> BoolArray:
        """(K,) bool: looks that told something, not skipped."""
        ...

    @property
    def warn(self) -> Floats:
        """(K,) log E_warn: worse than stable."""
        ...

    @property
    def tolerated(self) -> Floats:
        """(K,) log E_tol: beyond the tolerance."""
        ...

    @property
    def abort(self) -> Floats:
        """(K,) log A*."""
        ...

    @property
    def promote(self) -> Floats:
        """(K,) log P: within the tolerance."""
        ...

    @property
    def step(self) -> Floats:
        """(K,) log P_step: within what the running step may cost."""
        ...

    @property
    def better(self) -> Floats:
        """(K,) log B."""
        ...

    @property
    def flags(self) -> tuple[str, ...]:
        """What a reader must know of the data behind the figures."""
        ...

    @property
    def noise_source(self) -> str:
        """``history``, ``run`` or ``prior``."""
        ...

    @property
    def first_look(self) -> int | None:
        """Index of the first look that told something; None if there is none."""
        ...

    @property
    def step_start(self) -> int:
        """Index of the first look of the weight step that is running."""
        ...

    def without_looks(self, left_out: Sequence[int]) -> Self:
        """Return the abort evidence with some looks skipped: the burst check."""
        ...

    def loudest_look(self, look: int, tolerated: bool = True) -> int:
        """Return the look up to ``look`` that gave most to "beyond the tolerance", else to "worse than stable"."""
        ...


class Older(Protocol):
    """What replicas that are old enough to abort by say for an abort."""

    @property
    def abort(self) -> Floats:
        """(K,) log A*."""
        ...

    def without_looks(self, left_out: Sequence[int]) -> Older:
        """Return the same with some looks skipped."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Elder:
    """
    The same, weighed only as far as it is needed.

    Parameters
    ----------
    abort : (K,) float64
        Log A*; 0 from where no abort has to be backed.
    whole : callable
        Weighs all looks, for whoever asks with other looks; None where there is nothing to weigh.
    """

    abort: Floats
    whole: Callable[[], Older | None]

    def without_looks(self, left_out: Sequence[int]) -> Elder:
        """Return the same with some looks skipped, weighed to the end."""
        found = self.whole()
        reduced = None if found is None else found.without_looks(left_out)
        return Elder(abort=np.zeros_like(self.abort) if reduced is None else reduced.abort, whole=lambda: reduced)


def backed(abort: Floats, elder: Floats | None) -> Floats:
    """
    Return abort evidence as far as what was weighed on older replicas alone says it too.

    Parameters
    ----------
    abort : (K,) float64
        Log A* of all replicas that are old enough for holds.
    elder : (K,) float64 or None
        The same of those that are old enough for aborts; None while there are none.

    Returns
    -------
    (K,) float64
        The smaller of both wherever the first speaks for an abort at all (is above 0). An extra condition raises no
        error rate, and every look keeps the value that it had when it was the last one.
    """
    other = np.zeros_like(abort) if elder is None else elder
    return np.where(abort > 0, np.minimum(abort, other), abort)
