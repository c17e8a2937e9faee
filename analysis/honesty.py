"""
Whether a promise about error rates is kept on a real service, measured with releases that change nothing.

A *placebo* is a release without a change: stable replicas that play the canary. Of those, no more than ``alpha`` may be
aborted. The account is looked at after every batch, for ever, so what breaks the promise is an e-process and no
fixed-sample test.

References
----------
I. Waudby-Smith, A. Ramdas, Estimating means of bounded random variables by betting, JRSS-B 2024.
C. J. Clopper, E. S. Pearson, The use of confidence or fiducial limits, Biometrika 1934.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from scipy.special import betaincinv

from analysis.errors import InvalidInput
from analysis.types import Json

WRONG_ONCE_IN: Final = 1000.0
"""Odds against "the promise is kept" at which it counts as broken."""
REPAIRED_AT: Final = 20.0
"""Odds against "still as bad as it was" at which it counts as repaired."""
RATES: Final = np.array([2.0, 5.0, 10.0, 30.0, 100.0, 300.0])
"""How many times the promised rate the bets against the promise expect, in equal parts."""
STAKES: Final = np.array([0.3, 0.6, 0.9])
"""Parts of the largest stake that the bets on a repair may place, in equal parts."""
LARGEST_RATE: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """
    What placebos said so far of one promise.

    Parameters
    ----------
    alpha : float
        Share of healthy releases that may be aborted, in (0, 1).
    batches, placebos, aborted : int
        Since the present standing began; a batch is a stretch of time that no other batch shares.
    wealth : tuple of 6 floats
        Logs of the bets against the promise, see `RATES`; while broken they stand still.
    found : float or None
        Share that was aborted when the promise broke; None while it is kept.
    repair : tuple of 3 floats
        Logs of the bets against "still at least half of ``found``"; empty while the promise is kept.
    """

    alpha: float
    batches: int = 0
    placebos: int = 0
    aborted: int = 0
    wealth: tuple[float, ...] = (0.0,) * 6
    found: float | None = None
    repair: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            raise InvalidInput(f"must lie strictly between 0 and 1, got {self.alpha!r}", "/alpha")
        if not 0 <= self.aborted <= self.placebos or not 0 <= self.batches <= self.placebos:
            raise InvalidInput(f"counts contradict each other: {self!r}", "/aborted")

    @property
    def broken(self) -> bool:
        """Return whether the promise counts as broken."""
        return self.found is not None

    @property
    def share(self) -> float:
        """Return the share of placebos that was aborted; NaN before the first."""
        return self.aborted / self.placebos if self.placebos else math.nan

    @property
    def log_e(self) -> float:
        """Return the log of the evidence against the promise: at ``ln 1000`` it breaks."""
        return _mean_of(self.wealth)

    @property
    def log_repaired(self) -> float:
        """Return the log of the evidence that a broken promise is repaired; minus infinity while it is kept."""
        return _mean_of(self.repair) if self.repair else -math.inf

    def counted(self, aborted: int, placebos: int) -> Account:
        """
        Return the account after one more batch.

        Parameters
        ----------
        aborted, placebos : int
            Of the batch, ``0 <= aborted <= placebos``; an empty batch changes nothing.

        Returns
        -------
        Account
            Broken, or repaired and begun anew, where the odds reached their goal.

        Notes
        -----
        With ``X`` the share of the batch that was aborted, a bet on the rate ``q > alpha`` is multiplied by
        ``1 + (q - alpha)/(1 - alpha) (X/alpha - 1)``. If every placebo's chance of an abort, given all that came
        before its batch, is at most alpha, the factor is 1 at most in expectation, however the placebos of a batch
        depend on each other; so the mean of the bets ever reaches 1,000 with probability 0.001 at most. A repair is
        proved against ``E X >= found/2 = r`` with factors ``1 + s r/(1 - r) (1 - X/r)``.

        Examples
        --------
        >>> account = Account(alpha=0.001)
        >>> for _ in range(3):
        ...     account = account.counted(1, 1)
        >>> account.broken
        True
        """
        if not 0 <= aborted <= placebos:
            raise InvalidInput(f"must lie in 0 … {placebos}, got {aborted}", "/aborted")
        if not placebos:
            return self
        share = aborted / placebos
        grown = replace(
            self, batches=self.batches + 1, placebos=self.placebos + placebos, aborted=self.aborted + aborted
        )
        if self.found is not None:
            rate = self.found / 2
            factors = 1 + STAKES * rate / (1 - rate) * (1 - share / rate)
            repair = tuple((np.array(self.repair) + np.log(factors)).tolist())
            return (
                Account(alpha=self.alpha)
                if _mean_of(repair) >= math.log(REPAIRED_AT)
                else replace(grown, repair=repair)
            )
        rates = np.minimum(RATES * self.alpha, (LARGEST_RATE + self.alpha) / 2)
        factors = 1 + (rates - self.alpha) / (1 - self.alpha) * (share / self.alpha - 1)
        wealth = tuple((np.array(self.wealth) + np.log(factors)).tolist())
        grown = replace(grown, wealth=wealth)
        if _mean_of(wealth) < math.log(WRONG_ONCE_IN):
            return grown
        return replace(
            grown, batches=0, placebos=0, aborted=0, found=min(grown.share, 1.0), repair=(0.0,) * len(STAKES)
        )

    def document(self) -> dict[str, Json]:
        """Return the account as JSON."""
        return {
            "alpha": self.alpha, "batches": self.batches, "placebos": self.placebos, "aborted": self.aborted,
            "wealth": list(self.wealth), "found": self.found, "repair": list(self.repair),
        }  # fmt: skip


def account_of(document: Mapping[str, Json]) -> Account:
    """Return the account that `Account.document` wrote."""
    known = dict(document)
    return Account(**{**known, "wealth": tuple(known["wealth"]), "repair": tuple(known["repair"])})


def _mean_of(logs: tuple[float, ...]) -> float:
    """Return the log of the mean of bets whose logs are given."""
    return float(np.logaddexp.reduce(np.array(logs)) - math.log(len(logs)))


def share_bounds(hits: float, of: float, *, wrong: float = 1 / WRONG_ONCE_IN) -> tuple[float, float]:
    """
    Return the exact binomial bounds of a share, each wrong with probability ``wrong`` at most.

    Parameters
    ----------
    hits, of : float
        ``0 <= hits <= of``; without any trial the bounds are 0 and 1. Where several placebos shared a stretch of time,
        ``of`` counts the stretches and ``hits`` sums their shares: a share scatters no wider than one yes or no.
    wrong : float
        Of each bound, in (0, 1).

    Returns
    -------
    low, high : float
        In [0, 1]; from independent trials (Clopper and Pearson).

    Examples
    --------
    >>> low, high = share_bounds(0, 100)
    >>> low, round(high, 3)
    (0.0, 0.067)
    """
    if not 0 <= hits <= of:
        raise InvalidInput(f"must lie in 0 … {of}, got {hits}", "/hits")
    low = 0.0 if hits == 0 else float(betaincinv(hits, of - hits + 1, wrong))
    high = 1.0 if hits == of else float(betaincinv(hits + 1, of - hits, 1 - wrong))
    return low, high
