"""scan: carries, axes, streams, metadata."""

import jax
import jax.numpy as jnp

from tests.parity.models import make_counter, make_mesh, make_stack
from tests.parity.table import Table

TABLE = Table("scan")
idiom, differs = TABLE.idiom, TABLE.differs

X = jnp.arange(6.0).reshape(3, 2)


@idiom
def scan_over_layers(nnx):
    """`scan` over a stack, with a carry."""

    @nnx.scan(in_axes=(0, nnx.Carry), out_axes=nnx.Carry)
    def forward(m, x):
        return m(x)

    return forward(make_stack(nnx), jnp.ones((1, 2)))


@idiom
def scan_with_outputs(nnx):
    """`scan` with carry and outputs."""

    @nnx.scan(in_axes=(nnx.Carry, 0), out_axes=(nnx.Carry, 0))
    def f(total, x):
        return total + x.sum(), x * 2

    return f(jnp.array(0.0), X)


@idiom
def scan_default_axes(nnx):
    """The default is carry first, then axis 0."""
    return nnx.scan(lambda c, x: (c + x, c))(jnp.zeros(2), X)


@idiom
def scan_carries_an_object(nnx):
    """An object as carry is updated in place."""

    @nnx.scan(in_axes=(nnx.Carry, 0), out_axes=(nnx.Carry, 0))
    def f(m, x):
        return m, m(x)

    m = make_counter(nnx, 0.0)
    same, ys = f(m, X)
    return same is m, ys, m.n.value


@idiom
def scan_broadcast_object(nnx):
    """`None` broadcasts an object to every step."""

    @nnx.scan(in_axes=(None, nnx.Carry, 0), out_axes=(nnx.Carry, 0))
    def f(m, c, x):
        c = c + m(x)
        return c, c

    return f(nnx.Linear(2, 2, rngs=nnx.Rngs(0)), jnp.zeros(2), X)


@idiom
def scan_state_axes(nnx):
    """`StateAxes` with a carried part."""
    m = nnx.Dict(n=nnx.Variable(jnp.array(0.0)), w=nnx.Param(X))
    axes = nnx.StateAxes({nnx.Param: 0, ...: nnx.Carry})

    @nnx.scan(in_axes=(axes,), out_axes=0)
    def f(m):
        m.n[...] += m.w.sum()
        return m.n * 1

    return f(m), m.n.value


@idiom
def scan_carry_alone(nnx):
    """`in_axes=Carry` with a function of one argument."""
    f = nnx.scan(lambda c: c * 2, in_axes=nnx.Carry, out_axes=nnx.Carry, length=3)
    return f(jnp.ones(2))


@idiom
def scan_without_carry(nnx):
    """`scan` of outputs alone."""
    return nnx.scan(lambda x: x + 1, in_axes=0, out_axes=0)(X)


@idiom
def scan_length(nnx):
    """`length` where nothing is scanned."""
    f = nnx.scan(
        lambda c: (c * 2, c), in_axes=(nnx.Carry,), out_axes=(nnx.Carry, 0), length=3
    )
    return f(jnp.ones(2))


@idiom
def scan_reverse_and_unroll(nnx):
    """`reverse` and `unroll`."""
    f = nnx.scan(lambda c, x: (c + x, c), reverse=True, unroll=2)
    return f(jnp.zeros(2), X)


@idiom
def scan_in_and_out_axes(nnx):
    """Other axes in and out."""
    f = nnx.scan(
        lambda c, x: (c + x, c * 2), in_axes=(nnx.Carry, 1), out_axes=(nnx.Carry, 1)
    )
    return f(jnp.zeros(3), X)


@idiom
def scan_keyword_argument(nnx):
    """An argument of `scan` by keyword."""

    @nnx.scan(in_axes=(0, nnx.Carry), out_axes=nnx.Carry)
    def forward(m, x):
        return m(x)

    return forward(make_stack(nnx), x=jnp.ones((1, 2)))


@idiom
def scan_dict_of_axes(nnx):
    """A dict of axes for a dict argument of `scan`."""
    f = nnx.scan(
        lambda c, d: (c + d["a"] * d["b"], None),
        in_axes=(nnx.Carry, {"a": 0, "b": None}),
        out_axes=(nnx.Carry, 0),
    )
    return f(jnp.zeros(2), {"a": X, "b": jnp.array(2.0)})[0]


@differs("an output with axis None is that of the last step; flax raises ValueError")
def scan_output_without_an_axis(nnx):
    """`out_axes=None` of a scan."""
    f = nnx.scan(
        lambda c, x: (c + x, None), in_axes=(nnx.Carry, 0), out_axes=(nnx.Carry, None)
    )
    return f(jnp.zeros(2), X)[0]


