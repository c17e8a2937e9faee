"""Placebo canaries: releases that change nothing, made of stable replicas, to see whether a policy keeps its word."""
