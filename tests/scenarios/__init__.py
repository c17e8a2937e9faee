"""Whole releases: single verdicts with inline data, and rollouts driven by the models of both controllers."""
