"""Errors to catch, and what they carry."""

import oakum as nnx

try:
    nnx.Linear(2, 3, rngs=nnx.Rngs(0))
except nnx.errors.ShapeError as error:
    text: str = str(error)
except (nnx.errors.ArgumentError, nnx.errors.StructureError, ValueError) as other:
    print(other)


def fails() -> None:
    raise nnx.errors.TraceContextError("wrong", where="here", remedy="write another")


kinds: list[type[Exception]] = [nnx.errors.CheckpointError, nnx.errors.FilterError]
base: type[nnx.errors.OakumError] = nnx.errors.ShapeError
nnx.errors.ShapesError  # mistake
nnx.errors.ShapeError(3)  # mistake
nnx.errors.nosuch  # mistake
wrong: type[nnx.errors.ShapeError] = nnx.errors.FilterError  # mistake
