"""Seldom combinations: NumPy on the left, values that are containers, marked lists."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax

from tests.parity.table import Table

TABLE = Table("seldom")
idiom, differs = TABLE.idiom, TABLE.differs
V = jnp.array([5, 6, 7])
N = np.array([1, 2, 3])


def vector(nnx):
    return nnx.Param(V)


# -- a NumPy array or number on the left of an operator

LEFT = {
    "plus": lambda a, v: a + v,
    "minus": lambda a, v: a - v,
    "matmul": lambda a, v: a @ v,
    "power": lambda a, v: a**v,
    "shift": lambda a, v: a << v,
    "equal": lambda a, v: a == v,
    "number": lambda a, v: np.float32(2) * v,
    "column": lambda a, v: a[:, None] + v,
}


def _left(compute):
    def program(nnx):
        result = compute(N, vector(nnx))
        return isinstance(result, jax.Array), result

    return program


TABLE.add_programs({f"numpy_left_{n}": _left(f) for n, f in LEFT.items()})


@idiom
def numpy_left_of_a_traced_variable(nnx):
    """A NumPy array times a Variable, in `jit` and under `grad`."""
    v, a = nnx.Param(jnp.ones(3)), np.arange(3, dtype=np.float32)
    return nnx.jit(lambda v: a * v)(v), nnx.grad(lambda v: a @ v)(v).get_value()


# -- values that are lists and dicts


@idiom
def edit_of_a_value_that_was_read(nnx):
    """A dict that `get_value` gives is the reader's own."""
    v = nnx.Variable({"a": 1, "b": {"c": 2}, "l": [3]})
    read = v.get_value()
    read.pop("a")
    read["b"]["c"] = 5
    read["l"].append(4)
    return v.get_value(), read


@idiom
def edit_below_an_item_that_was_read(nnx):
    """So is what stands at one of its keys."""
    v = nnx.Variable({"a": {"c": 2}})
    v["a"]["c"] = 5
    return v.get_value()


@idiom
def append_to_the_value(nnx):
    """`append` of a Variable of a list is that of the list."""
    v = nnx.Variable([1])
    v.append(2)
    return v.get_value(), len(v)


@idiom
def item_of_a_list_deleted(nnx):
    """`del v[0]` of a list."""
    v = nnx.Variable([1, 2, 3])
    del v[0]
    return v.get_value()


@idiom
def item_of_a_dict_deleted_twice(nnx):
    """`del v['a']` of a key that is not there."""
    v = nnx.Variable({"a": 1})
    del v["a"]
    del v["a"]


@idiom
def item_of_a_tuple_set(nnx):
    """Items of a tuple cannot be set."""
    nnx.Variable((1, 2))[0] = 3


@idiom
def value_of_a_dataclass(nnx):
    """A Variable of a registered dataclass: read, replaced in `jit`, attributes."""

    @functools.partial(
        jax.tree_util.register_dataclass, data_fields=["w"], meta_fields=["kind"]
    )
    @dataclasses.dataclass
    class Scaled:
        w: jax.Array
        kind: str

    def double(m):
        value = m["v"].get_value()
        m["v"].set_value(dataclasses.replace(value, w=value.w * 2))

    m = nnx.Dict(v=nnx.Param(Scaled(jnp.ones(2), "int8")))
    nnx.jit(double)(m)
    return m["v"].w, m["v"].kind, jax.tree.leaves(nnx.state(m))


@idiom
def default_without_a_name(nnx):
    """`get_metadata` with a default alone."""
    nnx.Param(1.0, tag="a").get_metadata(default=3)


@differs("rounds to a whole number as the array itself; flax keeps a float")
def round_without_digits(nnx):
    """`round` of a float without a number of digits."""
    return round(nnx.Param(jnp.array(2.7)))


@idiom
def variables_of_numbers_in_expressions(nnx):
    """A Variable of a Python number is one in most places."""
    v = nnx.Variable(6)
    return v & 3, 7 % v, 2**v, list(range(9))[v], hex(v), v.bit_length(), [1] * v


