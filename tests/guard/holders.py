"""What holds a number of the model, and whether a compiled call sees it change.

A cell is (holder, happening, transform). The holder has the number 1; either it is
edited between two calls, or each of two calls doubles it. `outcome` compares with plain
Python: *right*, *raises*, *warns*, or *silent*.
"""

from __future__ import annotations

import collections
import dataclasses
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from tests.pytrees import Ring


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Pack:
    """A dataclass that JAX knows."""

    k: Any


@dataclasses.dataclass
class Config:
    """Configuration."""

    k: Any


class Layer(eqx.Module):
    """A module of equinox: frozen, so that another one takes its place."""

    k: Any


ONE = np.ones((), np.float32)


def _set_item(m: Any, value: Any) -> None:
    m.h["k"] = value


def _set_first(m: Any, value: Any) -> None:
    m.h[0] = value


def _set_attribute(m: Any, value: Any) -> None:
    m.h.k = value


def _fill(m: Any, value: Any) -> None:
    if isinstance(m.h, np.ndarray):
        m.h.fill(value)
    else:  # inside of a transform it is traced
        m.h = value


@dataclasses.dataclass
class Holder:
    """How a number is put in a model, read and written."""

    make: Callable[[Any, Any], Any]  # of the library and the number: the attribute
    read: Callable[[Any], Any]
    write: Callable[[Any, Any], None]
    state: bool = True  # or configuration, which calls only read


STATE = {
    "plain list": Holder(lambda n, k: n.data([k]), lambda m: m.h[0], _set_first),
    "plain dict": Holder(lambda n, k: n.data({"k": k}), lambda m: m.h["k"], _set_item),
    "list in a tuple": Holder(
        lambda n, k: n.data(([k], 1)),
        lambda m: m.h[0][0],
        lambda m, v: m.h[0].__setitem__(0, v),
    ),
    "list": Holder(lambda n, k: n.List([k]), lambda m: m.h[0], _set_first),
    "dict": Holder(lambda n, k: n.Dict(k=k), lambda m: m.h["k"], _set_item),
    "tuple": Holder(
        lambda n, k: n.data((k,)),
        lambda m: m.h[0],
        lambda m, v: setattr(m, "h", (v,)),
    ),
    "OrderedDict": Holder(
        lambda n, k: n.data(collections.OrderedDict(k=k)),
        lambda m: m.h["k"],
        _set_item,
    ),
    "deque": Holder(lambda n, k: n.data(Ring([k])), lambda m: m.h[0], _set_first),
    "registered dataclass": Holder(
        lambda n, k: n.data(Pack(k)), lambda m: m.h.k, _set_attribute
    ),
    "equinox module": Holder(
        lambda n, k: n.data(Layer(k)),
        lambda m: m.h.k,
        lambda m, v: setattr(m, "h", Layer(v)),
    ),
    "array": Holder(
        lambda n, k: n.data(k), lambda m: m.h, lambda m, v: setattr(m, "h", v)
    ),
    "NumPy array": Holder(lambda n, k: n.data(np.array(k)), lambda m: m.h, _fill),
    "Variable of NumPy": Holder(
        lambda n, k: n.Param(np.asarray(k)),
        lambda m: m.h[...],
        lambda m, v: setattr(m.h, "value", v),
    ),
}
CONFIGURATION = {
    "dataclass": Holder(
        lambda n, k: n.static(Config(k)), lambda m: m.h.k, _set_attribute, False
    ),
    "static dict": Holder(
        lambda n, k: n.static({"k": k}), lambda m: m.h["k"], _set_item, False
    ),
    "closure": Holder(
        lambda n, k: _closure([k]),
        lambda m: m.h(),
        lambda m, v: m.h.__closure__[0].cell_contents.__setitem__(0, v),
        False,
    ),
    "metadata": Holder(
        lambda n, k: n.Param(jnp.ones(()), scales=[k]),
        lambda m: m.h.get_metadata("scales")[0],
        lambda m, v: m.h.get_metadata("scales").__setitem__(0, v),
        False,
    ),
}
HOLDERS = STATE | CONFIGURATION


