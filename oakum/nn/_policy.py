"""Policy: in which dtypes a model keeps its parameters and computes.

    policy = nnx.Policy(compute=jnp.bfloat16, accumulation=jnp.float32)
    nnx.set_dtypes(model, policy)
    nnx.set_dtypes(model, nnx.Policy(output=jnp.float32), nnx.PathContains('head'))

There is no second mechanism: `set_dtypes` sets the attributes that layers have anyway,
`dtype`, `param_dtype` and `preferred_element_type`, and `output_dtype`, and casts the
parameters once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from .._graph import children, modules_of
from .._objects import Module, Param, is_layer
from .._state import filter_name, to_predicate
from .._typing import Dtype
from ..errors import ArgumentValueError, FilterError
from .attention._attention import MultiHeadAttention
from .norm._batch_norm import BatchNorm
from .norm._group_norm import GroupNorm
from .norm._instance_norm import InstanceNorm
from .norm._layer_norm import LayerNorm, RMSNorm
from .norm._spectral_norm import SpectralNorm
from .norm._weight_norm import WeightNorm

_NORMS = (BatchNorm, GroupNorm, InstanceNorm, LayerNorm, RMSNorm)


@dataclasses.dataclass(frozen=True)
class Policy:
    """Dtypes for a model, or for a part of it; None leaves what is there.

    Micikevicius et al.: Mixed Precision Training, https://arxiv.org/abs/1710.03740,
    2017.

    Args:
        param: of the parameters, which an optimizer updates.
        compute: what layers cast their input and parameters to. Normalizations and the
            softmax of attention are in float32 at least, all the same.
        output: of what each layer returns; `compute` by default.
        accumulation: in which products are summed up, and a bias is added to them. The
            products of the backward pass return `compute`, as the gradients do.

    Raises:
        ArgumentValueError: one of them is no floating-point dtype.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> nnx.Policy(param=jnp.float32, compute='bfloat16')
        Policy(param=float32, compute=bfloat16)
    """

    param: Dtype | None = None
    compute: Dtype | None = None
    output: Dtype | None = None
    accumulation: Dtype | None = None

    def __post_init__(self):
        for name, dtype in self._given():
            object.__setattr__(self, name, _floating(name, dtype))

    @classmethod
    def parse(cls, text: str) -> Policy:
        """A policy from text, as jmp writes it.

        Args:
            text: `name=dtype` pairs with commas between them; `params` is `param`.

        Raises:
            ArgumentValueError: a name or a dtype that there is not.

        Example:
            >>> import oakum as nnx
            >>> nnx.Policy.parse('params=float32,compute=bfloat16,output=float32')
            Policy(param=float32, compute=bfloat16, output=float32)
        """
        names = [field.name for field in dataclasses.fields(cls)]
        given = {}
        for pair in text.split(","):
            name, _, dtype = (part.strip() for part in pair.partition("="))
            name = "param" if name == "params" else name
            if name not in names or name in given:
                raise ArgumentValueError(
                    f"{pair.strip()!r} of the policy {text!r} is not `name=dtype` with "
                    f"one of {', '.join(names)}, each once",
                    remedy="nnx.Policy.parse('params=float32,compute=bfloat16').",
                )
            given[name] = dtype
        return cls(**given)

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={dtype}" for name, dtype in self._given())
        return f"Policy({given})"

    def _given(self) -> list[tuple[str, Any]]:
        return [(k, v) for k, v in vars(self).items() if v is not None]


def set_dtypes(model: Any, policy: Policy, *filters: Any) -> None:
    """Gives the layers of a model the dtypes of a policy, in place.

    Do so before the model is given to an optimizer, whose slots have the dtypes that
    the parameters had then.

    Args:
        model: the model, or a pytree of models.
        policy: the dtypes.
        *filters: which layers; all where there are none. A filter decides about each
            layer alone: `nnx.MultiHeadAttention` leaves out the projections in it, and
            `nnx.PathContains('attention')` takes them in.

    Raises:
        FilterError: a filter selects no layer that has parameters or a dtype.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> nnx.set_dtypes(model, nnx.Policy(jnp.float32, compute=jnp.bfloat16))
        >>> print(model.kernel.dtype, model(jnp.ones((1, 2))).dtype)
        float32 bfloat16
    """
    layers = [(p, m) for p, m in modules_of(model) if _has_dtypes(m)]
    predicates = [to_predicate(filter) for filter in filters or (...,)]
    for predicate, filter in zip(predicates, filters or (...,), strict=True):
        if not any(predicate(*layer) for layer in layers):
            raise _selects_nothing(model, filter, layers)
    for path, layer in layers:
        if any(predicate(path, layer) for predicate in predicates):
            _set_dtypes(layer, policy)


def _set_dtypes(layer: Module, policy: Policy) -> None:
    for name, dtype in _attributes(layer, policy).items():
        if dtype is not None and hasattr(layer, name):
            setattr(layer, name, dtype)
    if policy.param is None:
        return
    for param in _own_params(layer):
        param.set_value(jax.tree.map(lambda x: _cast(x, policy.param), param.value))


def _attributes(layer: Module, policy: Policy) -> dict[str, Any]:
    compute = policy.compute
    wide = compute
    if compute is not None and jnp.finfo(compute).bits < 32:
        wide = jnp.dtype(jnp.float32)
    found = {
        "dtype": compute,
        "param_dtype": policy.param,
        "preferred_element_type": policy.accumulation,
        "output_dtype": compute if policy.output is None else policy.output,
    }
    if isinstance(layer, _NORMS):
        found["dtype"] = wide
    elif isinstance(layer, MultiHeadAttention):
        found["preferred_element_type"] = policy.accumulation or wide
    elif isinstance(layer, WeightNorm | SpectralNorm):
        found["dtype"] = policy.param  # of what they store in the parameters
    return found


def _has_dtypes(module: Module) -> bool:
    return hasattr(module, "dtype") or any(True for _ in _own_params(module))


def _own_params(node: Any, seen: frozenset[int] = frozenset()) -> Iterator[Param]:
    """The parameters of a module that belong to no module below it."""
    for _, child in children(node):
        if isinstance(child, Param):
            yield child
        elif not is_layer(type(child)) and id(child) not in seen:
            yield from _own_params(child, seen | {id(child)})


def _cast(x: Any, dtype: Any) -> Any:
    if not jnp.issubdtype(x.dtype, jnp.floating):
        return x
    abstract = isinstance(x, jax.ShapeDtypeStruct)
    return x.update(dtype=dtype) if abstract else x.astype(dtype)


def _floating(name: str, dtype: Any) -> Any:
    try:
        found = jnp.dtype(dtype)
    except TypeError:
        found = None
    if found is None or not jnp.issubdtype(found, jnp.floating):
        raise ArgumentValueError(
            f"{name}={dtype!r} of a Policy is no floating-point dtype",
            remedy="pass one of JAX's or its name, such as jnp.float32 or 'bfloat16'.",
        )
    return found


def _selects_nothing(model: Any, filter: Any, layers: list) -> FilterError:
    kinds = sorted({type(layer).__name__ for _, layer in layers})
    return FilterError(
        f"set_dtypes: {filter_name(filter)} selects no layer of "
        f"{type(model).__name__} that has parameters or a dtype",
        where=f"it holds: {', '.join(kinds) or 'no such layer'}",
        remedy="give filters that select layers, such as nnx.Linear or "
        "nnx.PathContains('head'), or none for all layers.",
    )
