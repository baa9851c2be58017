"""Options that no other comparison with flax.nnx gives."""

import inspect

import jax
import jax.numpy as jnp
import pytest
from jax import lax

import oakum
from tests.nn.peer import assert_close, assert_parity, both, flax_nnx, lenient, normal

pytestmark = pytest.mark.peer

SIZES = {
    "Linear": (3, 4),
    "LinearGeneral": (3, 4),
    "Einsum": ("ab,bc->ac", (3, 4), (4,)),
    "Conv": (3, 4, 2),
    "ConvTranspose": (3, 4, 2),
    "Embed": (3, 4),
    "BatchNorm": (3,),
    "LayerNorm": (3,),
    "RMSNorm": (3,),
    "GroupNorm": (4, 2),
    "InstanceNorm": (3,),
    "SimpleCell": (3, 4),
    "GRUCell": (3, 4),
    "LSTMCell": (3, 4),
    "OptimizedLSTMCell": (3, 4),
    "LoRA": (3, 2, 4),
    "PReLU": (),
}


def marks(nnx, name):
    """Each parameter's mark, where every argument for metadata gives its own name."""
    kind = getattr(nnx, name)
    names = inspect.signature(kind.__init__).parameters
    given = {key: {"mark": key} for key in names if key.endswith("_metadata")}

    def make():
        rngs = {"rngs": nnx.Rngs(0)} if "rngs" in names else {}
        return kind(*SIZES[name], **given, **rngs)

    layer = nnx.eval_shape(make)
    flat = nnx.to_flat_state(nnx.state(layer, nnx.Param))
    return {path: leaf.get_metadata("mark", None) for path, leaf in flat}


@pytest.mark.parametrize("name", SIZES)
def test_metadata_reaches_the_parameter_that_flax_gives_it(name):
    found = marks(oakum, name)
    with lenient():
        assert found == marks(flax_nnx, name)
    assert all(found.values())


def twice(*args, **kwargs):
    return lax.dot_general(*args, **kwargs) * 2


def half_everything(values, *, dtype=None, inexact=True):
    return tuple(None if a is None else jnp.asarray(a, jnp.bfloat16) for a in values)


ATTENTION = {
    "dot-general": {"qkv_dot_general": twice, "out_dot_general_cls": lambda: twice},
    "promote": {
        "qkv_promote_dtype": half_everything,
        "ln_promote_dtype": half_everything,
        "out_promote_dtype": half_everything,
        "normalize_qk": True,
    },
}


@pytest.mark.parametrize("options", ATTENTION.values(), ids=ATTENTION)
def test_functions_of_the_users_reach_the_projections(options):
    def build(nnx):
        return nnx.MultiHeadAttention(2, 8, decode=False, rngs=nnx.Rngs(0), **options)

    bound = 2e-2 if "normalize_qk" in options else 1e-6
    assert_parity(build, normal((2, 3, 8)), tolerance=bound, gradients=False)


def test_spectral_norm_leaves_its_statistics_where_told():
    def build(nnx):
        rngs = nnx.Rngs(0)
        return nnx.SpectralNorm(nnx.Linear(3, 4, rngs=rngs), rngs=rngs)

    ours, theirs = both(build)
    x = normal((2, 3))
    before = jax.tree.leaves(oakum.state(ours, oakum.BatchStat))
    with lenient():
        expected = theirs(x, update_stats=False)
    assert_close(ours(x, update_stats=False), expected, 1e-6)
    after = jax.tree.leaves(oakum.state(ours, oakum.BatchStat))
    assert all(a is b for a, b in zip(before, after, strict=True))
