"""Modules, containers and attributes: programs written for flax.nnx run alike."""

import abc
import copy
import dataclasses
import pickle
from typing import Any, Generic, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oakum
from tests.peer import arange, assert_same, kinds, make_block, make_net

pytestmark = pytest.mark.peer
T = TypeVar("T")


def modes(nnx, act):
    net = make_net(nnx)
    act(net)
    blocks = [*net.layers, net.heads.a, net.heads.b]
    return net.deterministic, [b.deterministic for b in blocks]


def sown(nnx, *args, times=2, **kwargs):
    block = make_block(nnx)
    results = [block.sow(*args, jnp.float32(i), **kwargs) for i in range(times)]
    return results, block, nnx.pop(block, nnx.Intermediate), block


def perturbed(nnx, *args, **kwargs):
    block = make_block(nnx)
    first = block.perturb("hidden", arange(2), **kwargs)
    block.hidden[...] += 1
    return first, block.perturb("hidden", arange(2), **kwargs), block


METHODS = {
    "train:all": lambda nnx: modes(nnx, lambda net: (net.eval(), net.train())),
    "eval:all": lambda nnx: modes(nnx, lambda net: net.eval()),
    "eval:more": lambda nnx: modes(nnx, lambda net: net.eval(name="other")),
    "set_attributes:all": lambda nnx: modes(
        nnx, lambda net: net.set_attributes(deterministic=True)
    ),
    "set_attributes:filter": lambda nnx: modes(
        nnx, lambda net: net.set_attributes(nnx.PathContains("a"), deterministic=True)
    ),
    "set_attributes:unknown": lambda nnx: make_net(nnx).set_attributes(nope=1),
    "set_attributes:unknown-allowed": lambda nnx: make_net(nnx).set_attributes(
        nope=1, raise_if_not_found=False
    ),
    "sow:default": lambda nnx: sown(nnx, nnx.Intermediate, "seen"),
    "sow:sum": lambda nnx: sown(
        nnx,
        nnx.Intermediate,
        "seen",
        reduce_fn=lambda a, b: a + b,
        init_fn=lambda: jnp.float32(10),
    ),
    "sow:name-of-a-type": lambda nnx: sown(nnx, "intermediates", "seen"),
    "sow:other-type": lambda nnx: sown(nnx, nnx.Intermediate, "mean"),
    "sow:static-attribute": lambda nnx: sown(nnx, nnx.Intermediate, "features"),
    "perturb:default": lambda nnx: perturbed(nnx),
    "perturb:type": lambda nnx: perturbed(nnx, variable_type=nnx.Intermediate),
    "perturb:other-type": lambda nnx: make_block(nnx).perturb("mean", arange(3)),
    "perturb:name-of-a-type": lambda nnx: perturbed(nnx, variable_type="perturbations"),
    "iter_modules:method": lambda nnx: kinds(nnx, make_block(nnx).iter_modules()),
    "iter_children:method": lambda nnx: list(make_block(nnx).iter_children()),
    "pickle:graph-kept": lambda nnx: (
        (n := pickle.loads(pickle.dumps(nnx.List([v := nnx.Param(arange(2)), v]))))[0]
        is n[1]
    ),
    "deepcopy:module": lambda nnx: nnx.to_pure_dict(
        nnx.state(copy.copy(make_net(nnx)))
    ),
}


@pytest.mark.parametrize("case", METHODS.values(), ids=METHODS)
def test_module_method_does_as_in_flax(case):
    assert_same(case)


def listed(nnx, *edits):
    items = nnx.List([make_block(nnx), 2, arange(1)])
    results = [edit(items) for edit in edits]
    return results, items


def keyed(nnx, *edits):
    items = nnx.Dict(b=make_block(nnx), a=2)
    results = [edit(items) for edit in edits]
    return results, items, nnx.state(items)


def set_item(key, value):
    return lambda items: items.__setitem__(key, value)