@idiom
def scan_carry_of_a_tuple(nnx):
    """A carry of model and arrays."""

    @nnx.scan(in_axes=(nnx.Carry, 0), out_axes=(nnx.Carry, 0))
    def f(carry, x):
        m, total = carry
        y = m(x)
        return (m, total + y.sum()), y

    m = make_counter(nnx, 0.0)
    (_, total), ys = f((m, jnp.array(0.0)), X)
    return total, ys, m.n.value


@idiom
def scan_carries_a_state(nnx):
    """A carry that is a State which the body makes anew."""
    m = nnx.Linear(2, 1, rngs=nnx.Rngs(0))
    zeros = jax.tree.map(jnp.zeros_like, nnx.state(m, nnx.Param))

    @nnx.scan(in_axes=(None, nnx.Carry, 0), out_axes=nnx.Carry)
    def add(m, total, x):
        grads = nnx.grad(lambda m: m(x).sum())(m)
        return jax.tree.map(jnp.add, total, grads)

    return nnx.to_pure_dict(add(m, zeros, X))


@idiom
def scan_of_a_method(nnx):
    """`@nnx.scan` on a method of a model of stacked layers."""

    class Model(nnx.Module):
        def __init__(self, rngs):
            self.layers = make_stack(nnx)

        def __call__(self, x):
            @nnx.scan(in_axes=(nnx.Carry, 0), out_axes=nnx.Carry)
            def forward(x, layer):
                return jnp.tanh(layer(x))

            return forward(x, self.layers)

    return Model(nnx.Rngs(0))(jnp.ones((1, 2)))


@idiom
def scan_with_remat(nnx):
    """`scan` of `remat`, with its gradients."""

    def loss(m, x):
        @nnx.scan(in_axes=(nnx.Carry, 0), out_axes=nnx.Carry)
        @nnx.remat
        def forward(x, layer):
            return jnp.tanh(layer(x))

        return forward(x, m).sum()

    grads = nnx.grad(loss)(make_stack(nnx), jnp.ones((1, 2)))
    return nnx.to_pure_dict(grads)


@idiom
def scan_with_dropout(nnx):
    """Split streams in a scan give each step its mask."""
    rngs = nnx.Rngs(0)

    @nnx.split_rngs(splits=3)
    @nnx.scan(in_axes=(0, nnx.Carry), out_axes=nnx.Carry)
    def f(rngs, x):
        return x + rngs.normal((2,))

    return f(rngs, jnp.zeros(2)), rngs.default.count.value


@idiom
def scan_broadcast_stream(nnx):
    """A stream with axis None gives the same key in every step."""
    rngs = nnx.Rngs(0)
    axes = {"in_axes": (None, nnx.Carry), "out_axes": (nnx.Carry, 0)}
    f = nnx.scan(lambda r, c: (c, r.normal(())), **axes, length=3)
    return f(rngs, jnp.array(0.0))[1]


@idiom
def scan_carry_of_another_shape(nnx):
    """A carry that changes its shape is a TypeError or ValueError."""
    nnx.scan(lambda c, x: (jnp.concatenate([c, c]), x))(jnp.zeros(2), X)


@idiom
def scan_two_carries(nnx):
    """Two arguments marked as Carry are refused."""
    nnx.scan(lambda a, b: a, in_axes=(nnx.Carry, nnx.Carry), out_axes=nnx.Carry)(X, X)


@idiom
def scan_no_carry_out(nnx):
    """A carry in without one out is refused."""
    nnx.scan(lambda c, x: x, in_axes=(nnx.Carry, 0), out_axes=0)(jnp.zeros(2), X)


@idiom
def scan_metadata(nnx):
    """`transform_metadata` in `scan`."""
    seen = []

    @nnx.scan(
        in_axes=(0, nnx.Carry), out_axes=nnx.Carry,
        transform_metadata={nnx.PARTITION_NAME: "layers"},
    )  # fmt: skip
    def f(m, x):
        seen.append(m.kernel.get_metadata("out_sharding"))
        return x @ m.kernel[...]

    with jax.set_mesh(make_mesh()):
        kernel = nnx.Param(jnp.ones((3, 2, 2)), out_sharding=("layers", None, "mlp"))
        m = nnx.Dict(kernel=kernel)
        out = f(m, jnp.ones((1, 2)))
    return out, seen[-1], m.kernel.get_metadata("out_sharding")
