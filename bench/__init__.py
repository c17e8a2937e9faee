"""Benchmarks: computing time, start-up, memory."""