# -- lists and dicts marked as data


def marked(nnx):
    class Marked(nnx.Pytree):
        def __init__(self):
            self.a = nnx.data([jnp.ones(1), 2])
            self.b = nnx.data({"x": 1.0, "y": None})
            self.t = nnx.data((1, [2.0, {"z": 3.0}]))

    return Marked()


@idiom
def numbers_in_marked_containers_are_leaves(nnx):
    """JAX finds the numbers in lists and dicts that are marked as data."""
    node = marked(nnx)
    doubled = jax.tree.map(lambda x: x * 2, node)
    return jax.tree.leaves(node), doubled.a, doubled.b, doubled.t


@idiom
def gradient_of_numbers_in_a_marked_list(nnx):
    """`jax.grad` of an object whose list of numbers is data."""

    class Pair(nnx.Pytree):
        def __init__(self):
            self.a = nnx.data([2.0, 3.0])

    grads = jax.grad(lambda p: p.a[0] * p.a[1] ** 2)(Pair())
    return [float(g) for g in grads.a]


@idiom
def numbers_in_a_declared_list(nnx):
    """A class attribute declared as `Data` of a list of numbers."""

    class Counts(nnx.Pytree):
        x: nnx.Data[list]  # type: ignore

        def __init__(self):
            self.x = [0, 1]

    counts = Counts()
    counts.x[0] = 5
    return jax.tree.leaves(counts), jax.tree.map(lambda n: n + 1, counts).x


@idiom
def paths_in_marked_containers(nnx):
    """The key paths below lists and dicts that are marked."""
    pairs = jax.tree_util.tree_leaves_with_path(marked(nnx))
    return [jax.tree_util.keystr(path) for path, _ in pairs]


# -- public attributes

FILTERS = {
    "path_contains": lambda nnx: vars_of(nnx.PathContains("a"), "key", "exact"),
    "path_contains_part": lambda nnx: vars_of(
        nnx.PathContains(key="a", exact=False), "key", "exact"
    ),
    "of_type": lambda nnx: vars_of(nnx.OfType(nnx.Param), "type"),
    "with_tag": lambda nnx: vars_of(nnx.WithTag("a"), "tag"),
    "all": lambda nnx: [p.type for p in nnx.All(nnx.Param, nnx.Cache).predicates],
    "any": lambda nnx: isinstance(nnx.Any(nnx.Param).predicates, tuple),
    "not": lambda nnx: nnx.Not(nnx.Param).predicate.type,
}


def vars_of(obj, *names):
    return [getattr(obj, name) for name in names]


TABLE.add_programs({f"attributes_of_{name}": p for name, p in FILTERS.items()})


@idiom
def axes_of_a_set(nnx):
    """`StateAxes` of what is no pairs."""
    nnx.StateAxes({..., nnx.Param})


@idiom
def axes_as_a_mapping(nnx):
    """What `StateAxes` holds, read as from a mapping."""
    axes = nnx.StateAxes({nnx.Param: 0, ...: None})
    return list(axes), len(axes), axes[nnx.Param], list(axes.items()), axes.axes


@idiom
def stages_from_trace(nnx):
    """`trace(...).lower().compile()` is called with objects."""
    layer, x = nnx.Linear(2, 3, rngs=nnx.Rngs(0)), jnp.ones((1, 2))
    compiled = nnx.jit(lambda m, x: m(x)).trace(layer, x).lower().compile()
    return compiled(layer, x)


# -- a functional fit over a split model


