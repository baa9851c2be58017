"""Ten steps of training leave every layer with the state that they leave flax's with.

All layers of the registry are trained at once, each by its own loss, so that there is
one compilation for oakum and one for flax.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import oakum
from tests import registry
from tests.nn.peer import BF16_TOLERANCE, arrays, assert_close, flax_nnx, lenient

pytestmark = pytest.mark.peer

# The scales of flax's WeightNorm are no part of its state, so that nothing trains them;
# its SpectralNorm overwrites the Params that the optimizer trains, where ours does not.
WITHOUT_PEER = {"lora-linear-general", "repeat", "rope", "spectral-norm", "weight-norm"}
WITHOUT_PARAMETERS = {"dropout"}
# One of each kind of arithmetic, as every row is compiled twice; not the recurrent
# cells, whose orthogonal kernels flax cannot make in bfloat16.
HALF = {
    "linear-bfloat16",
    "conv-1d-bfloat16",
    "conv-transpose-bfloat16",
    "embed-bfloat16",
    "batch-norm-bfloat16",
    "layer-norm-bfloat16",
    "attention-bfloat16",
    "lora-linear-bfloat16",
}
ROWS = [
    row
    for row in registry.ROWS
    if row.id not in WITHOUT_PEER | WITHOUT_PARAMETERS
    and (row.expected_dtype == jnp.float32 or row.id in HALF)
]
STEPS = 10


def train(nnx):
    """The layers after training, and the loss of each in each step."""
    layers = nnx.Dict({row.id: row.layer() for row in ROWS})
    # With its usual epsilon, adam makes a whole step of what is rounding alone: the
    # gradient of a bias of keys, which is 0.
    optimizer = nnx.Optimizer(layers, optax.adam(1e-2, eps=1e-2), wrt=nnx.Param)
    inputs = {row.id: row.inputs() for row in ROWS}

    def loss_fn(layers, inputs):
        outs = {id: layers[id](x).astype(jnp.float32) for id, x in inputs.items()}
        losses = {id: jnp.mean((out - 1) ** 2) for id, out in outs.items()}
        return sum(losses.values()), losses

    @nnx.jit
    def step(layers, optimizer, inputs):
        grads, losses = nnx.grad(loss_fn, has_aux=True)(layers, inputs)
        optimizer.update(layers, grads)
        return losses

    history = [step(layers, optimizer, inputs) for _ in range(STEPS)]
    return layers, jax.tree.map(lambda *x: np.stack(x), *history)


@pytest.fixture(scope="module")
def trained():
    """Both, after training: the factories of the registry build flax's layers too."""

    class Step(flax_nnx.Module):
        def __init__(self, cell):
            self.cell = cell

        def __call__(self, x):
            carry = self.cell.initialize_carry(x.shape, flax_nnx.Rngs(0))
            return self.cell(carry, x)[1]

    with pytest.MonkeyPatch.context() as patch, lenient():
        # The GRU of flax has no recurrent bias, which training would move.
        defaults = oakum.GRUCell.__init__.__kwdefaults__
        patch.setitem(defaults, "recurrent_bias", False)
        ours = train(oakum)
        patch.setattr(registry, "nnx", flax_nnx)
        patch.setattr(registry, "Step", Step)
        theirs = train(flax_nnx)
    return ours, theirs


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_ten_steps_of_training_leave_the_state_of_flax(trained, row):
    (ours, our_losses), (theirs, their_losses) = trained
    bound = 1e-6 if row.expected_dtype == jnp.float32 else BF16_TOLERANCE
    assert_close(our_losses[row.id], their_losses[row.id], bound)
    got, expected = arrays(oakum, ours[row.id]), arrays(flax_nnx, theirs[row.id])
    for path in (path for path in expected if "rngs" not in path):
        assert_close(got[path], expected[path], bound, path)
