"""Fixtures for all tests; the set-up of jax is in the conftest.py above this one."""

import pytest

from oakum._statics import bypassed

# Tests have `object.__setattr__` in their text: all of them would have calls that look
# at all attributes. Those that are to look set `bypassed.on`.
type(bypassed).look = lambda self, kind=None: None


@pytest.fixture
def rngs():
    """Streams of random keys from seed 0."""
    import oakum as nnx

    return nnx.Rngs(0)


@pytest.fixture(autouse=True)
def without_recurrent_bias(request, monkeypatch):
    """The GRU of flax.nnx has no recurrent bias: compared with it, ours has none.

    Not where the difference itself is stated, in `tests/parity`.
    """
    stated = request.path.parent.name == "parity"
    if request.node.get_closest_marker("peer") and not stated:
        import oakum

        defaults = oakum.GRUCell.__init__.__kwdefaults__
        monkeypatch.setitem(defaults, "recurrent_bias", False)