@idiom
def fit_of_the_parameters_alone(nnx):
    """Types of parameters of one's own, transformed by type and fitted in a scan."""

    class Positive(nnx.Variable):
        pass

    class Model(nnx.Module):
        def __init__(self):
            self.scale = Positive(jnp.array(2.0))
            self.shift = nnx.Param(jnp.array(1.0))

    graphdef, params = nnx.split(Model())
    logs = jax.tree.map(
        lambda v: v.replace(jnp.log(v[...])) if isinstance(v, Positive) else v,
        params,
        is_leaf=lambda v: isinstance(v, nnx.Variable),
    )

    def loss(params):
        model = nnx.merge(graphdef, params)
        return (jnp.exp(model.scale[...]) * 3 + model.shift[...] - 1) ** 2

    tx = optax.sgd(0.01)

    def step(carry, _):
        params, slots = carry
        value, grads = jax.value_and_grad(loss)(params)
        updates, slots = tx.update(grads, slots, params)
        return (optax.apply_updates(params, updates), slots), value

    (fitted, _), values = jax.lax.scan(step, (logs, tx.init(logs)), jnp.arange(3))
    kinds = [type(v).__name__ for _, v in nnx.to_flat_state(fitted)]
    return nnx.to_pure_dict(fitted), kinds, values


# -- where `in_shardings` leave the state of an argument


def placed(nnx, wanted, step):
    auto = (jax.sharding.AxisType.Auto,)
    mesh = jax.make_mesh((2,), ("x",), axis_types=auto)
    rows = jax.sharding.NamedSharding(mesh, jax.P("x"))
    whole = jax.sharding.NamedSharding(mesh, jax.P())
    layer = nnx.Linear(2, 4, rngs=nnx.Rngs(0))
    by_path = {nnx.PathContains("kernel"): rows, ...: whole}
    given = {"one": rows, "by_filter": nnx.StateSharding(by_path)}[wanted]
    run = nnx.jit(step, in_shardings=(given,))
    run(layer)
    run(layer)
    return layer.kernel[...].sharding, layer.bias[...].sharding


def _add_to_bias(layer):
    layer.bias[...] += 1
    return layer.kernel.sum()


PLACED = {
    f"state_in_place_{wanted}_{how}": functools.partial(
        placed, wanted=wanted, step=step
    )
    for wanted in ("one", "by_filter")
    for how, step in {"unread": lambda layer: None, "written": _add_to_bias}.items()
}
TABLE.add_programs(PLACED)


# -- classes of modules that override what objects do


@idiom
def metaclass_of_modules(nnx):
    """A metaclass below `module.ModuleMeta` hooks into making class and object."""

    class Hooking(nnx.module.ModuleMeta):
        def __new__(cls, name, bases, namespace):
            made = super().__new__(cls, name, bases, namespace)
            made.made = name
            return made

        def __call__(self, *args, **kwargs):
            obj = super().__call__(*args, **kwargs)
            obj.built = True
            return obj

    class Base(nnx.Module, metaclass=Hooking):
        def __init__(self, size):
            self.w = nnx.Param(jnp.ones(size))

    class Model(Base):
        pass

    model = nnx.jit(lambda m: m)(nnx.clone(Model(2)))
    known = isinstance(Model, nnx.pytreelib.PytreeMeta)
    return model.made, model.built, known, nnx.to_pure_dict(nnx.state(model))


@idiom
def modules_that_are_equal(nnx):
    """Two modules that are equal by their own `__eq__` stay two."""

    class Unit(nnx.Module):
        def __init__(self):
            self.w = nnx.Param(jnp.ones(1))

        def __eq__(self, other):
            return type(self) is type(other)

        def __hash__(self):
            return 0

    both = nnx.Dict(a=Unit(), b=Unit())
    again = nnx.clone(both)
    same = nnx.jit(lambda m: m["a"] is m["b"])(both)
    return again["a"] is again["b"], bool(same), len(nnx.to_flat_state(nnx.state(both)))