def _closure(held: list) -> Callable[[], Any]:
    return lambda: held[0]


TRANSFORMS: dict[str, Callable[[Any, Any], Any]] = {
    "jit": lambda n, f: n.jit(f),
    "jit of jit": lambda n, f: n.jit(lambda m: n.jit(f)(m)),
    "jit of grad": lambda n, f: n.jit(
        lambda m: n.grad(lambda m: ((y := f(m)) * m.w[...], y), has_aux=True)(m)[1]
    ),
    "jit of remat": lambda n, f: n.jit(lambda m: n.remat(f)(m)),
    "jit of cond": lambda n, f: n.jit(lambda m: n.cond(True, f, f, m)),
    "jit of a list": lambda n, f: _of_a_list(n.jit(lambda models: f(models[0]))),
}


def _of_a_list(step: Any) -> Any:
    return lambda m: step([m])


HAPPENINGS = ("edited between calls", "edited by a thread", "written inside")
CELLS = [
    (holder, happening, transform)
    for holder, how in HOLDERS.items()
    for happening in HAPPENINGS
    if how.state or happening != "written inside"
    for transform in TRANSFORMS
]


def outcome(nnx: Any, cell: tuple[str, str, str]) -> str:
    """`right`, `raises`, `warns` or `silent`."""
    name, happening, transform = cell
    holder = HOLDERS[name]
    inside = happening == "written inside"
    number: Any = jnp.asarray(ONE) if holder.state else 1.0

    def body(m: Any) -> Any:
        if inside:
            holder.write(m, holder.read(m) * 2)
        return m.w[...] * holder.read(m)

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            model = _model(nnx, holder, number)
            step = TRANSFORMS[transform](nnx, body)
            first = float(step(model))
            if not inside:
                edit = lambda: holder.write(model, number * 3)  # noqa: E731
                _on_thread(edit) if "thread" in happening else edit()
            last, kept = float(step(model)), float(holder.read(model))
        except Exception:
            return "raises"
    expected = (2.0, 4.0, 4.0) if inside else (1.0, 3.0, 3.0)
    if (first, last, kept) == expected:
        return "right"
    return "warns" if told else "silent"


def _on_thread(edit: Callable[[], None]) -> None:
    with ThreadPoolExecutor(1) as threads:
        threads.submit(edit).result()


def _model(nnx: Any, holder: Holder, number: Any) -> Any:
    if nnx is Equinox:
        return Frozen(jnp.asarray(ONE), holder.make(nnx, number))

    class Model(nnx.Module):
        def __init__(self) -> None:
            self.w = nnx.Param(jnp.asarray(ONE))
            self.h = holder.make(nnx, number)

    return Model()


class Frozen(eqx.Module):
    """The model, as a module of equinox."""

    w: Any
    h: Any


class Equinox:
    """Equinox by the names that this table uses."""

    jit = staticmethod(eqx.filter_jit)
    grad = staticmethod(eqx.filter_grad)
    remat = staticmethod(eqx.filter_checkpoint)
    Dict = dict
    List = list

    @staticmethod
    def cond(predicate: Any, f: Any, g: Any, m: Any) -> Any:
        return jax.lax.cond(predicate, lambda: f(m), lambda: g(m))

    @staticmethod
    def data(value: Any) -> Any:
        return value

    static = data


ALONE = ("Variable of NumPy", "metadata")  # without a counterpart in equinox


# -- as a table

SIGNS = {"right": "✓", "raises": "!", "warns": "w", "silent": "✗"}


def table(outcomes: dict[tuple[str, str, str], str]) -> str:
    """A table in Markdown: a row for each holder, the transforms' signs in a cell."""
    lines = [f"| | {' | '.join(HAPPENINGS)} |", f"|---|{'---|' * len(HAPPENINGS)}"]
    for holder in dict.fromkeys(cell[0] for cell in outcomes):
        cells = []
        for happening in HAPPENINGS:
            keys = [(holder, happening, t) for t in TRANSFORMS]
            cells.append(" ".join(SIGNS[outcomes[k]] for k in keys if k in outcomes))
        lines.append(f"| {holder} | {' | '.join(cells)} |")
    return "\n".join(lines)
