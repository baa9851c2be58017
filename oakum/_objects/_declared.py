"""What type checkers are told of Variables and nodes, and cannot read off the code.

To a checker a Variable is an array: `jnp` functions take it, and it has an array's
operators and methods. At run time it has the operators by `_operators`, and the rest by
`Variable.__getattr__`. The bases here are empty then, and cost nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

import jax

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from typing_extensions import TypeVar as TypeVarWithDefault

    A = TypeVarWithDefault("A", default=jax.Array)
    K = TypeVar("K")
    V = TypeVar("V")

    class VariableBase(jax.Array, Generic[A]):
        """An array, with the items of what it holds."""

        @overload
        def __getitem__(self: VariableBase[dict[K, V]], key: K, /) -> V: ...
        @overload
        def __getitem__(self: VariableBase[list[V]], key: int, /) -> V: ...
        @overload
        def __getitem__(self: VariableBase[tuple[V, ...]], key: int, /) -> V: ...
        @overload
        def __getitem__(self: VariableBase[jax.Array], key: Any, /) -> jax.Array: ...
        @overload
        def __getitem__(self, key: Any, /) -> Any: ...
        def __getitem__(self, key: Any, /) -> Any: ...

    class NodeMethods:
        """The methods that `_protocols` gives to every node."""

        __slots__ = ()

        def train(self, **attributes: Any) -> None: ...
        def eval(self, **attributes: Any) -> None: ...
        def set_attributes(
            self,
            *filters: Any,
            raise_if_not_found: bool = True,
            **attributes: Any,
        ) -> None: ...
        def sow(
            self,
            variable_type: type[jax.Array] | str,
            name: str,
            value: Any,
            reduce_fn: Callable[[Any, Any], Any] = ...,
            init_fn: Callable[[], Any] = ...,
            capture_noop: bool | None = None,
        ) -> bool: ...
        def perturb(
            self,
            name: str,
            value: V,
            variable_type: type[jax.Array] | str = ...,
            capture_noop: bool | None = None,
        ) -> V: ...
        def iter_children(self) -> Iterator[tuple[Any, Any]]: ...
        def iter_modules(self) -> Iterator[tuple[tuple[Any, ...], Any]]: ...

else:
    A = TypeVar("A")
    VariableBase, NodeMethods = Generic, object