@idiom
def module_that_is_false_and_empty(nnx):
    """A module with `__bool__`, `__len__` and `__iter__` of its own is a module."""

    class Empty(nnx.Module):
        def __init__(self):
            self.w = nnx.Param(jnp.ones(1))

        def __bool__(self):
            return False

        def __len__(self):
            return 0

        def __iter__(self):
            return iter(())

    model = nnx.Dict(e=Empty(), l=nnx.List([Empty()]))
    out = nnx.jit(lambda m: m["e"].w + m["l"][0].w)(model)
    grads = nnx.grad(lambda m: m["e"].w.sum())(model)
    return out, nnx.to_pure_dict(grads), len(list(nnx.iter_modules(model)))


@idiom
def attributes_by_getattr(nnx):
    """A module that passes attributes on to one that it holds."""

    class Wrap(nnx.Module):
        def __init__(self):
            self.inner = nnx.Linear(1, 2, rngs=nnx.Rngs(0))

        def __getattr__(self, name):
            if name.startswith("_"):
                raise AttributeError(name)
            return getattr(self.__dict__["inner"], name)

    wrap = nnx.clone(Wrap())
    paths = [path for path, _ in nnx.to_flat_state(nnx.state(wrap))]
    return wrap.kernel.shape, paths, nnx.jit(lambda m: m.bias[...])(wrap)


# -- structure that changes in a compiled function


@idiom
def tied_and_untied_in_jit(nnx):
    """A Variable is tied to another in one call, and replaced in the next."""
    m = nnx.Dict(a=nnx.Param(jnp.array(1.0)), b=nnx.Param(jnp.array(2.0)))

    def tie(m):
        m["b"] = m["a"]

    def untie(m):
        m["b"] = nnx.Param(m["a"][...] + 1)

    nnx.jit(tie)(m)
    tied = m["a"] is m["b"]
    nnx.jit(untie)(m)
    return tied, m["a"] is m["b"], m["b"][...]


@idiom
def swapped_in_jit(nnx):
    """Two Variables change places, and a list moves into a dict."""
    m = nnx.Dict(a=nnx.Param(1.0), b=nnx.Param(2.0), l=nnx.List([nnx.Param(3.0)]))
    a, b = m["a"], m["b"]

    def swap(m):
        m["a"], m["b"] = m["b"], m["a"]
        m["l"].append(m["a"])
        m["c"] = nnx.Dict(q=m["l"])
        del m["l"]

    nnx.jit(swap)(m)
    inside = m["c"]["q"]
    return m["a"] is b, m["b"] is a, len(inside), inside[1] is b, "l" in m


@idiom
def trainer_as_one_object(nnx):
    """A module that holds a model, its optimizer and a metric, stepped in `jit`."""

    class Trainer(nnx.Module):
        def __init__(self):
            self.model = nnx.Linear(2, 1, rngs=nnx.Rngs(0))
            self.opt = nnx.Optimizer(self.model, optax.adam(0.1), wrt=nnx.Param)
            self.mean = nnx.metrics.Average()

        def step(self, x):
            loss, grads = nnx.value_and_grad(lambda m: (m(x) ** 2).mean())(self.model)
            self.opt.update(self.model, grads)
            self.mean.update(values=loss)
            return loss

    trainer, step = Trainer(), nnx.jit(Trainer.step)
    losses = [step(trainer, jnp.ones((3, 2))) for _ in range(3)]
    return losses, nnx.clone(trainer).mean.compute(), trainer.opt.step[...]


@idiom
def average_kept_as_a_state(nnx):
    """A State as an attribute, replaced in `jit` by one that `tree.map` makes."""

    class Model(nnx.Module):
        def __init__(self):
            self.layer = nnx.Linear(1, 1, rngs=nnx.Rngs(0))
            self.mean = nnx.data(nnx.clone(nnx.state(self.layer)))

        def average(self):
            state = nnx.state(self.layer)
            self.mean = jax.tree.map(lambda m, p: 0.5 * m + p, self.mean, state)

    model = Model()
    nnx.jit(Model.average)(model)
    return nnx.to_pure_dict(model.mean), type(nnx.clone(model).mean).__name__
