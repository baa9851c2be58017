"""What the comparisons with flax.nnx have in common."""

import pytest

import oakum


@pytest.fixture(autouse=True)
def without_recurrent_bias(request, monkeypatch):
    """The GRU of flax.nnx has no recurrent bias: compared with it, ours has none."""
    if request.node.get_closest_marker("peer"):
        defaults = oakum.GRUCell.__init__.__kwdefaults__
        monkeypatch.setitem(defaults, "recurrent_bias", False)
