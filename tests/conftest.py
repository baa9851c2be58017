"""Fixtures for all tests; the set-up of jax is in the conftest.py above this one."""

import pytest


@pytest.fixture
def rngs():
    """Streams of random keys from seed 0."""
    import oakum as nnx

    return nnx.Rngs(0)
