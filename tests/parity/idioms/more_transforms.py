"""Transforms in detail: axes, carries, DiffState, aux, keyword forms, errors."""

import functools

import jax
import jax.numpy as jnp

from tests.parity.models import make_counter
from tests.parity.table import Table

TABLE = Table("more_transforms")
X = jnp.arange(6.0).reshape(3, 2)


def linear(nnx, n=2, m=2):
    return nnx.Linear(n, m, rngs=nnx.Rngs(0))


def stack(nnx, n=3):
    return nnx.vmap(lambda r: nnx.Linear(2, 2, rngs=r))(nnx.Rngs(0).fork(split=n))


def mixed(nnx):
    return nnx.Dict(
        w=nnx.Param(jnp.ones(2)), n=nnx.BatchStat(jnp.array(0.0)), c=nnx.Cache(X)
    )


def pure(nnx, tree):
    return nnx.to_pure_dict(tree) if isinstance(tree, nnx.State) else tree


def counted(nnx):
    counter = make_counter(nnx, 0.0)
    counter.rngs = nnx.Rngs(0)
    return counter


def scanned(nnx, f, *args, **options):
    return nnx.scan(f, **options)(*args)


# -- grad


def sq(m, x=X):
    return (m(x) ** 2).sum()


def grad_of_two(nnx):
    a, b = linear(nnx), linear(nnx)
    g = nnx.grad(lambda a, b: sq(a) + sq(b) * 2, argnums=(0, 1))(a, b)
    return [pure(nnx, x) for x in g]


def grad_mixed_argnums(nnx):
    a = linear(nnx)
    g = nnx.grad(lambda a, x: sq(a, x), argnums=(0, 1))(a, X)
    return pure(nnx, g[0]), g[1]


def grad_diff_states(nnx):
    a = linear(nnx)
    kernel = nnx.DiffState(0, nnx.PathContains("kernel"))
    bias = nnx.DiffState(1, nnx.PathContains("bias"))
    g = nnx.grad(lambda a, b: sq(a) + sq(b), argnums=(kernel, bias))(a, linear(nnx))
    return [pure(nnx, x) for x in g]


def grad_of_a_dict(nnx):
    g = nnx.grad(lambda d: sq(d["m"]) + d["x"].sum())({"m": linear(nnx), "x": X})
    return pure(nnx, g["m"]), g["x"]


def grad_with_aux_of_model(nnx):
    def f(m):
        return sq(m), {"out": m(X), "n": 3}

    g, aux = nnx.grad(f, has_aux=True)(linear(nnx))
    return pure(nnx, g), aux


def value_and_grad_updates(nnx):
    m = counted(nnx)
    value, g = nnx.value_and_grad(lambda m: m(X).sum())(m)
    return value, pure(nnx, g), m.n.get_value()


def grad_allow_int(nnx):
    m = nnx.Dict(n=nnx.Param(jnp.array([1, 2])), w=nnx.Param(jnp.ones(2)))
    g = nnx.grad(lambda m: (m["w"] * m["n"]).sum(), allow_int=True)(m)
    return g["w"].get_value(), g["n"].get_value().dtype == jax.dtypes.float0


def grad_of_ints(nnx):
    m = nnx.Dict(n=nnx.Param(jnp.array([1, 2])))
    nnx.grad(lambda m: (m["n"] * 1.0).sum())(m)


def grad_complex(nnx):
    m = nnx.Dict(w=nnx.Param(jnp.array([1.0 + 1j])))
    g = nnx.grad(lambda m: jnp.abs(m["w"] ** 2).sum(), holomorphic=False)(m)
    return g["w"].get_value()


def grad_twice(nnx):
    m = nnx.Dict(w=nnx.Param(jnp.array(2.0)))

    def f(m):
        return m["w"][...] ** 3

    def g(m):
        return nnx.grad(f)(m)["w"][...]

    return nnx.grad(g)(m)["w"].get_value()


def jit_of_grad_of_vmap(nnx):
    @nnx.jit
    def step(m):
        def f(m):
            return nnx.vmap(lambda m, x: m(x), in_axes=(None, 0))(m, X).sum()

        return nnx.grad(f)(m)

    return pure(nnx, step(linear(nnx)))