CONTAINERS = {
    "List:empty": lambda nnx: (len(nnx.List()), list(nnx.List([]))),
    "List:iterator": lambda nnx: list(nnx.List(iter([1, 2]))),
    "List:append": lambda nnx: listed(nnx, lambda x: x.append(nnx.Param(arange(1)))),
    "List:insert": lambda nnx: listed(nnx, lambda x: x.insert(1, "new")),
    "List:insert-negative": lambda nnx: listed(nnx, lambda x: x.insert(-1, "new")),
    "List:extend": lambda nnx: listed(nnx, lambda x: x.extend([5, 6])),
    "List:item": lambda nnx: listed(nnx, lambda x: (x[1], x[-1])),
    "List:slice": lambda nnx: listed(nnx, lambda x: list(x[1:])),
    "List:set": lambda nnx: listed(nnx, set_item(0, 7), set_item(-1, 8)),
    "List:set-slice": lambda nnx: listed(nnx, set_item(slice(0, 2), [7, 8])),
    "List:delete": lambda nnx: listed(nnx, lambda x: x.__delitem__(1)),
    "List:pop": lambda nnx: listed(nnx, lambda x: x.pop(), lambda x: x.pop(0)),
    "List:out-of-range": lambda nnx: listed(nnx, lambda x: x[9]),
    "List:clear": lambda nnx: listed(nnx, lambda x: x.clear()),
    "List:reverse": lambda nnx: listed(nnx, lambda x: x.reverse()),
    "List:len-contains": lambda nnx: listed(nnx, len, lambda x: 2 in x[1:2]),
    "List:nested": lambda nnx: nnx.state(nnx.List([nnx.List([nnx.Param(arange(1))])])),
    "List:many-in-order": lambda nnx: nnx.to_flat_state(
        nnx.state(nnx.List([nnx.Param(jnp.float32(i)) for i in range(12)]))
    ),
    "List:train": lambda nnx: listed(nnx, lambda x: x.eval()),
    "Dict:mapping": lambda nnx: nnx.Dict({"a": 1, "b": arange(1)}),
    "Dict:pairs": lambda nnx: nnx.Dict([("a", 1)]),
    "Dict:item": lambda nnx: keyed(nnx, lambda x: x["a"], lambda x: x.a),
    "Dict:missing": lambda nnx: keyed(nnx, lambda x: x["c"]),
    "Dict:missing-attribute": lambda nnx: keyed(nnx, lambda x: x.c),
    "Dict:get": lambda nnx: keyed(nnx, lambda x: x.get("c", 4), lambda x: x.get("a")),
    "Dict:set": lambda nnx: keyed(nnx, set_item("c", nnx.Param(arange(1)))),
    "Dict:set-attribute": lambda nnx: keyed(nnx, lambda x: setattr(x, "c", 3)),
    "Dict:delete": lambda nnx: keyed(nnx, lambda x: x.__delitem__("a")),
    "Dict:delete-attribute": lambda nnx: keyed(nnx, lambda x: delattr(x, "a")),
    "Dict:delete-missing": lambda nnx: keyed(nnx, lambda x: x.__delitem__("c")),
    "Dict:pop": lambda nnx: keyed(nnx, lambda x: x.pop("a"), lambda x: x.pop("q", 0)),
    "Dict:update": lambda nnx: keyed(nnx, lambda x: x.update(a=5, z=nnx.Cache(1.0))),
    "Dict:keys": lambda nnx: keyed(nnx, lambda x: sorted(x), len, lambda x: "a" in x),
    "Dict:setdefault": lambda nnx: keyed(nnx, lambda x: x.setdefault("c", 9)),
    "List:data": lambda nnx: listed(
        nnx,
        lambda x: x.append(nnx.data(2.0)),
        lambda x: nnx.state(x, lambda path, value: path == (3,)),
    ),
    "Dict:data": lambda nnx: keyed(
        nnx,
        set_item("c", nnx.data(2.0)),
        lambda x: nnx.state(x, lambda p, v: p == ("c",)),
    ),
    "Sequential:state": lambda nnx: nnx.state(
        nnx.Sequential(nnx.Linear(2, 3, rngs=nnx.Rngs(0)), jnp.sin)
    ),
}


@pytest.mark.parametrize("case", CONTAINERS.values(), ids=CONTAINERS)
def test_container_does_as_in_flax(case):
    assert_same(case)


def attributes(nnx, **given):
    class Holder(nnx.Module):
        def __init__(self):
            for name, value in given.items():
                setattr(self, name, value)

    holder = Holder()
    return nnx.state(holder), jax.tree.leaves(holder), holder


@dataclasses.dataclass(frozen=True)
class Leaf:
    value: int


