"""Judging releases: pure functions from counts to evidence and verdicts. Imports nothing by itself."""