def remat_grad(nnx):
    class Model(nnx.Module):
        def __init__(self):
            self.l = linear(nnx)
            self.n = nnx.Variable(jnp.array(0))

        @nnx.remat
        def block(self, x):
            self.n[...] += 1
            return jnp.tanh(self.l(x))

        def __call__(self, x):
            return self.block(self.block(x)).sum()

    m = Model()
    return pure(nnx, nnx.grad(lambda m: m(X))(m)), m.n.get_value()


def remat_policy(nnx):
    f = nnx.remat(
        lambda m, x, flag: m(x) if flag else x,
        static_argnums=(2,),
        policy=jax.checkpoint_policies.everything_saveable,
        prevent_cse=False,
    )
    return pure(nnx, nnx.grad(lambda m: f(m, X, True).sum())(linear(nnx)))


def custom_vjp_clip(nnx):
    @nnx.custom_vjp
    def f(m, x):
        return (m(x) ** 2).sum()

    def fwd(m, x):
        return f(m, x), m(x)

    def bwd(res, g):
        inputs_g, out_g = g
        grads = jax.tree.map(lambda x: x * 0 + 3.0, inputs_g[0])
        return grads, jnp.ones_like(X) * out_g

    f.defvjp(fwd, bwd)
    g = nnx.grad(f, argnums=(0, 1))(linear(nnx), X)
    return pure(nnx, g[0]), g[1]


# -- vmap


def vmap_state_axes_missing(nnx):
    axes = nnx.StateAxes({nnx.BatchStat: None})
    nnx.vmap(lambda m: m["w"] * 2, in_axes=(axes,))(mixed(nnx))


def vmap_broadcast_written(nnx):
    m = mixed(nnx)

    def f(m, x):
        m["n"][...] += x.sum()

    axes = nnx.StateAxes({...: None})
    nnx.vmap(f, in_axes=(axes, 0))(m, X)


def vmap_broadcast_written_alike(nnx):
    m = mixed(nnx)

    def f(m, x):
        m["n"][...] += 1
        return x

    axes = nnx.StateAxes({...: None})
    nnx.vmap(f, in_axes=(axes, 0))(m, X)
    return m["n"].get_value()


def vmap_out_axes_none(nnx):
    f = nnx.vmap(lambda m, x: (m["w"] * 2, x), in_axes=(None, 0), out_axes=(None, 0))
    return f(mixed(nnx), X)


def vmap_returns_model(nnx):
    f = nnx.vmap(lambda x: nnx.Dict(w=nnx.Param(x), n=3))
    m = f(X)
    return m["w"].get_value(), m["n"]


def vmap_returns_argument(nnx):
    m = stack(nnx)
    out = nnx.vmap(lambda m, x: (m, m(x)))(m, X)
    return out[0] is m, out[1]


def vmap_negative_axes(nnx):
    return nnx.vmap(lambda x: x * 2, in_axes=-1, out_axes=-1)(X)


def vmap_too_few_axes(nnx):
    nnx.vmap(lambda x, y: x + y, in_axes=(0,))(X, X)


def vmap_out_of_bounds(nnx):
    nnx.vmap(lambda x: x, in_axes=5)(X)


def vmap_nothing_mapped(nnx):
    nnx.vmap(lambda x: x, in_axes=None)(X)


def vmap_of_scalars(nnx):
    nnx.vmap(lambda m, x: m(x) + x)(stack(nnx), jnp.array(1.0))


def vmap_string_axis(nnx):
    nnx.vmap(lambda x: x, in_axes="a")(X)


def vmap_spmd(nnx):
    mesh = jax.make_mesh((1,), ("x",), axis_types=(jax.sharding.AxisType.Auto,))
    with jax.set_mesh(mesh):
        f = nnx.vmap(lambda m, x: m(x), in_axes=(None, 0), spmd_axis_name="x")
        return nnx.jit(f)(linear(nnx), X)


def vmap_rngs_forked(nnx):
    @nnx.fork_rngs(split=3)
    @nnx.vmap
    def f(rngs, x):
        return x + rngs.normal(x.shape)

    rngs = nnx.Rngs(0)
    return f(rngs, X), rngs.default.count.get_value()


def vmap_partial(nnx):
    return nnx.vmap(functools.partial(lambda m, x: m(x), linear(nnx)))(X)


def vmap_new_attribute(nnx):
    m = stack(nnx)

    def f(m, x):
        m.last = nnx.Intermediate(x * 2)
        return m(x)

    nnx.vmap(f)(m, X)
    return m.last.get_value()


