"""Names of flax.nnx's submodules are found where programs look for them."""

import importlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import optax
import pytest

import oakum as nnx
from oakum import _places

MODULES = [f"oakum.{place}" for place in _places.PLACES]


@pytest.mark.parametrize("name", MODULES)
def test_every_name_of_a_place_is_there(name):
    module = importlib.import_module(name)
    missing = [n for n in dir(module) if not hasattr(module, n)]
    assert not missing
    assert len(dir(module)) > 3


@pytest.mark.peer
@pytest.mark.parametrize("place", _places.PLACES)
def test_a_place_is_one_of_flax(place):
    pytest.importorskip("flax")
    importlib.import_module(f"flax.nnx.{'pytreelib' if place == 'object' else place}")


@pytest.mark.parametrize("name", ["graph", "training.metrics", "nn.linear"])
def test_a_place_can_be_imported_first(name):
    code = f"import oakum.{name}; print(oakum.{name}.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == f"oakum.{name}", done.stderr


def test_each_place_is_an_attribute_of_what_is_above_it():
    code = (
        "import oakum\n"
        "from functools import reduce\n"
        "from oakum._places import PLACES\n"
        "for place in PLACES:\n"
        "    *above, name = place.split('.')\n"
        "    folder = reduce(getattr, above, oakum)\n"
        "    assert name in dir(folder), place\n"
        "    getattr(folder, name)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_an_unknown_name_says_where_it_was_looked_for():
    with pytest.raises(AttributeError, match=r"filterlib.*no attribute 'Fliter'"):
        _ = nnx.filterlib.Fliter


def test_names_are_those_of_oakum():
    found: dict = {}
    exec("from oakum.graph import split", found)
    exec("from oakum.nn.linear import Linear, default_kernel_init", found)
    exec("from oakum.training.metrics import Average", found)
    assert found["split"] is nnx.split
    assert found["Linear"] is nnx.Linear
    assert found["Average"] is nnx.metrics.Average
    assert nnx.nn.linear.initializers is nnx.initializers
    assert found["default_kernel_init"](jax.random.key(0), (2, 3)).shape == (2, 3)


def test_first_from_takes_what_is_given_first():
    first_from = nnx.module.first_from

    assert first_from(None, False, True, error_msg="none") is False
    with pytest.raises(ValueError, match="none given"):
        first_from(None, None, error_msg="none given")


def test_a_representable_shows_its_parts():
    class Point(nnx.reprlib.Representable):
        def __nnx_repr__(self):
            yield nnx.reprlib.Object(type(self))
            yield nnx.reprlib.Attr("x", 1)
            yield nnx.reprlib.Attr("y", "two")

    assert repr(Point()) == "Point(\n  x=1,\n  y='two'\n)"


def test_a_trace_state_is_valid_in_its_trace():
    outside = nnx.tracers.TraceState()

    @jax.jit
    def inside():
        assert nnx.tracers.TraceState().is_valid()
        assert not outside.is_valid()

    inside()
    assert outside.is_valid()
    assert outside == nnx.tracers.TraceState()


def test_is_node_asks_for_children():
    leaf, node = nnx.Param(1), nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    found = [nnx.graph.is_node(x) for x in (node, [1], leaf, 1.0, jnp.ones(2), None)]
    assert found == [True, True, False, False, False, True]
    assert [nnx.graph.is_graph_node(x) for x in (node, [1])] == [True, False]
    assert [nnx.graph.is_node_leaf(x) for x in (leaf, jnp.ones(2), node)] == [
        *(True, True, False)
    ]


class Logged(nnx.TrainState):
    loss: jax.Array


def make_train_state(cls=nnx.TrainState, **fields):
    graphdef, params = nnx.split(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
    tx = optax.sgd(0.5)
    return cls.create(graphdef, params=params, tx=tx, **fields)


def test_train_state_takes_steps_under_jit():
    step = jax.jit(lambda s: s.apply_gradients(jax.tree.map(jnp.ones_like, s.params)))
    start = make_train_state()
    after = step(step(start))
    assert int(after.step) == 2
    before = start.params.kernel.value
    assert jnp.allclose(after.params.kernel.value, before - 1.0)


def test_train_state_applies_its_model():
    state = make_train_state()
    y, (graphdef, after) = state.apply("params")(jnp.ones((1, 2)))
    assert y.shape == (1, 3)
    assert graphdef is state.graphdef
    assert sorted(after) == ["bias", "kernel"]


def test_a_train_state_has_fields_of_its_own():
    state = make_train_state(Logged, loss=jnp.zeros(()))
    assert float(state.replace(loss=jnp.ones(())).loss) == 1.0
    with pytest.raises(TypeError, match=r"Logged\.loss is a .*expected a State") as e:
        state.apply("loss")
    assert "state.apply('params'" in str(e.value)


def test_graphdef_apply_gives_result_and_what_comes_after():
    graphdef, state = nnx.split(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
    y, (after, _) = graphdef.apply(state)(jnp.ones((1, 2)))
    assert y.shape == (1, 3)
    assert after is graphdef
    assert nnx.GraphDef[nnx.Linear].__origin__ is nnx.GraphDef
    assert nnx.PureState.__args__[1] is nnx.State
