"""States: by key and attribute, merged, mapped, filtered and flat."""

from typing import Any

import jax
import jax.numpy as jnp

import oakum as nnx


class Net(nnx.Module):
    def __init__(self, *, rngs: nnx.Rngs) -> None:
        self.layers = nnx.List([nnx.Linear(2, 2, rngs=rngs)])
        self.norm = nnx.BatchNorm(2, rngs=rngs)


net = Net(rngs=nnx.Rngs(0))
state = nnx.state(net)
kernel: jax.Array = state["layers"][0]["kernel"].value
kernel = state.layers[0].kernel.value
for key, part in state.items():
    print(key, part)
params, stats = nnx.split_state(state, nnx.Param, ...)
whole: nnx.State = nnx.merge_state(params, stats)
only: nnx.State = nnx.filter_state(state, nnx.Param)
halved: nnx.State = jax.tree.map(jnp.negative, params)
sizes: list[Any] = jax.tree.leaves(params)
flat = nnx.to_flat_state(state)
back: nnx.State = nnx.from_flat_state(flat)
pure: dict[Any, Any] = nnx.to_pure_dict(state)
nnx.replace_by_pure_dict(state, pure)
nnx.update(net, halved, stats)
same: bool = "norm" in state
count: int = len(state)
nnx.merge_state(3)  # mistake
nnx.split_state(state, 3)  # mistake
a, b, c = nnx.split_state(state, nnx.Param, ...)  # mistake
nnx.filter_state(net, nnx.Param)  # mistake
nnx.update(net)  # mistake
nnx.replace_by_pure_dict(net, pure)  # mistake
nnx.to_pure_dict()  # mistake
text: str = nnx.merge_state(params, stats)  # mistake