def vmap_sow(nnx):
    class Own(nnx.Module):
        def __call__(self, x):
            self.sow(nnx.Intermediate, "seen", x)
            return x

    m = Own()
    axes = nnx.StateAxes({nnx.Intermediate: 0, ...: None})
    nnx.vmap(lambda m, x: m(x), in_axes=(axes, 0))(m, X)
    return m.seen.get_value()


# -- scan


def carry_and_sum(nnx):
    def f(carry, x):
        return carry + x.sum(), carry

    return scanned(nnx, f, jnp.array(0.0), X)


def scan_of_layers(nnx):
    def f(x, layer):
        return layer(x)

    out = scanned(nnx, f, X, stack(nnx), in_axes=(nnx.Carry, 0), out_axes=nnx.Carry)
    return out


def scan_length(nnx):
    f = nnx.scan(
        lambda c: (c + 1, c), in_axes=nnx.Carry, out_axes=(nnx.Carry, 0), length=4
    )
    return f(jnp.array(0))


def scan_length_mismatch(nnx):
    return scanned(nnx, lambda c, x: (c, x), jnp.array(0.0), X, length=5)


def scan_reverse(nnx):
    return scanned(nnx, lambda c, x: (c + x, c), jnp.zeros(2), X, reverse=True)


def scan_unroll(nnx):
    return scanned(nnx, lambda c, x: (c + x, c), jnp.zeros(2), X, unroll=3)


def scan_no_carry(nnx):
    return scanned(nnx, lambda m, x: m(x), stack(nnx), X, in_axes=(0, 0), out_axes=0)


def scan_broadcast(nnx):
    return scanned(
        nnx,
        lambda c, m, x: (c + m(x), m(x)),
        jnp.zeros(2),
        linear(nnx),
        X,
        in_axes=(nnx.Carry, None, 0),
        out_axes=(nnx.Carry, 0),
    )


def scan_state_axes(nnx):
    m = counted(nnx)
    axes = nnx.StateAxes({nnx.Param: None, ...: nnx.Carry})
    out = scanned(
        nnx,
        lambda c, m, x: (c + m(x), x + m.rngs.normal(x.shape)),
        jnp.zeros(2),
        m,
        X,
        in_axes=(nnx.Carry, axes, 0),
        out_axes=(nnx.Carry, 0),
    )
    return out, m.n.get_value(), m.rngs.default.count.get_value()


def scan_model_carry(nnx):
    m = counted(nnx)

    def f(carry, x):
        m, y = carry
        y = y + m(x)
        return (m, y), y

    (again, y), ys = scanned(nnx, f, (m, jnp.zeros(2)), X)
    return again is m, m.n.get_value(), y, ys


def scan_out_axes_one(nnx):
    return scanned(nnx, lambda c, x: (c, x), jnp.zeros(2), X, out_axes=(nnx.Carry, 1))


def scan_in_axes_one(nnx):
    return scanned(nnx, lambda c, x: (c, x), jnp.zeros(3), X, in_axes=(nnx.Carry, 1))


def scan_two_carries(nnx):
    scanned(
        nnx,
        lambda a, b: (a, b),
        X,
        X,
        in_axes=(nnx.Carry, nnx.Carry),
        out_axes=(nnx.Carry, nnx.Carry),
    )


def scan_nested_carry(nnx):
    scanned(
        nnx,
        lambda a, b: (a, b),
        (X, X),
        X,
        in_axes=((nnx.Carry, 0), 0),
        out_axes=(nnx.Carry, 0),
    )


def scan_carry_in_only(nnx):
    scanned(nnx, lambda a, b: b, X, X, in_axes=(nnx.Carry, 0), out_axes=0)


def scan_carry_type_changes(nnx):
    scanned(nnx, lambda c, x: (c.astype(int), x), jnp.array(0.0), X)


def scan_carry_shape_changes(nnx):
    scanned(nnx, lambda c, x: (jnp.concatenate([c, c]), x), jnp.zeros(1), X)


