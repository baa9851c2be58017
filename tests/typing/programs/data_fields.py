"""data and static: in dataclasses, with defaults and factories, and on attributes."""

import jax
import jax.numpy as jnp

import oakum as nnx


@nnx.dataclass
class Buffer(nnx.Pytree):
    size: int = nnx.static()
    items: list[jax.Array] = nnx.data(default_factory=list[jax.Array])
    scale: jax.Array = nnx.data(default_factory=lambda: jnp.ones(2), kw_only=True)
    name: str = nnx.static(default="buffer", kw_only=True)


class Model(nnx.Module):
    cache: nnx.Data[list[jax.Array]]
    sizes: nnx.Static[tuple[int, ...]]

    def __init__(self) -> None:
        self.cache = [jnp.ones(2)]
        self.sizes = (1, 2)
        self.table = nnx.data({"a": jnp.ones(2)})
        self.hook = nnx.static(jnp.tanh)


buffer = Buffer(3)
buffer.items.append(jnp.ones(3))
model = Model()
x: jax.Array = model.hook(model.cache[0]) + model.table["a"]
size: int = model.sizes[0] + buffer.size
is_data: bool = nnx.is_data(buffer.items)
Buffer()  # mistake
Buffer("3")  # mistake
Buffer(3, [], name=4)  # mistake
Buffer(3).itmes  # mistake
model.cache.nosuch  # mistake
model.sizes[0].nosuch  # mistake
model.table[0]  # mistake
text: str = model.table["a"]  # mistake
