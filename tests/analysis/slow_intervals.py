"""Score intervals once more, by other roads: closed forms of the constrained maximum, and a scan for the bounds."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy.special import ndtri


def cubic(x1: float, n1: float, x2: float, n2: float, delta: float) -> tuple[float, float]:
    """The constrained shares of a difference by the trigonometric root of the cubic (Farrington and Manning 1990)."""
    whole = n1 + n2
    l3, l2 = whole, (n1 + 2 * n2) * delta - whole - (x1 + x2)
    l1 = (n2 * delta - whole - 2 * x2) * delta + x1 + x2
    l0 = x2 * delta * (1 - delta)
    q = l2**3 / (3 * l3) ** 3 - l1 * l2 / (6 * l3**2) + l0 / (2 * l3)
    p = math.copysign(math.sqrt(max(0.0, l2**2 / (3 * l3) ** 2 - l1 / (3 * l3))), q)
    angle = (math.pi + math.acos(max(-1.0, min(1.0, q / p**3 if p else 0.0)))) / 3
    p2 = 2 * p * math.cos(angle) - l2 / (3 * l3)
    return p2 + delta, p2


def z_difference(x1: float, n1: float, x2: float, n2: float, delta: float) -> float:
    p1, p2 = cubic(x1, n1, x2, n2, delta)
    variance = (p1 * (1 - p1) / n1 + p2 * (1 - p2) / n2) * (n1 + n2) / (n1 + n2 - 1)
    apart = x1 / n1 - x2 / n2 - delta
    return (
        apart / math.sqrt(variance) if variance > 1e-15 else (0.0 if abs(apart) < 1e-9 else math.copysign(1e9, apart))
    )


def chi_ratio(x1: float, n1: float, x2: float, n2: float, theta: float) -> float:
    """Koopman's U: the chi-square of both sides about the constrained shares, from the quadratic (his eq. 2.1)."""
    b = theta * (n1 + x2) + x1 + n2
    p1 = (b - math.sqrt(b**2 - 4 * theta * (n1 + n2) * (x1 + x2))) / (2 * (n1 + n2))
    first = (x1 - n1 * p1) ** 2 / (n1 * p1 * (1 - p1))
    return first * (1 + n1 * (theta - p1) / (n2 * (1 - p1)))


def scan(inside: Callable[[float], bool], grid: np.ndarray) -> tuple[float, float]:
    """The outermost values of a grid that are not refuted."""
    held = [value for value in grid if inside(float(value))]
    return min(held), max(held)


def difference(x1: float, n1: float, x2: float, n2: float, steps: int = 4001) -> tuple[float, float]:
    goal = float(ndtri(0.975))
    return scan(lambda d: abs(z_difference(x1, n1, x2, n2, d)) <= goal, np.linspace(-1 + 1e-9, 1 - 1e-9, steps))


def ratio(x1: float, n1: float, x2: float, n2: float, steps: int = 4001) -> tuple[float, float]:
    goal = float(ndtri(0.975)) ** 2
    return scan(lambda t: chi_ratio(x1, n1, x2, n2, t) <= goal, np.geomspace(1e-3, 1e3, steps))