def scan_metadata(nnx):
    meta = {nnx.PARTITION_NAME: "layers"}
    axes = {"in_axes": (nnx.Carry, 0), "out_axes": (nnx.Carry, 0)}

    @nnx.scan(transform_metadata=meta, **axes)
    def f(c, v):
        return c, nnx.Param(v[...] * 2, out_sharding=("a",), eager_sharding=False)

    v = nnx.Param(X, out_sharding=("layers", "a"), eager_sharding=False)
    _, out = f(jnp.array(0.0), v)
    return out.get_metadata("out_sharding"), out.get_value()


def scan_decorator_method(nnx):
    class Model(nnx.Module):
        def __init__(self):
            self.layers = stack(nnx)

        @nnx.scan(in_axes=(nnx.StateAxes({...: 0}), nnx.Carry), out_axes=nnx.Carry)
        def run(self, x):
            return self.layers(x)

    return Model().run(X)


def scan_rng_broadcast(nnx):
    m = nnx.Dropout(0.5, rngs=nnx.Rngs(0))
    axes = nnx.StateAxes({...: nnx.Carry})
    out = scanned(
        nnx,
        lambda c, m, x: (c, m(x)),
        jnp.array(0.0),
        m,
        jnp.ones((3, 4)),
        in_axes=(nnx.Carry, axes, 0),
        out_axes=(nnx.Carry, 0),
    )
    return out[1], m.rngs.count.get_value()


def scan_sow(nnx):
    class Own(nnx.Module):
        def __init__(self):
            self.w = nnx.Param(jnp.ones(2))

        def __call__(self, x):
            self.seen = nnx.Intermediate(x)
            return x * self.w

    m = Own()
    m.seen = nnx.Intermediate(X)
    axes = nnx.StateAxes({nnx.Intermediate: 0, ...: None})
    out = scanned(
        nnx,
        lambda c, m, x: (c, m(x)),
        jnp.array(0.0),
        m,
        X,
        in_axes=(nnx.Carry, axes, 0),
        out_axes=(nnx.Carry, 0),
    )
    return out, m.seen.get_value()


# -- control flow


def cond_updates(nnx):
    m = counted(nnx)

    def yes(m, x):
        m.n[...] += 10
        return m(x)

    def no(m, x):
        return x

    out = nnx.cond(True, yes, no, m, X), nnx.cond(jnp.array(False), yes, no, m, X)
    return out, m.n.get_value()


def cond_operands_differ(nnx):
    nnx.cond(True, lambda x: x, lambda x: x.sum(), X)


def cond_structure(nnx):
    m = counted(nnx)

    def yes(m):
        m.new = nnx.Param(X)

    nnx.cond(True, yes, lambda m: None, m)
    return m.new.get_value()


def cond_not_bool(nnx):
    nnx.cond(X, lambda x: x, lambda x: x, X)


def switch_updates(nnx):
    m = counted(nnx)

    def add(n):
        def f(m):
            m.n[...] += n
            return m.n[...]

        return f

    outs = [nnx.switch(i, [add(1), add(10), add(100)], m) for i in (0, 2, 7, -1)]
    return outs, m.n.get_value()


def switch_nothing(nnx):
    nnx.switch(0, [], X)


def while_updates(nnx):
    m = counted(nnx)

    def body(carry):
        m, i = carry
        m.n[...] += 2
        return m, i + 1

    m2, i = nnx.while_loop(lambda c: c[1] < 3, body, (m, 0))
    return m2 is m, m.n.get_value(), i


def while_type_changes(nnx):
    nnx.while_loop(lambda c: c < 3, lambda c: c + 0.5, 0)


def while_not_bool(nnx):
    nnx.while_loop(lambda c: c, lambda c: c, X)


def fori_updates(nnx):
    m = counted(nnx)

    def body(i, m):
        m.n[...] += i
        return m

    out = nnx.fori_loop(1, 4, body, m)
    return out is m, m.n.get_value()


def fori_unroll(nnx):
    return nnx.fori_loop(0, 4, lambda i, x: x + i, jnp.array(0), unroll=2)


# -- jit


def jit_static(nnx):
    @nnx.jit(static_argnums=(1,), static_argnames=("flag",))
    def f(m, n, x, flag=False):
        return m(x) * n if flag else x

    return f(linear(nnx), 2, X, flag=True), f(linear(nnx), 2, X)


def jit_bad_return(nnx):
    nnx.jit(lambda x: "a")(X)


def jit_bad_argument(nnx):
    nnx.jit(lambda x: X)("a")


def jit_missing_argument(nnx):
    nnx.jit(lambda x, y: x)(X)


