"""eval_shape, make_jaxpr and abstract: what a function does, without running it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, overload

import jax

from .._engine._lift import Body, Flat
from .._engine._modes import MISSING, modeless
from .._engine._signature import with_static
from .._engine._traceback import trimmed
from .._engine._values import Values
from .._graph import VAR, Decoder, leaf_tokens
from .._objects import NUMBERS, is_object, sharding_of
from .._statics import Static
from .._typing import P, R

if TYPE_CHECKING:
    from jax.extend.core import ClosedJaxpr


@modeless
def eval_shape(f: Callable[..., R], *args: Any, **kwargs: Any) -> R:
    """What a function returns, with shapes and dtypes in place of arrays.

    Args:
        f: takes and returns objects and arrays.
        *args, **kwargs: its arguments; `jax.ShapeDtypeStruct` may stand for arrays, in
            objects too. They are not changed.

    Returns:
        The result of `f`, its arrays `jax.ShapeDtypeStruct`s, with the shardings that
        the metadata of Variables says where a mesh is set. Objects are new ones.

    Example:
        >>> import oakum as nnx
        >>> model = nnx.eval_shape(lambda: nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
        >>> model.kernel.shape
        (2, 3)
    """
    found: list[Any] = []
    body = Body(
        "eval_shape", lambda *a, **k: found.append(f(*a, **k)), Flat.of((args, kwargs))
    )

    @trimmed
    def pure(inputs: Values) -> Values:
        body.run(inputs)
        # In a list, as a leaf must stand in something.
        result = Flat.of([found.pop()])
        found.append(result.graphdef)
        return result.values()

    result = jax.eval_shape(pure, body.flat.values())
    graphdef = found.pop()
    boxes = [one for _, one in leaf_tokens(graphdef.token) if one[0] == VAR]
    pairs = zip(result.variables, boxes, strict=True)
    placed = [_placed(x, box[3].value) for x, box in pairs]
    return Decoder(placed, result.bare).build(graphdef.token)[0]


def _placed(value: Any, meta: dict[str, Any]) -> Any:
    """A shape with the sharding that a Variable's metadata says."""
    sharding = sharding_of(meta)
    if sharding is None or not isinstance(value, jax.ShapeDtypeStruct):
        return value
    try:
        mesh = jax.sharding.get_mesh()  # with its devices, as a checkpoint needs it
    except ValueError:  # inside of a trace
        mesh = sharding.mesh
    if mesh.axis_names == sharding.mesh.axis_names:
        sharding = jax.sharding.NamedSharding(mesh, sharding.spec)
    return jax.ShapeDtypeStruct(value.shape, value.dtype, sharding=sharding)


def abstract(make: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """A model with shapes and dtypes in place of arrays: nothing is allocated.

    Args:
        make: a class or function that makes the model.
        *args, **kwargs: its arguments.

    Returns:
        The model, its arrays `jax.ShapeDtypeStruct`s.

    Example:
        >>> import oakum as nnx
        >>> model = nnx.abstract(nnx.Linear, 10**6, 10**6, rngs=nnx.Rngs(0))
        >>> model.kernel.shape
        (1000000, 1000000)
    """
    # Numbers are mostly sizes, which must stay what they are.
    given: tuple[Any, Any] = jax.tree.map(
        lambda x: Static(x) if isinstance(x, NUMBERS) else x,
        (args, kwargs),
        is_leaf=is_object,
    )
    return eval_shape(make, *given[0], **given[1])


@overload
def make_jaxpr(
    f: Callable[..., Any], *, static_argnums: int | Sequence[int] = ...
) -> Callable[..., ClosedJaxpr]: ...
@overload
def make_jaxpr(
    *, static_argnums: int | Sequence[int] = ...
) -> Callable[[Callable[..., Any]], Callable[..., ClosedJaxpr]]: ...
@modeless
def make_jaxpr(f: Any = MISSING, *, static_argnums: int | Sequence[int] = ()) -> Any:
    """A function that traces `f`, and returns its jaxpr.

    Args:
        f: takes and returns objects and arrays; left out where used as a decorator with
            arguments.
        static_argnums: positions of arguments that are configuration.

    Returns:
        A function of the same arguments that returns a `jax.core.ClosedJaxpr`. Its
        inputs are the Variables' values and the arrays, in canonical order; its outputs
        the values that `f` writes, then what it returns. The arguments do not change.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> count = nnx.Variable(jnp.array(1))
        >>> nnx.make_jaxpr(lambda v: v.set_value(v.value + 1))(count)
        { lambda ; a:i32[]. let b:i32[] = add a 1:i32[] in (b,) }
    """

    @functools.wraps(f)
    @trimmed
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        given = with_static(f, args, kwargs, static_argnums)
        body = Body("make_jaxpr", f, Flat.of(given))
        return jax.make_jaxpr(body.run)(body.flat.values())

    return wrapped