def dataclass_fields(nnx):
    @nnx.dataclass
    class Point(nnx.Pytree):
        x: Any = nnx.data()
        y: Any = nnx.data(default=2.0)
        name: str = nnx.static(default="p")
        plain: int = 3

    point = Point(1.0)
    return jax.tree.leaves(point), point, jax.tree.leaves(Point(arange(1), y=4.0))


def dataclass_module(nnx):
    @dataclasses.dataclass
    class Layer(nnx.Module):
        features: int
        rngs: dataclasses.InitVar[Any]
        scale: float = 2.0

        def __post_init__(self, rngs):
            self.w = nnx.Param(rngs.params.normal((self.features,)) * self.scale)

    layer = Layer(3, rngs=nnx.Rngs(0))
    return layer, nnx.state(layer)


def dataclass_factory(nnx):
    @nnx.dataclass
    class Box(nnx.Module):
        items: Any = nnx.data(default_factory=lambda: nnx.List([nnx.Param(arange(1))]))
        tags: tuple = nnx.static(default=("a",), kw_only=True)

    return Box(), jax.tree.leaves(Box(tags=("b",))), nnx.state(Box())


def dataclass_options(nnx):
    @nnx.dataclass(kw_only=True, order=True)
    class Cell(nnx.Pytree):
        size: int = 1

    return Cell(size=1) < Cell(size=2), Cell(size=1) == Cell(size=1)


def dataclass_inherits(nnx):
    @nnx.dataclass
    class Base(nnx.Pytree):
        a: Any = nnx.data(default=1.0)

    @nnx.dataclass
    class Derived(Base):
        b: Any = nnx.data(default=2.0)

    return jax.tree.leaves(Derived()), Derived(a=3.0)


ATTRIBUTES = {
    "data:number": lambda nnx: attributes(nnx, x=nnx.data(3.0), y=4.0),
    "data:text": lambda nnx: attributes(nnx, x=nnx.data((1.0, arange(1)))),
    "data:pytree": lambda nnx: attributes(nnx, x=nnx.data({"a": arange(1)})),
    "static:tuple": lambda nnx: attributes(nnx, x=nnx.static((1, 2)), y=(3, 4)),
    "static:none": lambda nnx: attributes(nnx, x=None, y="text", z=abs),
    "data:field-and-value": lambda nnx: nnx.data(1, default=2),
    "static:field-and-value": lambda nnx: nnx.static(1, default=2),
    "is_data:array": lambda nnx: nnx.is_data(arange(1)),
    "is_data:numpy": lambda nnx: nnx.is_data(np.ones(1)),
    "is_data:number": lambda nnx: [
        nnx.is_data(x) for x in (1, 1.0, "a", None, abs, np.float32(1), np.int64(1))
    ],
    "is_data:objects": lambda nnx: [
        nnx.is_data(x) for x in (nnx.Param(1.0), make_block(nnx), nnx.Rngs(0))
    ],
    "has_data:truth": lambda nnx: [
        bool(nnx.has_data(x)) for x in ([arange(1)], (1, 2), {"a": nnx.Param(1.0)}, 3)
    ],
    "check_pytree:good": lambda nnx: nnx.check_pytree(make_block(nnx)),
    "check_pytree:not-a-node": lambda nnx: nnx.check_pytree(3),
    "dataclass:fields": dataclass_fields,
    "dataclass:module": dataclass_module,
    "dataclass:factory": dataclass_factory,
    "dataclass:options": dataclass_options,
    "dataclass:inherits": dataclass_inherits,
}


@pytest.mark.parametrize("case", ATTRIBUTES.values(), ids=ATTRIBUTES)
def test_attribute_does_as_in_flax(case):
    assert_same(case)


def super_last(nnx):
    class Base(nnx.Module):
        def __init__(self):
            self.inner = nnx.Param(arange(1))

    class Late(Base):
        def __init__(self):
            self.own = nnx.Param(arange(2))
            super().__init__()
            self.after = 3

    return Late(), nnx.state(Late())


def generic(nnx):
    class Box(nnx.Module, Generic[T]):
        def __init__(self, item: T):
            self.item = item

    class IntBox(Box[int]):
        pass

    return nnx.state(Box[jax.Array](arange(2))), IntBox(3)


def abstract(nnx):
    class Shape(nnx.Module, abc.ABC):
        @abc.abstractmethod
        def area(self): ...

    class Square(Shape):
        def __init__(self):
            self.side = nnx.Param(arange(1))

        def area(self):
            return self.side[...] ** 2

    return Square().area(), Shape()  # type: ignore[abstract]


