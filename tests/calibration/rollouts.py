"""Whole rollouts, 5, 10, 25, 50, 100 %: each decision changes the traffic that the next one sees."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from analysis.compare.counts import CountsData, CountsEvidence, CountsQuestion, weigh
from analysis.grid import Floats
from analysis.merging import find_abort, frozen, shares, unresolved
from analysis.noise import Noise, learn
from tests.calibration.services import Service, events, levels, whole_requests

WEIGHTS = (0.05, 0.10, 0.25, 0.50)
CANARY_PODS = (1, 1, 3, 5)
STABLE_PODS = 10
LOOK_S = 60.0
LEAST_LOOKS = 2
FREEZE_LIMIT_S = 600.0
HISTORY_LOOKS = 240
QUESTION = CountsQuestion()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """How one rollout ended: ``promoted``, ``aborted`` or ``open``, after so many minutes, at which weight."""

    end: str
    minutes: float
    weight: float


def roll_out(service: Service, rng: np.random.Generator, most_looks: int = 240) -> Rollout:
    """
    Play one rollout by the rules of a verdict: abort, freeze, step evidence, final evidence.

    The service's ratio is read per weight: one for all, or one for each of the four weights.
    """
    one = Service(sd=service.sd, law=service.law)
    level_s, level_c = levels(one, 1, STABLE_PODS, rng), levels(one, 1, max(CANARY_PODS), rng)
    noise = _history(service, level_s, rng)
    ratios = service.ratio if len(service.ratio) == len(WEIGHTS) else service.ratio * len(WEIGHTS)
    columns: list[tuple[Floats, Floats, Floats, Floats]] = []
    step, lasted = 0, 0
    for look in range(1, most_looks + 1):
        columns.append(_look(service, step, ratios[step], level_s, level_c, rng))
        lasted += 1
        following = WEIGHTS[step + 1] if step + 1 < len(WEIGHTS) else 1.0
        evidence = weigh(_data(columns, noise), QUESTION, next_weight=following)
        if _aborted(evidence):
            return Rollout(end="aborted", minutes=look * LOOK_S / 60, weight=WEIGHTS[step])
        if lasted < LEAST_LOOKS or not _promoted(evidence, final=following == 1.0):
            continue
        if following == 1.0:
            return Rollout(end="promoted", minutes=look * LOOK_S / 60, weight=1.0)
        step, lasted = step + 1, 0
    return Rollout(end="open", minutes=most_looks * LOOK_S / 60, weight=WEIGHTS[step])


def _aborted(evidence: CountsEvidence) -> bool:
    found = find_abort([evidence], shares([1.0]), QUESTION.alphas.abort)
    if found is not None and found.look is not None:
        return True
    return unresolved(evidence, 1.0, QUESTION.alphas, FREEZE_LIMIT_S) is not None


def _promoted(evidence: CountsEvidence, final: bool) -> bool:
    if frozen(evidence, 1.0, QUESTION.alphas)[-1] or evidence.step[-1] < -math.log(QUESTION.alphas.step):
        return False
    return not final or bool(evidence.promote[-1] >= -math.log(QUESTION.alphas.promote))


def _history(service: Service, level: Floats, rng: np.random.Generator) -> Noise:
    requests = np.full((STABLE_PODS, HISTORY_LOOKS), service.rps * LOOK_S / STABLE_PODS)
    share = np.broadcast_to(level * service.share, (1, STABLE_PODS, HISTORY_LOOKS))
    bad, total = events(share, whole_requests(requests), service.clump, rng)
    return learn(bad[0], total[0], np.full(HISTORY_LOOKS, LOOK_S), True)


def _look(
    service: Service, step: int, ratio: float, level_s: Floats, level_c: Floats, rng: np.random.Generator
) -> tuple[Floats, Floats, Floats, Floats]:
    """Return one look's bad events and requests of both sides, (R,) each; traffic comes at random."""
    weight, pods = WEIGHTS[step], CANARY_PODS[step]
    mean_c = np.where(np.arange(max(CANARY_PODS)) < pods, service.rps * LOOK_S * weight / pods, 0.0)
    mean_s = np.full(STABLE_PODS, service.rps * LOOK_S * (1 - weight) / STABLE_PODS)
    canary = events(level_c * service.share * ratio, rng.poisson(mean_c)[:, None].astype(float), service.clump, rng)
    stable = events(level_s * service.share, rng.poisson(mean_s)[:, None].astype(float), service.clump, rng)
    return canary[0][0, :, 0], canary[1][0, :, 0], stable[0][0, :, 0], stable[1][0, :, 0]


def _data(columns: list[tuple[Floats, Floats, Floats, Floats]], noise: Noise) -> CountsData:
    canary_bad, canary_total, stable_bad, stable_total = (np.stack(c, axis=1) for c in zip(*columns, strict=True))
    looks = len(columns)
    return CountsData(
        canary_bad=canary_bad,
        canary_total=canary_total,
        baseline_bad=stable_bad,
        baseline_total=stable_total,
        left_out=np.zeros(looks, dtype=bool),
        ends=LOOK_S * np.arange(1, looks + 1, dtype=np.float64),
        seconds=np.full(looks, LOOK_S),
        history=noise,
    )
