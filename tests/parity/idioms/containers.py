"""Containers, data and static attributes, sown and captured values, views."""

import dataclasses

import jax
import jax.numpy as jnp

from tests.parity.models import make_mlp, make_sower, paths
from tests.parity.table import Table

TABLE = Table("containers")
idiom, differs = TABLE.idiom, TABLE.differs


@idiom
def plain_values_are_static(nnx):
    """Numbers, strings and tuples of them are no state."""

    class Config(nnx.Module):
        def __init__(self):
            self.n, self.s, self.t, self.b = 3, "a", (1, 2), True
            self.w = nnx.Param(jnp.ones(2))

    return paths(nnx, Config())


@idiom
def array_attributes_are_data(nnx):
    """An array attribute is state without a Variable."""

    class Holder(nnx.Module):
        def __init__(self):
            self.table = jnp.arange(3.0)
            self.w = nnx.Param(jnp.ones(2))

    state = nnx.state(Holder())
    return paths(nnx, Holder()), state["table"]


@differs("plain lists hold data here; flax wants `nnx.List` or `nnx.data`")
def plain_list_of_layers(nnx):
    """A plain list of layers as an attribute."""

    class Stack(nnx.Module):
        def __init__(self):
            self.layers = [nnx.Linear(1, 1, rngs=nnx.Rngs(0)) for _ in range(2)]

    return paths(nnx, Stack())


@differs("plain dicts hold data here; flax wants `nnx.Dict` or `nnx.data`")
def plain_dict_of_params(nnx):
    """A plain dict of Params as an attribute."""

    class Holder(nnx.Module):
        def __init__(self):
            self.weights = {"a": nnx.Param(jnp.ones(2))}

    return paths(nnx, Holder())


@idiom
def tuple_of_layers_by_data(nnx):
    """`nnx.data` marks a tuple of layers as data."""

    class Stack(nnx.Module):
        def __init__(self):
            self.pair = nnx.data((nnx.Param(1.0), nnx.Param(2.0)))

    return paths(nnx, Stack())


@idiom
def list_by_data(nnx):
    """`nnx.data` marks a list as data, and a number too."""

    class Holder(nnx.Module):
        def __init__(self):
            self.items = nnx.data([nnx.Param(1.0), jnp.ones(2)])
            self.count = nnx.data(3)

    return paths(nnx, Holder())


@idiom
def static_wrapper(nnx):
    """`nnx.static` keeps an attribute out of the state."""

    class Holder(nnx.Module):
        def __init__(self):
            self.names = nnx.static(["a", "b"])
            self.w = nnx.Param(1.0)

    m = Holder()
    return paths(nnx, m), list(m.names)


@idiom
def data_class_annotations(nnx):
    """`nnx.Data[...]` and `nnx.Static[...]` annotations, in a Pytree."""

    class Holder(nnx.Pytree):
        items: nnx.Data[list]  # type: ignore
        names: nnx.Static[tuple]  # type: ignore

        def __init__(self):
            self.items = [jnp.ones(2), jnp.zeros(1)]
            self.names = ("a", "b")

    return [x.shape for x in jax.tree.leaves(Holder())]


@idiom
def nnx_dataclass(nnx):
    """`nnx.dataclass` with `nnx.data` and `nnx.static` fields."""

    @nnx.dataclass
    class Point(nnx.Pytree):
        x: jax.Array
        items: list = nnx.data(default_factory=list)
        name: str = nnx.static(default="p")

    p = Point(jnp.ones(2), [jnp.zeros(3)])
    return [leaf.shape for leaf in jax.tree.leaves(p)], p.name


@idiom
def register_data_type(nnx):
    """A registered type is data."""

    @dataclasses.dataclass(frozen=True)
    class Special:
        n: int

    before = nnx.is_data(Special(1))
    nnx.register_data_type(Special)
    return before, nnx.is_data(Special(1))


@idiom
def is_data_by_kind(nnx):
    """What counts as data."""
    values = [1, 2.0, "a", None, jnp.ones(1), nnx.Param(1.0), nnx.Rngs(0), len]
    return [nnx.is_data(v) for v in values], nnx.is_data(nnx.List([]))


@idiom
def has_data_looks_inside(nnx):
    """`has_data` looks into containers."""
    return bool(nnx.has_data([1, {"a": jnp.ones(2)}])), bool(nnx.has_data((1, "a")))


@idiom
def list_behaves_like_a_list(nnx):
    """`nnx.List` has the methods of a list."""
    items = nnx.List([nnx.Param(float(i)) for i in range(3)])
    items.append(nnx.Param(3.0))
    items.insert(0, nnx.Param(-1.0))
    last = items.pop()
    items.extend([nnx.Param(8.0)])
    del items[1]
    return (
        len(items),
        [p.value for p in items],
        last.value,
        [p.value for p in items[1:]],
    )


@idiom
def list_paths(nnx):
    """The paths of a List are integers."""
    m = nnx.Dict(layers=nnx.List([nnx.Param(float(i)) for i in range(3)]))
    return [path for path, _ in nnx.to_flat_state(nnx.state(m))]


