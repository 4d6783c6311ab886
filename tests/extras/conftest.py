"""Tests that need the libraries of all search algorithms: `make test-extras`."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from tests.ray.conftest import cluster, run, until

pytest.register_assert_rewrite("tests.notebooks.outputs")

__all__ = ["cluster", "run", "until"]

if find_spec("hebo") is None and find_spec("xgboost") is None:  # in the environment of `make test`
    collect_ignore_glob = ["test_*.py"]