def with_property(nnx):
    class Celsius(nnx.Module):
        def __init__(self):
            self.kelvin = nnx.Param(jnp.float32(300))

        @property
        def degrees(self):
            return self.kelvin[...] - 273

        @degrees.setter
        def degrees(self, value):
            self.kelvin[...] = jnp.float32(value + 273)

    module = Celsius()
    module.degrees = 10
    return module.degrees, module, nnx.state(module)


def class_attribute(nnx):
    class Layer(nnx.Module):
        width = 4
        kind = nnx.Param

        def __init__(self):
            self.w = self.kind(arange(self.width))

    return Layer(), Layer().width, nnx.graphdef(Layer()) == nnx.graphdef(Layer())


def own_setattr(nnx):
    class Counting(nnx.Module):
        def __setattr__(self, name, value):
            object.__setattr__(self, "seen", [*getattr(self, "seen", []), name])
            super().__setattr__(name, value)

        def __init__(self):
            self.a = nnx.Param(arange(1))
            self.b = 2

    module = Counting()
    names, module.seen = list(module.seen), None
    return names, nnx.state(module)


def own_getattr(nnx):
    class Proxy(nnx.Module):
        def __init__(self, inner):
            self.inner = inner

        def __getattr__(self, name):
            if name.startswith("_") or name == "inner":
                raise AttributeError(name)
            return getattr(self.inner, name)

    return Proxy(make_block(nnx)).features, nnx.state(Proxy(make_block(nnx)))


def own_eq(nnx):
    class Sized(nnx.Module):
        def __init__(self, size):
            self.size = size
            self.w = nnx.Param(arange(2))

        def __eq__(self, other):
            return self.size == other.size

        def __hash__(self):
            return hash(self.size)

    pair = nnx.List([Sized(1), Sized(1)])
    return nnx.state(pair), nnx.find_duplicates(pair), nnx.clone(pair)[0] == pair[0]


def reassigned(nnx):
    block = make_block(nnx)
    block.kernel = nnx.Param(arange(1))
    block.mean = None
    block.added = nnx.Cache(arange(2))
    del block.features
    return block, nnx.state(block)


def call_in_init(nnx):
    class Model(nnx.Module):
        def __init__(self, rngs):
            self.layers = nnx.List([nnx.Linear(2, 2, rngs=rngs) for _ in range(2)])
            self.out = self(jnp.ones((1, 2))).shape

        def __call__(self, x):
            for layer in self.layers:
                x = layer(x)
            return x

    return nnx.state(Model(nnx.Rngs(0)))


def class_arguments(nnx):
    class Base(nnx.Module):
        def __init_subclass__(cls, tag=None, **kwargs):
            super().__init_subclass__(**kwargs)
            cls.tag = tag

    class Derived(Base, tag="t"):
        pass

    return Derived().tag


def hashable(nnx):
    block = make_block(nnx)
    return {block: 1}[block], block == block, block == make_block(nnx)


PROGRAMS = {
    f.__name__: f
    for f in (
        *(super_last, generic, abstract, with_property, class_attribute, own_setattr),
        *(own_getattr, own_eq, reassigned, call_in_init, class_arguments, hashable),
    )
}


@pytest.mark.parametrize("case", PROGRAMS.values(), ids=PROGRAMS)
def test_program_runs_as_in_flax(case):
    assert_same(case)


def test_list_items_are_data_by_what_they_are():
    """Flax remembers per position what stood there before an edit."""
    items = oakum.List([make_block(oakum), 2, arange(1)])
    items.insert(0, "first")
    del items[1]
    assert oakum.to_flat_state(oakum.state(items)).paths == ((2,),)


def test_plain_containers_hold_state_and_stay_what_they_are():
    """Flax raises on a plain list or dict that holds state."""

    class Model(oakum.Module):
        def __init__(self):
            self.blocks = [make_block(oakum), (make_block(oakum),)]
            self.named = {"x": oakum.Param(arange(1)), "deep": [{"y": arange(2)}]}

    model = Model()
    assert type(model.blocks) is list
    assert type(model.named) is type(model.named["deep"][0]) is dict
    assert ("named", "deep", 0, "y") in oakum.to_flat_state(oakum.state(model)).paths