@idiom
def list_of_numbers(nnx):
    """A List may mix Params and static values."""
    items = nnx.List([1, "a", nnx.Param(2.0)])
    return len(items), items[0], items[1], paths(nnx, items)


@idiom
def list_assignment(nnx):
    """Items of a List are replaced."""
    items = nnx.List([nnx.Param(1.0), nnx.Param(2.0)])
    items[0] = nnx.Param(5.0)
    return [p.value for p in items], items[-1].value


@idiom
def dict_behaves_like_a_dict(nnx):
    """`nnx.Dict` has items, attributes and iteration."""
    d = nnx.Dict({"a": nnx.Param(1.0)}, b=nnx.Param(2.0))
    d["c"] = nnx.Param(3.0)
    return sorted(d), len(d), d.a.value, d["b"].value, "c" in d


@idiom
def dict_methods(nnx):
    """`keys`, `values`, `items` and `get` of a Dict."""
    d = nnx.Dict(a=nnx.Param(1.0), b=nnx.Param(2.0))
    values = [v.value for v in d.values()]
    return list(d.keys()), values, [k for k, _ in d.items()], d.get("no") is None


@idiom
def dict_of_a_missing_key(nnx):
    """A missing key of a Dict."""
    return nnx.Dict(a=1)["b"]


@idiom
def sequential_takes_functions(nnx):
    """`nnx.Sequential` mixes layers and functions."""
    rngs = nnx.Rngs(0)
    seq = nnx.Sequential(
        nnx.Linear(2, 3, rngs=rngs), nnx.relu, nnx.Linear(3, 1, rngs=rngs)
    )
    return seq(jnp.ones((2, 2))), paths(nnx, seq), len(seq.layers)


@idiom
def sequential_passes_tuples(nnx):
    """A tuple between the parts of a Sequential is its arguments."""
    return nnx.Sequential(lambda x: (x, x + 1), lambda a, b: a * b)(jnp.ones(2))


@idiom
def sow_collects_a_tuple(nnx):
    """`sow` collects in a tuple, call by call."""
    model = make_sower(nnx)
    model(jnp.ones(2))
    model(jnp.zeros(2))
    return model.seen.value, paths(nnx, model)


@idiom
def sow_with_reduce(nnx):
    """`sow` takes a way to reduce."""

    class Model(nnx.Module):
        def __call__(self, x):
            self.sow(
                nnx.Intermediate, "total", x, reduce_fn=lambda a, b: a + b,
                init_fn=lambda: jnp.zeros(2),
            )  # fmt: skip
            return x

    model = Model()
    model(jnp.ones(2))
    model(jnp.ones(2))
    return model.total.value


@idiom
def sow_then_pop(nnx):
    """`pop` takes the sown values away."""
    model = make_sower(nnx)
    model(jnp.ones(2))
    popped = nnx.pop(model, nnx.Intermediate)
    return popped["seen"].value, hasattr(model, "seen")


@idiom
def hooks_of_views(nnx):
    """`nnx.view` gives a view with other flags on the same Variables."""
    model = make_mlp(nnx)
    shown = nnx.view(model, deterministic=True, use_running_average=True)
    same = shown.first.kernel is model.first.kernel
    return same, shown.dropout.deterministic, model.dropout.deterministic


@idiom
def view_info_lists_options(nnx):
    """`nnx.view_info` names what can be set."""
    return "deterministic" in nnx.view_info(make_mlp(nnx))


@idiom
def with_attributes_copies(nnx):
    """`nnx.with_attributes` gives a copy with other attributes."""
    model = make_mlp(nnx)
    other = nnx.with_attributes(model, deterministic=True, use_running_average=True)
    return model.dropout.deterministic, other.dropout.deterministic


@idiom
def perturb_adds_a_variable(nnx):
    """`perturb` adds a Perturbation of zeros."""

    class Model(nnx.Module):
        def __call__(self, x):
            return self.perturb("tap", x * 2)

    model = Model()
    out = model(jnp.ones(2))
    return out, model.tap.value


@idiom
def capture_of_sown_values(nnx):
    """`nnx.capture` gives what was sown, and leaves the model."""
    model = make_sower(nnx, more=1)
    out, seen = nnx.capture(model, nnx.Intermediate)(jnp.ones(2))
    return out, nnx.to_pure_dict(seen), hasattr(model, "seen")


@idiom
def capture_of_method_outputs(nnx):
    """`capture(method_outputs=...)` records the output of each call."""
    rngs = nnx.Rngs(0)
    seq = nnx.Sequential(nnx.Linear(2, 3, rngs=rngs), nnx.Linear(3, 1, rngs=rngs))
    run = nnx.capture(seq, nnx.Intermediate, method_outputs=nnx.Intermediate)
    _, seen = run(jnp.ones((1, 2)))
    return sorted(map(str, nnx.to_flat_state(seen).paths))


@idiom
def recursive_map_replaces(nnx):
    """`recursive_map` rebuilds a model node by node."""
    model = nnx.Sequential(nnx.Dropout(0.1), nnx.Dropout(0.2))

    def double(path, node):
        if isinstance(node, nnx.Dropout):
            return nnx.Dropout(node.rate * 2)
        return node

    return [layer.rate for layer in nnx.recursive_map(double, model).layers]
