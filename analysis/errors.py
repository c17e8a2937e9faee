"""
Errors of the pure core.

::

    AnalysisError
    ├── InvalidInput      numbers or shapes that no measurement can have
    ├── InvalidPolicy     a policy that cannot be asked
    └── InvalidRecord     a record that was not written by us, or is damaged

Too little data, silence and zero variance are no errors: they are evidence with a reason.
"""

from __future__ import annotations


class AnalysisError(Exception):
    """
    Base of every error that ``analysis`` raises on purpose.

    Parameters
    ----------
    message : str
        Place, rule and value in one line, e.g. ``must be positive, got -1``.
    place : str, default ""
        JSON-pointer-like place of the wrong value, e.g. ``/questions/0/direction``.
    """

    def __init__(self, message: str, place: str = "") -> None:
        super().__init__(f"{place}: {message}" if place else message)
        self.message = message
        self.place = place


class InvalidInput(AnalysisError):
    """A number or a shape that no measurement can have."""


class InvalidPolicy(AnalysisError):
    """A policy that cannot be asked: unknown word, wrong type, contradiction."""


class InvalidRecord(AnalysisError):
    """A record that cannot be read: wrong format, missing parts, unequal lengths."""
