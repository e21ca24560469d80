"""Proofs that the loader loads everything exactly once, whatever happens to it and whatever it is given."""

from tests.robustness import effort

__all__ = [
    "effort"
]  # read here: tests/conftest.py imports this package, then clears the environment
