"""jit: what it takes, returns, updates and counts."""

import dataclasses
import functools

import jax.numpy as jnp
import optax

from tests.parity.idioms.training import compiled_steps
from tests.parity.models import make_counter, make_sower
from tests.parity.table import Table

TABLE = Table("jit")
idiom, differs = TABLE.idiom, TABLE.differs


@idiom
def updates_are_kept(nnx):
    """A compiled function updates its argument in place."""
    m = make_counter(nnx)
    f = nnx.jit(lambda m, x: m(x))
    return f(m, jnp.ones(2)), f(m, jnp.ones(2)), m.n.value


@idiom
def decorator_with_options(nnx):
    """`@nnx.jit(static_argnums=...)`, and by name."""

    @nnx.jit(static_argnums=1)
    def f(m, n):
        return m.w.value * n

    @functools.partial(nnx.jit, static_argnames=("n",))
    def g(m, *, n):
        return m.w.value * n

    m = make_counter(nnx)
    return f(m, 3), g(m, n=4)


@idiom
def keyword_arguments(nnx):
    """Objects are given by keyword."""
    m = make_counter(nnx)
    out = nnx.jit(lambda model, x: model(x))(model=m, x=jnp.ones(2))
    return out, m.n.value


@idiom
def objects_in_containers(nnx):
    """Objects inside of lists and dicts are updated."""
    a, b = make_counter(nnx), make_counter(nnx)
    nnx.jit(lambda ms: (ms["a"](1.0), ms["b"][0](1.0), None)[2])({"a": a, "b": [b]})
    return a.n.value, b.n.value


@idiom
def method_by_jit(nnx):
    """`@nnx.jit` on methods."""

    class Model(nnx.Module):
        def __init__(self):
            self.w = nnx.Param(jnp.ones(2))

        @nnx.jit
        def __call__(self, x):
            self.w[...] += x
            return self.w * 2

    m = Model()
    return m(jnp.ones(2)), m.w.value


@differs("bound methods are taken by every transform; flax raises")
def bound_method(nnx):
    """`nnx.jit(model.method)`."""
    m = make_counter(nnx)
    return nnx.jit(m.__call__)(jnp.ones(2)), m.n.value


@idiom
def jit_of_a_module_call(nnx):
    """A module that captures nothing, called inside."""
    m = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
    return nnx.jit(lambda x: m(x))(jnp.ones((1, 2)))


@idiom
def returned_object(nnx):
    """An object made inside comes out."""
    m = nnx.jit(lambda: nnx.Linear(2, 3, rngs=nnx.Rngs(0)))()
    return type(m).__name__, m.kernel.value


@idiom
def returned_argument(nnx):
    """An argument that is returned is the same object."""
    m = make_counter(nnx)
    return nnx.jit(lambda m: m)(m) is m


@idiom
def returned_state(nnx):
    """A State and a GraphDef come out."""
    m = make_counter(nnx)
    graphdef, state = nnx.jit(lambda m: nnx.split(m))(m)
    return nnx.to_pure_dict(state), nnx.merge(graphdef, state)(1.0)


@idiom
def returned_variable(nnx):
    """A Variable that went in comes out as itself, a new one anew."""
    v = nnx.Param(jnp.ones(2))
    a, b = nnx.jit(lambda v: (v, nnx.BatchStat(v.value * 2)))(v)
    return a is v, type(b).__name__, b.value


@idiom
def new_attribute_inside(nnx):
    """An attribute made inside is on the object afterwards."""
    m = make_counter(nnx)

    @nnx.jit
    def f(m):
        m.extra = nnx.Param(m.w.value * 2)
        m.flag = "on"

    f(m)
    return m.extra.value, m.flag


@idiom
def deleted_attribute_inside(nnx):
    """An attribute deleted inside is gone."""
    m = make_counter(nnx)

    @nnx.jit
    def f(m):
        del m.w

    f(m)
    return hasattr(m, "w")


@idiom
def swapped_layers(nnx):
    """Layers swapped inside are swapped outside, and stay themselves."""
    m = nnx.Dict(a=nnx.Param(jnp.ones(1)), b=nnx.Param(jnp.zeros(2)))
    a = m.a

    @nnx.jit
    def swap(m):
        m.a, m.b = m.b, m.a

    swap(m)
    return m.a.value, m.b is a


@differs("a number that the function only reads stays a number; flax makes it an array")
def number_that_is_read(nnx):
    """A Variable of a Python number, read in a compiled function."""
    m = nnx.Dict(a=nnx.Variable(2.0))
    nnx.jit(lambda m: m.a * 3)(m)
    return m.a.value


@idiom
def sharing_is_kept(nnx):
    """A shared Variable is one inside."""
    shared = nnx.Param(jnp.ones(2))
    m = nnx.Dict(a=shared, b=shared)

    @nnx.jit
    def f(m):
        m.a[...] += 1
        return m.b.value

    return f(m), m.b.value, m.a is m.b


