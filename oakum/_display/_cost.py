"""FLOPs of a call, from XLA's cost analysis of the lowered call: nothing is compiled.

XLA counts the body of a loop once, whatever the number of rounds, so the rounds of a
`scan` after the first are added here. A `while_loop`, whose rounds nobody knows, counts
as one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from .._compat._programs import beyond_first_rounds, jaxpr_function
from .._engine._lift import Body, Flat
from .._graph import Decoder, walk
from .._objects import NUMBERS, WithDict, is_array, is_object, own_dict
from .._statics import Static


class Request:
    """A call to lower later, without the tracers it was made with.

    Args:
        method: the method's name.
        args: the node, then the positional arguments.
        kwargs: the other arguments.
    """

    def __init__(self, method: str, args: tuple, kwargs: dict[str, Any]):
        self.method = method
        flat = Flat.of(keep_numbers((args, kwargs)))
        self._graphdef = flat.graphdef
        self._shapes = jax.tree.map(_shape, flat.values())

    def strip(self, attribute: str) -> None:
        """Takes a static attribute off all nodes: then equal layers are equal."""
        call = self._build()
        for _, node in walk(call):
            if isinstance(node, WithDict):
                dict.pop(own_dict(node), attribute, None)
        self._graphdef = Flat.of(call).graphdef

    def _build(self) -> Any:
        call = Decoder(*self._shapes).build(self._graphdef.token)
        return keep_numbers(call)

    @property
    def key(self) -> Any:
        """Equal for calls that cost the same."""
        shapes, treedef = jax.tree.flatten(self._shapes)
        return self.method, self._graphdef, treedef, tuple(map(str, shapes))

    def function(self, backward: bool) -> tuple[Callable[..., Any], list[Any]]:
        """The call as a pure function, and the shapes of its arguments.

        Args:
            backward: whether it is to take the gradient too: that of all results with
                respect to all state and arguments, as far as they are inexact.
        """
        flat = Flat.of(self._build())
        make = _with_gradient if backward else _alone
        call = make(lambda node, *a, **k: getattr(node, self.method)(*a, **k), flat)
        return call, jax.tree.leaves(self._shapes)


def keep_numbers(arguments: Any) -> Any:
    """Arguments whose numbers stay what they are: flags and sizes, mostly."""
    return jax.tree.map(
        lambda x: Static(x) if isinstance(x, NUMBERS) else x,
        arguments,
        is_leaf=is_object,
    )


def _shape(value: Any) -> Any:
    return jax.ShapeDtypeStruct(value.shape, value.dtype) if is_array(value) else value


def _alone(method: Callable[..., Any], flat: Flat) -> Callable[..., Any]:
    body = Body("tabulate", method, flat)
    treedef = jax.tree.structure(flat.values())
    return lambda *leaves: body.run(jax.tree.unflatten(treedef, leaves))


def _with_gradient(method: Callable[..., Any], flat: Flat) -> Callable[..., Any]:
    found: list[Any] = []
    body = Body("tabulate", lambda *a, **k: found.append(method(*a, **k)), flat)
    treedef = jax.tree.structure(flat.values())

    def call(*leaves: Any) -> Any:
        inputs = [i for i, leaf in enumerate(leaves) if _is_inexact(leaf)]

        def forward(*values: Any) -> list[Any]:
            filled = dict(zip(inputs, values, strict=True))
            all_leaves = [filled.get(i, leaf) for i, leaf in enumerate(leaves)]
            body.run(jax.tree.unflatten(treedef, all_leaves))
            results = jax.tree.leaves(Flat.of([found.pop()]).values())
            return [result for result in results if _is_inexact(result)]

        results, pull = jax.vjp(forward, *[leaves[i] for i in inputs])
        return pull(results)

    return call


def _is_inexact(value: Any) -> bool:
    return jnp.issubdtype(jnp.result_type(value), jnp.inexact)


class Costs:
    """Counts FLOPs, once for all equal calls."""

    def __init__(self) -> None:
        self._known: dict[Any, int | None] = {}

    def flops(self, request: Any, backward: bool) -> int | None:
        """The FLOPs of a call, or None where XLA cannot tell.

        Args:
            request: the Request.
            backward: whether to add those of its gradient.
        """
        key = (request.key, backward)
        if key not in self._known:
            self._known[key] = _count(request, backward)
        return self._known[key]


def _count(request: Request, backward: bool) -> int | None:
    function, shapes = request.function(backward)
    try:
        # That of the CPU needs no compiled program, unlike those of GPUs and TPUs.
        with jax.default_device(jax.local_devices(backend="cpu")[0]):
            traced = jax.jit(function).trace(*shapes)
            count = _flops(traced.lower())
            return int(count + beyond_first_rounds(traced.jaxpr, _rounds_once))
    # The call itself has run on shapes by now. What fails is to look at it alone (the
    # name of a mapped axis is unknown) or on a CPU (a kernel for GPUs; there is none).
    except Exception:
        return None


def _flops(lowered: Any) -> float:
    return lowered.cost_analysis().get("flops", 0.0)


def _rounds_once(jaxpr: Any) -> float:
    function, shapes = jaxpr_function(jaxpr)
    return _flops(jax.jit(function).lower(*shapes))
