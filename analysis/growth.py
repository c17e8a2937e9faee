"""How fast evidence grows: the expected log evidence per request, and the requests that an outlook needs."""

from __future__ import annotations

import math
from dataclasses import dataclass


def growth(weight: float, ratio: float, limit: tuple[float, float], share: float, phi: float) -> float:
    """
    Return the expected log evidence per request of both sides together.

    Parameters
    ----------
    weight : float
        Share of requests on the side whose excess is asked for, in (0, 1).
    ratio : float
        True ratio of the bad shares, > 0.
    limit : (ratio, slack)
        The null's boundary.
    share : float
        Bad share of the other side, >= 0.
    phi : float
        Dispersion, >= 1.

    Returns
    -------
    float
        Nats per request, >= 0; 0 on the boundary itself, and where nothing bad ever happens without a slack.

    Notes
    -----
    ``T [a ln(a/b) + (1-a) ln((1-a)/(1-b))]/phi`` with ``p' = p + D/rho``, ``r' = r p/p'``,
    ``T = p'(w r' + 1 - w)``, ``a = w r'/(w r' + 1 - w)``, ``b = w rho/(w rho + 1 - w)``: the divergence between
    the split that is and the split that the null allows.

    Examples
    --------
    >>> round(1 / growth(0.05, 2.0, (1.0, 0.0), 0.01, 1.0))
    5529
    """
    rho, slack = limit
    base = share + slack / rho
    if base <= 0:
        return 0.0
    relative = ratio * share / base
    events = base * (weight * relative + 1 - weight)
    a = weight * relative / (weight * relative + 1 - weight)
    b = weight * rho / (weight * rho + 1 - weight)
    first = a * math.log(a / b) if a > 0 else 0.0
    return max(0.0, events * (first + (1 - a) * math.log((1 - a) / (1 - b))) / phi)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """
    The figures a forecast is made of, in the words of the bets (a fall that harms has changed sides).

    Parameters
    ----------
    ratio, share : float
        Estimated ratio, and bad share of the other side.
    phi : float
        Dispersion.
    requests_per_second : float
        Of both sides together, > 0.
    swapped : bool
        Whether the canary is "the other side".
    """

    ratio: float
    share: float
    phi: float
    requests_per_second: float
    swapped: bool = False

    def canary_requests(
        self, nats: float, limit: tuple[float, float], weight: float, ratio: float | None = None
    ) -> float:
        """
        Return N: canary requests that are expected to earn ``nats`` at the canary's share ``weight``.

        Parameters
        ----------
        nats : float
        limit : (ratio, slack)
            The null's boundary.
        weight : float
            In (0, 1).
        ratio : float, optional
            True ratio of the bad shares, where it is not the estimate.
        """
        if nats <= 0:
            return 0.0
        ratio = self.ratio if ratio is None else ratio
        rate = growth(1 - weight if self.swapped else weight, ratio, limit, self.share, self.phi)
        return nats * weight / rate if rate > 0 else math.inf
