"""
The grid that every sequential test shares: nodes, prior of the pod effect, harm, alternatives.

A node ``g >= 0`` is an excess log ratio beyond the null's ratio. Numerator and denominator of an
e-process must live on *one* grid: when the likelihood is narrower than the spacing both then fall on
the same node and their ratio stays right.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Floats = NDArray[np.float64]

LARGEST_EXCESS: Final = 4.7  # e**4.7 is 110x: beyond it a larger ratio changes no decision
LEAST_HARM: Final = 0.04  # log ratio; smaller shifts are no harm worth a name
HARM_SD: Final = 0.7
POD_SDS: Final[Floats] = np.array([0.02, 0.035, 0.06, 0.10, 0.17, 0.30, 0.50])
POD_PRIOR: Final[Floats] = np.array([0.26, 0.25, 0.22, 0.155, 0.09, 0.024, 0.001])
TINY: Final = 1e-300


def _nodes() -> Floats:
    nodes = [0.0]
    while nodes[-1] <= LARGEST_EXCESS:
        nodes.append(nodes[-1] + max(1 / 256, 0.03 * nodes[-1]))
    return np.array(nodes)


def _widths(nodes: Floats) -> Floats:
    """Return the trapezoid rule's weight of every node."""
    gaps = np.diff(nodes)
    return np.concatenate([[gaps[0]], gaps[:-1] + gaps[1:], [gaps[-1]]]) / 2


NODES: Final[Floats] = _nodes()
WIDTHS: Final[Floats] = _widths(NODES)
MIDPOINTS: Final[Floats] = (NODES[:-1] + NODES[1:]) / 2


def _half_normal(x: Floats) -> Floats:
    return np.asarray(np.sqrt(2 / np.pi) / HARM_SD * np.exp(-0.5 * (x / HARM_SD) ** 2))


def _harm_matrix() -> Floats:
    """Return H[i, j]: where harm takes a canary whose pods stand at node i; rows sum to 1."""
    shift = NODES[None, :] - NODES[:, None]
    uniform = np.where(shift <= LARGEST_EXCESS, 1 / LARGEST_EXCESS, 0.0)
    density = np.where(shift >= LEAST_HARM, 0.75 * _half_normal(shift) + 0.25 * uniform, 0.0)
    mass = density * WIDTHS
    rows = mass.sum(axis=1, keepdims=True)
    stuck = rows[:, 0] == 0
    mass[stuck, -1] = 1.0
    rows[stuck] = 1.0
    return np.asarray(mass / rows)


def _half_wide() -> Floats:
    """Return what `alternative` looks for anywhere: half of it, a half-normal from the least harm on."""
    wide = np.where(NODES >= LEAST_HARM, _half_normal(NODES), 0.0) * WIDTHS
    return np.asarray(0.5 * wide / wide.sum())


HARM: Final[Floats] = _harm_matrix()
_HALF_WIDE: Final[Floats] = _half_wide()

for _constant in (POD_SDS, POD_PRIOR, NODES, WIDTHS, MIDPOINTS, HARM, _HALF_WIDE):
    _constant.setflags(write=False)


def null_weights(pod_factor: Floats, pod_weights: Floats) -> Floats:
    """
    Return what the null believes about the pod effect, as masses on the grid.

    Parameters
    ----------
    pod_factor : (...,) float64
        ``c = 1/m_c + 1/m_s`` with the effective numbers of pods; 0 for no pod effect.
    pod_weights : (..., 7) float64
        Weight of each standard deviation in `POD_SDS`.

    Returns
    -------
    (..., 156) float64
        Law of ``max(b, 0)`` with ``b ~ sum_j P_j Normal(0, sd_j**2 c)``; cell masses between midpoints,
        at least 1e-300. A canary whose pods happen to be better counts as equal, the least favourable case.
    """
    factor, weights = np.broadcast_arrays(np.asarray(pod_factor)[..., None], pod_weights)
    if factor.size and np.all(factor == factor.flat[0]):
        factor = factor[(slice(0, 1),) * (factor.ndim - 1)]
    elif factor.ndim == 3 and np.all(factor == factor[:1]):  # releases alike in their requests
        factor = factor[:1]
    sd = np.maximum(POD_SDS * np.sqrt(factor), 1e-9)
    above = ndtr(-MIDPOINTS / sd[..., None])
    # One term after the other: a matrix product would round by how many looks are asked for at once.
    whole, beyond = weights[..., 0], weights[..., 0, None] * above[..., 0, :]
    for j in range(1, len(POD_SDS)):
        whole, beyond = whole + weights[..., j], beyond + weights[..., j, None] * above[..., j, :]
    masses = np.empty((*beyond.shape[:-1], len(NODES)))
    masses[..., 0] = whole - beyond[..., 0]  # what is below the first midpoint is node 0
    np.subtract(beyond[..., :-1], beyond[..., 1:], out=masses[..., 1:-1])
    masses[..., -1] = beyond[..., -1]
    return np.maximum(masses, TINY, out=masses)


def alternative(centres: Floats, pod_factor: Floats, pod_weights: Floats) -> Floats:
    """
    Return where promote evidence looks for a healthy release, as masses on the grid.

    Parameters
    ----------
    centres : (..., M) float64
        Log ratios at which a healthy release may lie (equal parts); cut to the last node.
    pod_factor : (...,) float64
        ``c`` of the first look.
    pod_weights : (..., 7) float64
        Pod weights of the first look.

    Returns
    -------
    (..., 156) float64
        Half a normal of the pods' standard deviation (at least 1/256) around each centre, normalised on the
        grid, half a half-normal of sd 0.7 from 0.04 on; at least 1e-300.
    """
    sd = np.maximum(POD_SDS * np.sqrt(np.asarray(pod_factor)[..., None]), 1 / 256)
    middle = np.minimum(np.asarray(centres, dtype=np.float64), NODES[-1])
    distance = (NODES - middle[..., :, None, None]) / sd[..., None, :, None]
    bell = np.exp(-0.5 * distance**2) * WIDTHS
    bell = (bell / bell.sum(axis=-1, keepdims=True)).mean(axis=-3)
    near = (np.asarray(pod_weights)[..., None, :] @ bell)[..., 0, :]
    return np.asarray(np.maximum(0.5 * near + _HALF_WIDE, TINY))
