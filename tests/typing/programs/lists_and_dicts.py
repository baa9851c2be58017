"""List and Dict with type parameters, as annotations and by methods."""

import jax
import jax.numpy as jnp

import oakum as nnx


class Tower(nnx.Module):
    layers: nnx.List[nnx.Linear]
    heads: nnx.Dict[nnx.Linear]

    def __init__(self, *, rngs: nnx.Rngs) -> None:
        self.layers = nnx.List([nnx.Linear(2, 2, rngs=rngs)])
        self.heads = nnx.Dict(a=nnx.Linear(2, 3, rngs=rngs))
        self.scales = nnx.List([nnx.Param(jnp.ones(2)) for _ in range(2)])

    def __call__(self, x: jax.Array) -> dict[str, jax.Array]:
        for layer, scale in zip(self.layers, self.scales, strict=False):
            x = layer(x) * scale
        return {name: head(x) for name, head in self.heads.items()}


tower = Tower(rngs=nnx.Rngs(0))
out: jax.Array = tower(jnp.ones(2))["a"]
tower.layers.insert(0, tower.layers.pop())
tower.layers += [nnx.Linear(2, 2, rngs=nnx.Rngs(1))]
some: list[nnx.Linear] = list(tower.layers)
names: list[str] = list(tower.heads)
tower.heads["b"] = nnx.Linear(2, 3, rngs=nnx.Rngs(2))
total: jax.Array = tower.scales[0].value + tower.scales[1]
last = tower.layers[-1].kernel
tower.layers.append(nnx.Param(jnp.ones(2)))  # mistake
tower.heads["c"] = 3  # mistake
tower.layers["a"]  # mistake
tower.heads.items().nosuch  # mistake
tower.scales[0].value.kernel  # mistake
text: str = tower(jnp.ones(2))["a"]  # mistake
