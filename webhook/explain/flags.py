"""What every flag of a report means, in a few words; docs/explaining.md says what to do about each."""

from __future__ import annotations

from typing import Final

FLAGS: Final = {
    # of the service
    "source_degraded": "the metrics source did not answer in full",
    "store_degraded": "the store did not answer: overrides are unknown, so nothing is decided",
    "miswired": "no hook is configured at which a hold could wait",
    "placebos_aborted": "too many placebo canaries of this service were aborted: its verdicts are advice only",
    # of the traffic
    "split_mismatch": "the canary does not get the share of requests that its weight promises",
    "spread_by_pods": "requests follow the numbers of pods, not the weight that is named",
    "weight_unknown": "the weight is not named, so the traffic split cannot be checked",
    "no_baseline": "stable has no traffic any more",
    # of how noise is known
    "noise: prior": "too little history to learn the noise from: it is assumed, which is slower",
    "noise: run": "the noise was learned during this release, for want of history",
    "dispersion: run": "events came in larger clumps than before the release: the larger figure is used",
    "pods: unknown": "replicas are not visible: differences between pods are assumed, which costs proof",
    "one stable pod": "with one stable pod, differences between pods cannot be seen",
    "pod-limited": "so few pods that more time proves no more: more replicas would",
    "noise not learned": "no stable pods to learn from: what changes slowly may be noise, and holds at most",
    "warm-up unknown": "no past births to learn from how long young pods differ",
    "young canary": "the step is so short that nothing can abort while its pods warm up",
    "slow noise": "stable pods drift apart as slowly by themselves: it holds at most",
    "one sample": "one single sample carries the change: it holds at most",
    "counter": "these levels only rise, as counters do: how much they grew is compared",
    "short pool": "too short a time before to compare with: it holds at most",
    # of the data
    "before and after": "no baseline is left: judged against the time before and the same hours of earlier days",
    "drift unknown": "no earlier day is known: how much this service moves by itself is assumed",
    "burst": "one single look carries the evidence: not counted as proof by itself",
    "inconsistent_counters": "more bad events than events in some looks: those are not used",
    "always zero": "stable was always zero: there is no scale to measure a change on",
    "was always zero": "stable was always zero, and the canary is not",
    "level near zero": "the level is near zero or changes its sign: differences are judged, not ratios",
    "low_power": "published percentiles hold no counts: it takes a larger change to see it",
    "censored": "some percentiles lie beyond the last bucket and are not used",
    "weak guard": "no bucket edge lies well to guard the tail: an objective (slo_edges) would",
    "no guard": "no bucket edge can be asked for at a promotion: only the typical request is",
    "slo edge moved": "an objective is not on a bucket edge: the next edge is asked instead",
    "histogram too short": "too many requests lie beyond the last bucket: nothing is promoted by it",
    "coarse buckets": "most requests lie in one bucket: a shift inside it is not seen",
    # of the weaker proof
    "weaker_proof": "judged by its natural variation, without odds",
    "heuristic": "the abort is by a rule measured on labelled cases, outside the promised rate of false aborts",
    "stable moved too": "stable left its history at the same time: an incident of everybody, which aborts nobody",
}  # fmt: skip


def flag(text: str) -> str:
    """Return a flag with its meaning, where it has one to tell."""
    meaning = FLAGS.get(text)
    return f"{text.replace('_', ' ')} ({meaning})" if meaning else text.replace("_", " ")
