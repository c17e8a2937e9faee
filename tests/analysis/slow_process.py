"""The e-process once more, as slow and as plain as its definition: one release, Python loops, logs throughout."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

SDS = (0.02, 0.035, 0.06, 0.10, 0.17, 0.30, 0.50)
FLOOR = math.log(1e-300)


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowLook:
    """One look: counts, whether it is judged, dispersion, c, pod weights, start mass."""

    bad_canary: float
    total_canary: float
    bad_baseline: float
    total_baseline: float
    used: bool
    phi: float
    c: float
    weights: Sequence[float]
    mass: float


def nodes() -> list[float]:
    grid = [0.0]
    while grid[-1] <= 4.7:
        grid.append(grid[-1] + max(1 / 256, 0.03 * grid[-1]))
    return grid


def log_add(values: Sequence[float]) -> float:
    top = max(values)
    return top + math.log(sum(math.exp(v - top) for v in values)) if top > -math.inf else top


def above(x: float, sd: float) -> float:
    return 0.5 * math.erfc(x / sd / math.sqrt(2))


def log_prior(grid: Sequence[float], look: SlowLook) -> list[float]:
    middle = [(a + b) / 2 for a, b in itertools.pairwise(grid)]
    cells = [0.0] * len(grid)
    for weight, tau in zip(look.weights, SDS, strict=True):
        sd = max(tau * math.sqrt(look.c), 1e-9)
        tail = [1.0, *(above(m, sd) for m in middle), 0.0]
        for i in range(len(grid)):
            cells[i] += weight * (tail[i] - tail[i + 1])
    return [math.log(max(cell, 1e-300)) for cell in cells]


def widths(grid: Sequence[float]) -> list[float]:
    gaps = [b - a for a, b in itertools.pairwise(grid)]
    return [((gaps[i - 1] if i else 0.0) + (gaps[i] if i < len(gaps) else 0.0)) / 2 for i in range(len(grid))]


def half_normal(x: float) -> float:
    return math.sqrt(2 / math.pi) / 0.7 * math.exp(-0.5 * (x / 0.7) ** 2)


def log_harm(grid: Sequence[float]) -> list[list[float]]:
    rows = []
    wide = widths(grid)
    for start in grid:
        row = []
        for end, dg in zip(grid, wide, strict=True):
            shift = end - start
            density = 0.75 * half_normal(shift) + 0.25 * (1 / 4.7 if shift <= 4.7 else 0.0)
            row.append(density * dg if shift >= 0.04 else 0.0)
        if not sum(row):
            row[-1] = 1.0
        rows.append([math.log(v / sum(row)) if v else -math.inf for v in row])
    return rows


def log_likelihood(grid: Sequence[float], look: SlowLook, sign: int, rho: float, slack: float) -> list[float]:
    if not look.used:
        return [0.0] * len(grid)
    y = look.bad_baseline + look.total_baseline * slack / rho
    events = look.bad_canary + y
    pi = rho * look.total_canary / (rho * look.total_canary + look.total_baseline)
    phi = max(look.phi, events * pi * (1 - pi) / 128)
    gains = []
    for g in grid:
        r = rho * math.exp(sign * g)
        shifted = r * look.total_canary / (r * look.total_canary + look.total_baseline)
        gains.append((look.bad_canary * math.log(shifted / pi) + y * math.log((1 - shifted) / (1 - pi))) / phi)
    return gains


def abort(looks: Sequence[SlowLook], rho: float, slack: float) -> list[float]:
    """Log e of the abort process after each look."""
    grid = nodes()
    size = range(len(grid))
    harm = log_harm(grid)
    prior = log_prior(grid, looks[0])
    whole = log_add(prior)
    d = [p - whole for p in prior]
    n = [-math.inf] * len(grid)
    cash = 1.0
    log_e = []
    for k, look in enumerate(looks, start=1):
        fresh = log_prior(grid, look)
        d = [d[i] + fresh[i] - prior[i] for i in size]
        z = log_add(d)
        d, n, prior = [v - z for v in d], [v - z for v in n], fresh
        if look.mass > 0:
            q = math.log(look.mass)
            n = [log_add([n[j], q + log_add([d[i] + harm[i][j] for i in size])]) for j in size]
            cash -= look.mass
            if k >= 2:
                stay = math.log1p(-look.mass)
                d = [log_add([stay + d[i], q + prior[i]]) for i in size]
        gain = log_likelihood(grid, look, 1, rho, slack)
        d = [d[i] + gain[i] for i in size]
        z = log_add(d)
        d, n = [v - z for v in d], [n[i] + gain[i] - z for i in size]
        log_e.append(log_add([*n, math.log(cash)]))
    return log_e


def promote(looks: Sequence[SlowLook], rho: float, slack: float, centres: Sequence[float]) -> list[float]:
    """Log e of the promote process after each look; pods of the first look shape the alternative."""
    grid = nodes()
    size = range(len(grid))
    wide = widths(grid)
    near = [0.0] * len(grid)
    for centre in centres:
        for weight, tau in zip(looks[0].weights, SDS, strict=True):
            sd = max(tau * math.sqrt(looks[0].c), 1 / 256)
            bell = [
                math.exp(-0.5 * ((g - min(centre, grid[-1])) / sd) ** 2) * w for g, w in zip(grid, wide, strict=True)
            ]
            for i in size:
                near[i] += weight * bell[i] / sum(bell) / len(centres)
    broad = [half_normal(g) * w if g >= 0.04 else 0.0 for g, w in zip(grid, wide, strict=True)]
    v = [math.log(max(0.5 * near[i] + 0.5 * broad[i] / sum(broad), 1e-300)) for i in size]
    total = [0.0] * len(grid)
    log_e = []
    for look in looks:
        gain = log_likelihood(grid, look, -1, rho, slack)
        total = [total[i] + gain[i] for i in size]
        prior = log_prior(grid, look)
        log_e.append(log_add([v[i] + total[i] for i in size]) - log_add([prior[i] + total[i] for i in size]))
    return log_e
