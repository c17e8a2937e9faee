"""Releases that are played before they happen: an invented service, a policy, and what that policy would do."""