def jit_extra_argument(nnx):
    nnx.jit(lambda x: x)(X, X)


def jit_tracer_bool(nnx):
    nnx.jit(lambda x: 1 if x[0, 0] > 0 else 2)(X)


def jit_returns_none(nnx):
    return nnx.jit(lambda x: None)(X)


def jit_returns_nested(nnx):
    return nnx.jit(lambda m: {"a": (m(X), [1, None])})(linear(nnx))


def jit_donate(nnx):
    m = counted(nnx)
    nnx.jit(lambda m: m(X), donate_argnums=0)(m)
    return m.n.get_value()


def jit_replaces_part(nnx):
    m = nnx.Dict(a=linear(nnx))

    @nnx.jit
    def f(m):
        m["a"] = nnx.Linear(2, 3, rngs=nnx.Rngs(1))

    f(m)
    return m["a"].kernel.get_value()


def jit_deletes_part(nnx):
    m = counted(nnx)

    nnx.jit(lambda m: delattr(m, "w"))(m)
    return hasattr(m, "w")


def jit_shares_part(nnx):
    m = nnx.Dict(a=linear(nnx), b=linear(nnx))

    @nnx.jit
    def f(m):
        m["b"] = m["a"]

    f(m)
    return m["a"] is m["b"]


def jit_lower(nnx):
    lowered = nnx.jit(lambda m, x: m(x)).lower(linear(nnx), X)
    return lowered.compile()(linear(nnx), X)


def jit_eval_shape(nnx):
    out = nnx.eval_shape(lambda m, x: m(x), linear(nnx), X)
    return out.shape, out.dtype


def eval_shape_of_a_model(nnx):
    m = nnx.eval_shape(lambda: nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
    return m.kernel.get_value().shape, type(m.kernel.get_value()).__name__


def eval_shape_updates(nnx):
    m = counted(nnx)
    nnx.eval_shape(lambda m: m(X), m)
    return m.n.get_value()


def use_of_abstract(nnx):
    m = nnx.eval_shape(lambda: nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
    m(X)


def grad_of_abstract(nnx):
    m = nnx.eval_shape(lambda: nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
    nnx.grad(lambda m: m(X).sum())(m)


def jit_of_abstract(nnx):
    m = nnx.eval_shape(lambda: nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
    nnx.jit(lambda m: m(X).sum())(m)


def vmap_of_abstract(nnx):
    m = nnx.eval_shape(lambda: nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
    nnx.vmap(lambda m, x: m(x), in_axes=(None, 0))(m, X)


def write_to_captured(nnx):
    m = counted(nnx)

    @nnx.jit
    def f(x):
        m.n[...] += 1
        return x

    f(X)


def write_to_captured_in_grad(nnx):
    m = counted(nnx)

    def f(w):
        m.n[...] += 1
        return w.sum()

    nnx.grad(f)(X)


def write_to_captured_in_vmap(nnx):
    m = counted(nnx)

    def f(x):
        m.n[...] += 1
        return x

    nnx.vmap(f)(X)


def checkify_of_a_model(nnx):
    from jax.experimental import checkify

    def f(m, x):
        checkify.check((x > 0).all(), "not positive")
        m.n[...] += 1
        return m(x)

    m = counted(nnx)
    error, out = nnx.checkify(f)(m, X)
    return error.get() is not None, out, m.n.get_value()


def cached_partial(nnx):
    m = counted(nnx)
    f = nnx.cached_partial(nnx.jit(lambda m, x: m(x)), m)
    return f(X), f(X), m.n.get_value()


def vjp_of_a_model(nnx):
    out, back = nnx.vjp(lambda m, x: m(x), linear(nnx), X, graph=False)
    gm, gx = back(jnp.ones_like(out))
    return out, gm.kernel.get_value(), gx


def jvp_of_a_model(nnx):
    m = linear(nnx)
    tangent = jax.tree.map(jnp.ones_like, m)
    return nnx.jvp(lambda m, x: m(x), (m, X), (tangent, X), graph=False)


PROGRAMS = {
    name: value
    for name, value in list(globals().items())
    if callable(value)
    and getattr(value, "__module__", "") == __name__
    and name
    not in {"linear", "stack", "mixed", "pure", "counted", "scanned", "sq", "Table"}
}

TABLE.add_programs(PROGRAMS)
