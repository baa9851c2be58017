"""What is a filter."""

from typing import Any

import oakum as nnx


def biases(path: tuple[Any, ...], value: Any) -> bool:
    return bool(path[-1] == "bias")


model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
nnx.state(model, biases)
nnx.state(model, nnx.PathContains("bias"))
nnx.state(model, nnx.All(nnx.Param, nnx.Not(nnx.PathContains("bias"))))
nnx.state(model, (nnx.Param, nnx.BatchStat))
nnx.state(model, [nnx.Param, "tag", None, ...])
nnx.state(model, lambda path, value: "kernel" in path)
nnx.state(model, 3)  # mistake
nnx.split(model, nnx.Param, 0.5)  # mistake
nnx.pop(model, 3)  # mistake
nnx.state(model, (nnx.Param, 3))  # mistake
