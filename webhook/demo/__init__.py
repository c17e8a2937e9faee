"""The demonstration: two simulated releases, judged by the real service."""
