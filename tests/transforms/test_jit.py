"""jit: its parameters, what it takes and returns, and structure that changes inside."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oakum as nnx
from oakum.errors import ArgumentError
from tests.models import Pair, snapshot


def double(model, x):
    model.a.value = model.a.value * 2
    return model.a.value * x


def jit_forms() -> dict[str, Any]:
    @nnx.jit
    def bare(model, x):
        return double(model, x)

    @nnx.jit()
    def called(model, x):
        return double(model, x)

    @nnx.jit(donate=False)
    def with_option(model, x):
        return double(model, x)

    @functools.partial(nnx.jit, inline=True)
    def by_partial(model, x):
        return double(model, x)

    device = jax.devices()[0]
    sharding = jax.sharding.SingleDeviceSharding(device)
    return {
        "function": nnx.jit(double),
        "decorator": bare,
        "decorator_called": called,
        "decorator_option": with_option,
        "partial": by_partial,
        "keep_unused": nnx.jit(double, keep_unused=True),
        "inline": nnx.jit(double, inline=True),
        "donate_argnums": nnx.jit(double, donate_argnums=0),
        "donate_argnames": nnx.jit(double, donate_argnames="model"),
        "in_shardings": nnx.jit(double, in_shardings=sharding),
        "in_shardings_each": nnx.jit(double, in_shardings=(sharding, None)),
        "out_shardings": nnx.jit(double, out_shardings=sharding),
        "lambda": nnx.jit(lambda model, x: double(model, x)),
        "functools_partial": nnx.jit(functools.partial(double)),
        "of_jitted": nnx.jit(nnx.jit(double)),
    }


@pytest.mark.parametrize("form", jit_forms())
def test_every_form_updates_and_returns(form):
    jitted, model = jit_forms()[form], Pair()
    results = [jitted(model, jnp.ones(3)) for _ in range(3)]
    assert [float(r[0]) for r in results] == [2.0, 4.0, 8.0]
    assert model.a.value.tolist() == [8.0] * 3


def test_jitted_function_keeps_its_name_and_doc():
    def step(model):
        """Steps."""

    jitted = nnx.jit(step)
    assert (jitted.__name__, jitted.__doc__) == ("step", "Steps.")
    assert jitted.__wrapped__ is step


# -- methods


class Trained(nnx.Module):
    @nnx.jit
    def __init__(self, width: int, rngs: nnx.Rngs):
        self.kernel = nnx.Param(jax.random.normal(rngs.params(), (3,)) * width)
        self.parts = [nnx.Param(jnp.zeros(2))]

    @nnx.jit
    def step(self, by):
        self.kernel.value = self.kernel.value + by
        return self.kernel.value.sum()

    @nnx.jit(static_argnames="times")
    def repeat(self, x, times=2):
        return x * times

    @nnx.jit
    def __call__(self, x):
        return x * self.kernel


def test_jitted_init_builds_the_object():
    rngs = nnx.Rngs(0)
    model = Trained(1, rngs)
    expected = jax.random.normal(nnx.Rngs(0).params(), (3,))
    np.testing.assert_array_equal(model.kernel.value, expected)
    assert type(model.parts) is list
    assert int(rngs.default.count.value) == 1


def test_jitted_methods_update_self():
    model = Trained(0, nnx.Rngs(0))
    assert [float(model.step(1.0)), float(model.step(1.0))] == [3.0, 6.0]
    assert model(jnp.ones(3)).tolist() == [2.0] * 3
    assert float(model.repeat(jnp.ones(()), times=5)) == 5.0


def test_bound_method_reads_its_object_fresh():
    model = Pair()
    jitted = nnx.jit(model.__call__)
    assert jitted(jnp.ones(3)).tolist() == [1.0] * 3
    model.a.value = jnp.full(3, 5.0)
    assert jitted(jnp.ones(3)).tolist() == [5.0] * 3


# -- static arguments


def power(model, x, *, n):
    return x**n + model.a.value


STATIC = {
    "names": (nnx.jit(power, static_argnames="n"), (), {"n": 3}),
    "names_tuple": (nnx.jit(power, static_argnames=("n",)), (), {"n": 3}),
    "nums": (nnx.jit(lambda m, x, n: x**n + m.a.value, static_argnums=2), (3,), {}),
    "negative": (
        nnx.jit(lambda m, x, n: x**n + m.a.value, static_argnums=-1),
        (3,),
        {},
    ),
    "nums_by_name": (
        nnx.jit(lambda m, x, n: x**n + m.a.value, static_argnums=(2,)),
        (),
        {"n": 3},
    ),
    "names_by_position": (
        nnx.jit(lambda m, x, n: x**n + m.a.value, static_argnames=["n"]),
        (3,),
        {},
    ),
    "default": (
        nnx.jit(lambda m, x, n=3: x**n + m.a.value, static_argnums=2),
        (),
        {},
    ),
    "list_value": (
        nnx.jit(lambda m, x, n: x ** n[0] + m.a.value, static_argnums=2),
        ([3],),
        {},
    ),
    "function_value": (
        nnx.jit(lambda m, x, n: n(x) + m.a.value, static_argnames="n"),
        (lambda x: x**3,),
        {},
    ),
}


@pytest.mark.parametrize("case", STATIC)
def test_static_arguments(case):
    jitted, args, kwargs = STATIC[case]
    model = Pair()
    out = [jitted(model, jnp.full(3, 2.0), *args, **kwargs) for _ in range(2)]
    assert [o.tolist() for o in out] == [[9.0] * 3] * 2
    assert jitted._cache_size() == 1


def test_static_values_compare_by_value_and_type():
    jitted = nnx.jit(lambda x, n: x * int(n), static_argnums=1)
    for n in (1, 1.0, True, 1, [1][0], np.int64(1)):
        jitted(jnp.ones((), jnp.int32), n)
    assert jitted._cache_size() == 4


STATIC_ERRORS = {
    "model": (lambda m, n: None, (Pair(), 0), 0, "static, but a Pair"),
    "array": (lambda x, n: None, (0.0, jnp.ones(3)), 1, "argument 1.*is an array"),
}


@pytest.mark.parametrize("case", STATIC_ERRORS)
def test_static_errors_name_the_argument(case):
    f, args, number, text = STATIC_ERRORS[case]
    with pytest.raises(TypeError, match=text):
        nnx.jit(f, static_argnums=number)(*args)


def test_unknown_static_name_lists_the_parameters():
    with pytest.raises(ArgumentError, match=r"size.*\n.*it has: model, x"):
        nnx.jit(double, static_argnames="size")


# -- where objects may stand

NESTED = {
    "tuple": lambda m: ((m, jnp.ones(3)), lambda arg: arg[0]),
    "list": lambda m: ([jnp.ones(3), m], lambda arg: arg[1]),
    "dict": lambda m: ({"m": m, "x": 1.0}, lambda arg: arg["m"]),
    "deep": lambda m: ({"k": [(1, {"m": m})]}, lambda arg: arg["k"][0][1]["m"]),
    "with_none": lambda m: ((None, m), lambda arg: arg[1]),
}


@pytest.mark.parametrize("as_keyword", [False, True], ids=["position", "keyword"])
@pytest.mark.parametrize("case", NESTED)
def test_objects_nested_in_arguments(case, as_keyword):
    model = Pair()
    arg, get = NESTED[case](model)

    @nnx.jit
    def step(arg):
        get(arg).a.value = get(arg).a.value + 1

    for _ in range(3):
        step(arg=arg) if as_keyword else step(arg)
    assert model.a.value.tolist() == [4.0] * 3
    assert step._cache_size() == 1


def test_keyword_order_does_not_matter():
    jitted = nnx.jit(lambda model, **kw: kw["y"] - kw["x"] + model.a.value)
    model = Pair()
    assert jitted(model, x=1.0, y=3.0).tolist() == [3.0] * 3
    assert jitted(y=3.0, model=model, x=1.0).tolist() == [3.0] * 3


def test_same_object_twice_is_one_object_inside():
    seen = []

    @nnx.jit
    def step(first, second):
        seen.append(first is second and first.a is second.a)
        first.a.value = first.a.value + 1
        second.a.value = second.a.value * 10

    model = Pair()
    step(model, model)
    step(model, model)
    assert seen == [True]
    assert model.a.value.tolist() == [210.0] * 3


def test_part_and_whole_share_state_inside():
    @nnx.jit
    def step(part, whole):
        part.value = part.value + 1
        return whole.a.value

    model = Pair()
    assert step(model.a, model).tolist() == [2.0] * 3
    assert step(model.b, model).tolist() == [2.0] * 3
    assert step._cache_size() == 2


def test_shared_and_distinct_are_told_apart():
    step = nnx.jit(lambda x, y: x.set_value(y.value + 1))
    u, v = nnx.Param(jnp.zeros(2)), nnx.Param(jnp.ones(2))
    step(u, v)
    step(u, u)
    assert (u.value.tolist(), v.value.tolist()) == ([3.0, 3.0], [1.0, 1.0])


ARGUMENTS = {
    "none": (None, lambda x: 0 if x is None else 1, 0),
    "int": (3, lambda x: x + 1, 4),
    "float": (3.0, lambda x: x + 1, 4.0),
    "bool": (True, lambda x: ~x, False),
    "complex": (1j, lambda x: x * 2, 2j),
    "numpy": (np.ones(2), lambda x: x.sum(), 2.0),
    "numpy_scalar": (np.float32(2), lambda x: x * 2, 4.0),
    "empty_tuple": ((), lambda x: len(x), 0),
    "nested": ({"a": (1, [2.0])}, lambda x: x["a"][1][0], 2.0),
    "key": (jax.random.key(0), lambda x: jax.random.bits(x) * 0, 0),
}


@pytest.mark.parametrize("case", ARGUMENTS)
def test_plain_arguments(case):
    value, f, expected = ARGUMENTS[case]
    jitted = nnx.jit(lambda v, x: f(x))
    out = [jitted(nnx.Param(jnp.ones(1)), value) for _ in range(2)]
    assert [complex(o) for o in out] == [expected, expected]


@pytest.mark.parametrize("wrong", ["text", object(), lambda: 0], ids=lambda w: type(w))
def test_wrong_argument_names_it_and_the_remedy(wrong):
    jitted = nnx.jit(lambda x, config: x)
    with pytest.raises(TypeError, match=r"Argument 1 of .*\n.*static_argnums=\(1,\)"):
        jitted(1.0, wrong)
    with pytest.raises(TypeError, match=r"static_argnames=\('config',\)"):
        jitted(1.0, config=wrong)


def test_state_argument_is_updated():
    state = nnx.state(Pair())

    @nnx.jit
    def step(state):
        state["a"].value = state["a"].value + 1
        return state

    assert step(state) is state
    step(state)
    assert state["a"].value.tolist() == [3.0] * 3


def test_rngs_argument_advances_as_in_eager():
    draw = nnx.jit(lambda rngs: jax.random.uniform(rngs.dropout()))
    jitted, eager = nnx.Rngs(0), nnx.Rngs(0)
    for _ in range(3):
        assert float(draw(jitted)) == float(jax.random.uniform(eager.dropout()))
    assert int(jitted.default.count.value) == 3


# -- what Variables and attributes may hold


def test_variable_that_holds_a_pytree():
    variable = nnx.Variable({"a": jnp.ones(2), "b": [jnp.zeros(()), None]})

    @nnx.jit
    def step(v):
        v.value = {**v.value, "a": v.value["a"] * 2}
        v["b"] = [v["b"][0] + 1, None]

    for _ in range(3):
        step(variable)
    assert variable.value["a"].tolist() == [8.0, 8.0]
    assert float(variable.value["b"][0]) == 3.0


class Bare(nnx.Module):
    def __init__(self):
        self.array = jnp.ones(2)
        self.numpy = np.ones(2, np.float32)
        self.pair = (jnp.zeros(()), nnx.Param(jnp.zeros(())))
        self.number = nnx.data(1.0)
        self.nested = [{"x": jnp.ones(1)}]


def test_bare_arrays_as_attributes():
    @nnx.jit
    def step(model):
        model.array = model.array + model.numpy
        model.number = model.number + 1.0
        model.nested[0]["x"] = model.nested[0]["x"] * 2
        model.pair[1].value = model.pair[1].value + 1
        model.pair = (model.pair[0] + 1, model.pair[1])

    model = Bare()
    inner = model.pair[1]
    for _ in range(3):
        step(model)
    assert model.array.tolist() == [4.0, 4.0]
    assert (float(model.number), float(model.nested[0]["x"][0])) == (4.0, 8.0)
    assert [float(model.pair[0]), float(inner.value)] == [3.0, 3.0]
    assert model.pair[1] is inner
    assert step._cache_size() <= 2  # the NumPy array and the float become arrays


def test_bare_array_replaced_outside_is_seen():
    model = Bare()
    read = nnx.jit(lambda m: m.array + m.nested[0]["x"][0])
    read(model)
    model.array = jnp.full(2, 5.0)
    assert read(model).tolist() == [6.0, 6.0]
    model.nested[0]["x"] = jnp.zeros(1)
    assert read(model).tolist() == [5.0, 5.0]


def test_shared_references_and_cycles_stay():
    class Node(nnx.Module):
        def __init__(self):
            self.me = nnx.List([self])
            self.weight = nnx.Param(jnp.ones(2))
            self.tied = self.weight

    @nnx.jit
    def step(node):
        assert node.me[0] is node
        assert node.tied is node.weight
        node.me[0].tied.value = node.weight.value + 1
        return node

    node = Node()
    weight = node.weight
    assert step(node) is node
    assert step(node).me[0] is node
    assert node.tied is node.weight is weight
    assert weight.value.tolist() == [3.0, 3.0]


# -- what comes back


def test_returned_argument_is_the_same_object():
    @nnx.jit
    def step(model, other):
        return other, (model.a, {"m": model}), model.items

    model, other = Pair(), Pair(2.0)
    for _ in range(2):
        back, (a, table), items = step(model, other)
        assert back is other
        assert a is model.a
        assert table["m"] is model
        assert items is model.items


def test_returned_new_objects_are_fresh_each_call():
    @nnx.jit
    def make(x):
        model = Pair()
        model.a.value = x
        model.b = model.a
        return model

    first, second = make(jnp.zeros(3)), make(jnp.ones(3))
    assert first is not second
    assert first.b is first.a
    assert (first.a.value.tolist(), second.a.value.tolist()) == ([0.0] * 3, [1.0] * 3)
    second.a.value = second.a.value + 1  # and may be written outside
    nnx.jit(double)(second, 1.0)


def test_new_object_around_an_argument():
    @nnx.jit
    def wrap(model):
        outer = nnx.Dict(inner=model, extra=nnx.Param(jnp.zeros(1)))
        outer["inner"].a.value = model.a.value + 1
        return outer

    model = Pair()
    outers = [wrap(model), wrap(model)]
    assert all(outer["inner"] is model for outer in outers)
    assert outers[0]["extra"] is not outers[1]["extra"]
    assert model.a.value.tolist() == [3.0] * 3


RESULTS = {
    "array": (lambda x: x, 1.0),
    "none": (lambda x: None, None),
    "number": (lambda x: 3, 3),
    "tuple": (lambda x: (x, x), (1.0, 1.0)),
    "one_tuple": (lambda x: (x,), (1.0,)),
    "list": (lambda x: [x, None], [1.0, None]),
    "dict": (lambda x: {"b": x, "a": 2}, {"b": 1.0, "a": 2}),
    "empty": (lambda x: {}, {}),
}


@pytest.mark.parametrize("write", [False, True], ids=["reads", "writes"])
@pytest.mark.parametrize("case", RESULTS)
def test_plain_results(case, write):
    f, expected = RESULTS[case]
    variable = nnx.Param(jnp.zeros(()))

    @nnx.jit
    def step(v, x):
        v.value = v.value + (1.0 if write else 0.0)
        return f(x)

    for _ in range(3):
        result = step(variable, 1.0)
        assert result == expected
        assert type(result) is type(expected) or isinstance(result, jax.Array)
    assert float(variable.value) == 3.0 * write


@pytest.mark.parametrize("wrong", ["text", object()], ids=["str", "object"])
def test_returning_no_array_raises_and_changes_nothing(wrong):
    @nnx.jit
    def step(model):
        model.a.value = model.a.value + 1
        return wrong

    model = Pair()
    before = snapshot(model)
    with pytest.raises(ArgumentError, match=r"not an array.*\n.*return arrays"):
        step(model)
    assert snapshot(model) == before


def test_a_keyword_behind_args_is_not_the_argument_at_its_place():
    def scaled(model, *xs, k):
        return model.a.value * 0 + xs[0] * xs[1] * k

    first, second = jnp.ones(3), jnp.full(3, 2.0)
    nnx.jit(scaled, donate_argnames="k")(Pair(), first, second, k=jnp.ones(3))
    assert not second.is_deleted()
    static = nnx.jit(scaled, static_argnames="k")(Pair(), first, second, k=3)
    assert static.tolist() == [6.0] * 3


def test_a_step_that_fails_under_disable_jit_leaves_all_as_it_was():
    @nnx.jit
    def step(model):
        model.a.value = model.a.value + 1
        model.mode, model.extra = "eval", nnx.Param(jnp.ones(2))
        model.pair = ()
        raise KeyError("stop")

    model = Pair()
    before = snapshot(model)
    with jax.disable_jit(), pytest.raises(KeyError, match="stop"):
        step(model)
    assert snapshot(model) == before
