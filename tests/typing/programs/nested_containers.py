"""List and Dict: nested, sliced, joined, iterated, of Variables and of mixtures."""

import jax
import jax.numpy as jnp

import oakum as nnx

rngs = nnx.Rngs(0)


class Experts(nnx.Module):
    blocks: nnx.Dict[nnx.List[nnx.Linear]]
    gates: nnx.List[nnx.Param[jax.Array]]

    def __init__(self) -> None:
        self.blocks = nnx.Dict(
            {"a": nnx.List([nnx.Linear(2, 2, rngs=rngs)]), "b": nnx.List([])}
        )
        self.gates = nnx.List([nnx.Param(jnp.ones(2))])
        self.mixed = nnx.List([nnx.Linear(2, 2, rngs=rngs), nnx.Dropout(0.5)])


experts = Experts()
x: jax.Array = experts.blocks["a"][0](jnp.ones(2))
for name, block in experts.blocks.items():
    for layer in block:
        x = layer(x)
    print(name.upper(), len(block))
for gate in reversed(experts.gates):
    x = gate * x
some = experts.blocks["a"][:1]
experts.blocks["a"].extend(nnx.Linear(2, 2, rngs=rngs) for _ in range(2))
experts.gates[0] = nnx.Param(jnp.zeros(2))
del experts.gates[0]
experts.blocks.update(c=nnx.List([nnx.Linear(2, 2, rngs=rngs)]))
found = experts.blocks.get("d")
if found is not None:
    x = found[0](x)
has: bool = "a" in experts.blocks
popped: nnx.List[nnx.Linear] = experts.blocks.pop("a")
first: nnx.Linear = next(iter(popped))
experts.blocks["a"][0].nosuch  # mistake
experts.blocks["b"].append(nnx.Dropout(0.5))  # mistake
experts.gates.append(jnp.ones(2))  # mistake
experts.blocks["c"] = nnx.Linear(2, 2, rngs=rngs)  # mistake
experts.gates["a"]  # mistake
found.append(first)  # mistake
experts.gates[0].value.kernel  # mistake
experts.blocks.get("a").append(first)  # mistake
