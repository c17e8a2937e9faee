"""The examples in docstrings run."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import analysis

MODULES = ["analysis", *sorted(m.name for m in pkgutil.walk_packages(analysis.__path__, "analysis."))]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_are_true(name):
    """Every example in a docstring of the pure core prints what it says."""
    result = doctest.testmod(importlib.import_module(name), report=True)
    assert result.failed == 0
