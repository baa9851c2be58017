"""scan_steps: many training steps in one compiled call."""

from __future__ import annotations

import functools
from typing import Any

import jax

from .._engine._modes import MISSING, keeping
from .._engine._traceback import trimmed
from .._engine.axes._prefix import Carry
from .._objects import is_object
from ..errors import ArgumentError
from ..transforms._jit import jit
from ..transforms._scan import scan


@keeping
def scan_steps(step: Any = MISSING, *, unroll: int = 1, **options: Any) -> Any:
    """A function that runs a training step over stacked batches, in one program.

    What a call costs beside the arithmetic, it costs once for all steps: for a small
    model, ten steps take the time of two. All steps are taken, or none: where one
    fails, the objects are as they were.

    Args:
        step: an ordinary step: takes objects, which it updates in place, and arrays;
            returns arrays, such as the loss. Left out where used as a decorator.
        unroll: how many steps to compile as one.
        **options: as for `jit`, beside static and donated arguments.

    Returns:
        A function of the same arguments. Objects are handed from step to step; each
        array, also those within a dict or tuple, has one more axis in front, along
        which the steps take their parts. What `step` returns comes stacked likewise.

    Raises:
        ArgumentError: an argument that is no object has no axis in front, or of another
            length; no argument has one.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp, optax
        >>> model = nnx.Linear(1, 1, rngs=nnx.Rngs(0))
        >>> optimizer = nnx.Optimizer(model, optax.sgd(0.1), wrt=nnx.Param)
        >>> @nnx.train.scan_steps
        ... def train(model, optimizer, x):
        ...     loss, grads = nnx.value_and_grad(lambda m: (m(x) ** 2).mean())(model)
        ...     optimizer.update(model, grads)
        ...     return loss
        >>> train(model, optimizer, jnp.ones((10, 4, 1))).shape
        (10,)
    """
    name = getattr(step, "__name__", "step")

    @functools.wraps(step)
    def steps(*args: Any, **kwargs: Any) -> Any:
        leaves, treedef = jax.tree.flatten((args, kwargs), is_leaf=is_object)
        objects = tuple([leaf for leaf in leaves if is_object(leaf)])
        batches = [leaf for leaf in leaves if not is_object(leaf)]

        def body(carried: tuple, parts: list[Any]) -> tuple[tuple, Any]:
            own, given = iter(carried), iter(parts)
            placed = [next(own if is_object(leaf) else given) for leaf in leaves]
            step_args, step_kwargs = jax.tree.unflatten(treedef, placed)
            return carried, step(*step_args, **step_kwargs)

        loop = scan(body, in_axes=(Carry, 0), out_axes=(Carry, 0), unroll=unroll)
        return loop(objects, batches)[1]

    compiled = jit(steps, **options)

    @functools.wraps(step)
    @trimmed
    def call(*args: Any, **kwargs: Any) -> Any:
        _check_batches(name, args, kwargs)
        return compiled(*args, **kwargs)

    call.jitted = compiled  # type: ignore[attr-defined]
    return call


def _check_batches(name: str, args: tuple, kwargs: dict) -> None:
    """Raises where arrays do not have one axis of steps in front."""
    leaves = jax.tree.leaves((args, kwargs), is_leaf=is_object)
    shapes = [getattr(leaf, "shape", ()) for leaf in leaves if not is_object(leaf)]
    lengths = {shape[0] if shape else None for shape in shapes}
    if len(lengths) == 1 and None not in lengths and 0 not in lengths:
        return
    raise ArgumentError(
        f"scan_steps({name}): the arguments beside the objects have shapes "
        f"{', '.join(map(str, shapes)) or 'none'}, expected one number of steps in "
        "front of each",
        remedy="batches = jax.tree.map(lambda *parts: jnp.stack(parts), *batches); "
        "what all steps share is given by functools.partial.",
    )