@idiom
def same_object_twice(nnx):
    """One object for two arguments."""
    m = make_counter(nnx)

    @nnx.jit
    def f(a, b):
        a(1.0)
        b(1.0)
        return a is b

    return f(m, m), m.n.value


@idiom
def static_change_retraces(nnx):
    """A static attribute that changes is seen."""
    m = nnx.Dict(n=2, w=nnx.Param(jnp.ones(2)))
    f = nnx.jit(lambda m: m.w * m.n)
    first = f(m)
    m.n = 5
    return first, f(m)


@idiom
def trace_counts(nnx):
    """A second call with the same shapes does not trace again."""
    traces = []

    @nnx.jit
    def f(m, x):
        traces.append(x.shape)
        return m(x)

    m = make_counter(nnx)
    for n in (2, 2, 1, 2):
        f(m, jnp.ones(n))
    return traces


@idiom
def python_branches_on_static(nnx):
    """`train` and `eval` between calls are seen."""
    m = nnx.Dropout(0.5, rngs=nnx.Rngs(0))
    f = nnx.jit(lambda m, x: m(x))
    first = f(m, jnp.ones(4))
    m.eval()
    return first, f(m, jnp.ones(4))


@idiom
def train_step_with_optimizer(nnx):
    """A whole training step."""
    model = nnx.Linear(2, 1, rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.adam(0.1), wrt=nnx.Param)

    def loss(m):
        return (m(jnp.ones((3, 2))) ** 2).mean()

    losses = compiled_steps(nnx, loss, model, optimizer, 3)
    return losses, model.kernel.value, optimizer.step.value


@idiom
def donated_arguments(nnx):
    """`donate_argnums` is taken."""
    m = make_counter(nnx)
    f = nnx.jit(lambda m, x: m(x), donate_argnums=0)
    return f(m, jnp.ones(2)), m.n.value


@idiom
def donated_names(nnx):
    """`donate_argnames` is taken."""
    m = make_counter(nnx)
    f = nnx.jit(lambda m, x: m(x), donate_argnames="m")
    return f(m, jnp.ones(2)), m.n.value


@idiom
def other_options(nnx):
    """`keep_unused` and `inline` are taken."""
    f = nnx.jit(lambda m, x: m(x), keep_unused=True, inline=True)
    return f(make_counter(nnx), jnp.ones(2))


@idiom
def lower_and_compile(nnx):
    """`lower(...).compile()` runs and updates."""
    m = make_counter(nnx)
    compiled = nnx.jit(lambda m, x: m(x)).lower(m, jnp.ones(2)).compile()
    return compiled(m, jnp.ones(2)), m.n.value


@idiom
def lowered_text(nnx):
    """`lower(...).as_text()` is there."""
    lowered = nnx.jit(lambda m, x: m(x)).lower(make_counter(nnx), jnp.ones(2))
    return "module" in lowered.as_text()


@idiom
def eval_shape_of_jitted(nnx):
    """`f.eval_shape` of a jitted function."""
    f = nnx.jit(lambda m, x: m(x))
    return f.eval_shape(make_counter(nnx), jnp.ones(2))


@idiom
def jitted_fn_counts_traces(nnx):
    """`jitted_fn` is the function of `jax.jit`, with its cache."""
    f = nnx.jit(lambda m, x: m(x))
    m = make_counter(nnx)
    f(m, jnp.ones(2))
    f(m, jnp.ones(2))
    f(m, jnp.ones(1))
    return f.jitted_fn._cache_size()


@idiom
def wrapped_name(nnx):
    """The compiled function has the name and text of the user's."""

    @nnx.jit
    def named(m):
        """Says what it does."""

    return named.__name__, named.__doc__


@idiom
def error_inside(nnx):
    """An exception of the function comes out, and changes nothing."""
    m = make_counter(nnx)

    @nnx.jit
    def f(m):
        m.n[...] += 1
        raise KeyError("mine")

    try:
        f(m)
    except KeyError:
        return m.n.value


@idiom
def captured_write(nnx):
    """A write to a captured object raises."""
    m = make_counter(nnx)
    return nnx.jit(lambda x: m(x))(jnp.ones(2))


@idiom
def sown_inside(nnx):
    """Values sown in a compiled call are on the model."""
    m = make_sower(nnx, more=1)
    nnx.jit(lambda m, x: m(x))(m, jnp.ones(2))
    return nnx.to_pure_dict(nnx.pop(m, nnx.Intermediate))


@idiom
def static_dataclass_attribute(nnx):
    """A plain dataclass as a static attribute, read in a compiled call."""

    @dataclasses.dataclass
    class Config:
        scale: float = 2.0

    class Model(nnx.Module):
        def __init__(self):
            self.config = Config()
            self.w = nnx.Param(jnp.ones(2))

    @dataclasses.dataclass(frozen=True)
    class Frozen:
        scale: float = 3.0

    m = Model()
    f = nnx.jit(lambda m: m.w * m.config.scale)
    first = f(m)
    m.config = Frozen()
    return first, f(m)
