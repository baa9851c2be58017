"""The bridge in detail: Linen modules inside models, and models inside Linen."""

import jax
import jax.numpy as jnp
import optax

from tests.parity.table import Table

TABLE = Table("more_bridge")
idiom, differs = TABLE.idiom, TABLE.differs
X = jnp.arange(6.0).reshape(3, 2)


def linen():
    from flax import linen

    return linen


def mesh():
    auto = (jax.sharding.AxisType.Auto,) * 2
    return jax.make_mesh((1, 1), ("in", "out"), axis_types=auto)


def dense(nnx, **options):
    return nnx.bridge.ToNNX(linen().Dense(3, **options), rngs=nnx.Rngs(0))


def linen_net():
    nn = linen()

    class Net(nn.Module):
        @nn.compact
        def __call__(self, x, train=True):
            x = nn.Dense(4)(x)
            x = nn.BatchNorm(use_running_average=not train)(x)
            x = nn.Dropout(0.5, deterministic=not train)(x)
            self.sow("intermediates", "h", x)
            return nn.Dense(1, name="head")(x)

        @nn.compact
        def other(self, x):
            return nn.Dense(2, name="head2")(x)

    return Net()


def paths(nnx, node, *filters):
    state = nnx.state(node, *filters) if filters else nnx.state(node)
    return [
        (
            ".".join(map(str, p)),
            type(v).__name__,
            jax.tree.map(jnp.shape, v.get_value()),
        )
        for p, v in nnx.to_flat_state(state)
        if "rngs" not in str(p)
    ]


@idiom
def to_nnx(nnx):
    """`ToNNX` with `lazy_init`, then a call."""
    m = nnx.bridge.lazy_init(dense(nnx), X)
    return m(X), paths(nnx, m)


@idiom
def to_nnx_method_lazy_init(nnx):
    """`lazy_init` as a method, and of another method."""
    m = nnx.bridge.ToNNX(linen_net(), rngs=nnx.Rngs(0)).lazy_init(X)
    n = nnx.bridge.ToNNX(linen_net(), rngs=nnx.Rngs(0))
    n.lazy_init(X, method="other")
    return paths(nnx, m), paths(nnx, n)


@idiom
def to_nnx_net(nnx):
    """Collections by type, streams, mutable state, in training and not."""
    m = nnx.bridge.ToNNX(linen_net(), rngs=nnx.Rngs(0, dropout=1))
    nnx.bridge.lazy_init(m, X)
    train, test = m(X), m(X, train=False)
    return train, test, paths(nnx, m), paths(nnx, m, nnx.BatchStat)


@idiom
def to_nnx_mutable(nnx):
    """`mutable` gives what changed, or keeps all as it was."""
    m = nnx.bridge.ToNNX(linen_net(), rngs=nnx.Rngs(0, dropout=1))
    nnx.bridge.lazy_init(m, X)
    m(X, mutable=["batch_stats"])
    return paths(nnx, m)


@idiom
def to_nnx_rngs_at_call(nnx):
    """Streams given to the call."""
    m = nnx.bridge.ToNNX(linen_net(), rngs=nnx.Rngs(0, dropout=1))
    nnx.bridge.lazy_init(m, X)
    return m(X, rngs=nnx.Rngs(dropout=5)), m(X, rngs={"dropout": jax.random.key(5)})


@idiom
def to_nnx_another_method(nnx):
    """A method by name."""
    m = nnx.bridge.ToNNX(linen_net(), rngs=nnx.Rngs(0))
    m.lazy_init(X, method="other")
    return m(X, method="other")


@idiom
def to_nnx_no_method(nnx):
    """A method that is not there."""
    m = nnx.bridge.ToNNX(linen().Dense(3), rngs=nnx.Rngs(0)).lazy_init(X)
    m(X, method="nothing")


@idiom
def to_nnx_not_initialised(nnx):
    """A call before `lazy_init`."""
    dense(nnx)(X)


@idiom
def to_nnx_without_rngs(nnx):
    """`lazy_init` without streams."""
    nnx.bridge.ToNNX(linen().Dense(3)).lazy_init(X)


@idiom
def to_nnx_partitioned(nnx):
    """Names of axes in Linen are metadata of the Variables."""
    nn = linen()
    init = nn.with_partitioning(nn.initializers.ones, ("in", "out"))
    with jax.set_mesh(mesh()):
        m = nnx.bridge.ToNNX(nn.Dense(3, kernel_init=init), rngs=nnx.Rngs(0))
        m.lazy_init(X)
    return m.kernel.get_metadata("out_sharding"), m(X)


@idiom
def to_nnx_trains(nnx):
    """A Linen module trained by an Optimizer, in `jit`."""
    m = nnx.bridge.ToNNX(linen_net(), rngs=nnx.Rngs(0, dropout=1)).lazy_init(X)
    optimizer = nnx.Optimizer(m, optax.sgd(0.1), wrt=nnx.Param)

    @nnx.jit
    def step(m, optimizer):
        grads = nnx.grad(lambda m: (m(X) ** 2).mean())(m)
        optimizer.update(m, grads)

    step(m, optimizer)
    step(m, optimizer)
    return nnx.to_pure_dict(nnx.state(m, nnx.Param)), nnx.to_pure_dict(
        nnx.state(m, nnx.BatchStat)
    )


@idiom
def to_nnx_in_vmap(nnx):
    """`vmap` of its constructor."""

    @nnx.vmap
    def make(rngs):
        return nnx.bridge.ToNNX(linen().Dense(3), rngs=rngs).lazy_init(X)

    m = make(nnx.Rngs(0).fork(split=2))
    return m.kernel.shape, nnx.vmap(lambda m: m(X))(m).shape


@idiom
def to_nnx_inside_a_model(nnx):
    """As a part of a model."""

    class Model(nnx.Module):
        def __init__(self, rngs):
            self.first = nnx.Linear(2, 2, rngs=rngs)
            self.second = nnx.bridge.ToNNX(linen().Dense(3), rngs=rngs)

        def __call__(self, x):
            return self.second(self.first(x))

    m = nnx.bridge.lazy_init(Model(nnx.Rngs(0)), X)
    return m(X), paths(nnx, m)


@idiom
def to_nnx_splits(nnx):
    """It splits and merges."""
    m = nnx.bridge.lazy_init(dense(nnx), X)
    return nnx.merge(*nnx.split(m))(X)


@idiom
def to_nnx_attributes(nnx):
    """What it keeps: the Linen module, its Variables by name."""
    m = nnx.bridge.lazy_init(dense(nnx), X)
    return type(m.to_nnx__module).__name__, type(m.to_nnx__rngs).__name__, m.bias.shape


@idiom
def to_linen(nnx):
    """`to_linen` of a layer: init and apply."""
    m = nnx.bridge.to_linen(nnx.Linear, 2, 3)
    variables = m.init(jax.random.key(0), X)
    return jax.tree.map(jnp.shape, variables), m.apply(variables, X)


def own_model(nnx):
    class Model(nnx.Module):
        def __init__(self, size, *, rngs):
            self.l = nnx.Linear(2, size, rngs=rngs)
            self.bn = nnx.BatchNorm(size, rngs=rngs)
            self.drop = nnx.Dropout(0.5, rngs=rngs)
            self.n = nnx.Variable(jnp.array(0))

        def __call__(self, x, scale=1.0):
            self.n[...] += 1
            return self.drop(self.bn(self.l(x))) * scale

        def other(self, x):
            return self.l(x)

    return Model


@idiom
def to_linen_collections(nnx):
    """Collections by Variable type, several streams, mutable ones."""
    m = nnx.bridge.ToLinen(own_model(nnx), args=(3,))
    keys = {"params": jax.random.key(0), "dropout": jax.random.key(1)}
    variables = m.init(keys, X)
    out, changed = m.apply(
        variables, X, rngs={"dropout": jax.random.key(2)}, mutable=["batch_stats"]
    )
    return sorted(variables), out.shape, sorted(changed)


@idiom
def to_linen_method(nnx):
    """Another method, by name and by function."""
    model = own_model(nnx)
    m = nnx.bridge.ToLinen(model, args=(3,))
    variables = m.init({"params": jax.random.key(0), "dropout": jax.random.key(1)}, X)
    return m.apply(variables, X, nnx_method="other"), m.apply(
        variables, X, nnx_method=model.other
    )


@idiom
def to_linen_keywords(nnx):
    """Keyword arguments of the constructor and of the call."""
    m = nnx.bridge.to_linen(own_model(nnx), size=3)
    keys = {"params": jax.random.key(0), "dropout": jax.random.key(1)}
    variables = m.init(keys, X, scale=2.0)
    out = m.apply(
        variables, X, scale=0.0, rngs={"dropout": jax.random.key(3)}, mutable=True
    )
    return out[0]


@idiom
def to_linen_immutable(nnx):
    """State that changes, though it is not mutable."""
    m = nnx.bridge.to_linen(own_model(nnx), size=3)
    keys = {"params": jax.random.key(0), "dropout": jax.random.key(1)}
    variables = m.init(keys, X)
    return m.apply(variables, X, rngs={"dropout": jax.random.key(3)}).shape


@idiom
def to_linen_skip_rng(nnx):
    """`skip_rng` for what takes no streams."""

    class Plain(nnx.Module):
        def __init__(self, n):
            self.w = nnx.Param(jnp.ones((2, n)))

        def __call__(self, x):
            return x @ self.w

    m = nnx.bridge.to_linen(Plain, 3, skip_rng=True)
    variables = m.init(jax.random.key(0), X)
    return m.apply(variables, X)


def outer(call):
    """A Linen module that is called as `call(self, x)`, and makes its parts there."""
    nn = linen()

    class Outer(nn.Module):
        @nn.compact
        def __call__(self, x):
            return call(self, x)

    return Outer()


@idiom
def to_linen_inside_linen(nnx):
    """As a part of a Linen module, by name."""

    def call(module, x):
        x = linen().Dense(2)(x)
        return nnx.bridge.to_linen(nnx.Linear, 2, 3, name="inner")(x)

    variables = outer(call).init(jax.random.key(0), X)
    return jax.tree.map(jnp.shape, variables), outer(call).apply(variables, X)


@idiom
def to_linen_in_linen_vmap(nnx):
    """`nn.vmap` of it."""

    def call(module, x):
        make = linen().vmap(
            lambda mod, x: nnx.bridge.to_linen(nnx.Linear, 2, 3, name="inner")(x),
            variable_axes={"params": 0},
            split_rngs={"params": True},
            in_axes=0,
        )
        return make(module, x)

    variables = outer(call).init(jax.random.key(0), jnp.ones((2, 3, 2)))
    return jax.tree.map(jnp.shape, variables["params"]["inner"])


@idiom
def to_linen_partitioned(nnx):
    """Metadata of Variables becomes a box of Linen."""
    init = nnx.with_partitioning(nnx.initializers.ones_init(), ("in", "out"))
    m = nnx.bridge.to_linen(nnx.Linear, 2, 3, kernel_init=init)
    with jax.set_mesh(mesh()):
        variables = m.init(jax.random.key(0), X)
        spec = linen().get_partition_spec(variables)
    return type(variables["params"]["kernel"]).__name__, spec["params"]["kernel"]


@idiom
def there_and_back(nnx):
    """`ToNNX` of `to_linen` of a layer."""
    m = nnx.bridge.ToNNX(nnx.bridge.to_linen(nnx.Linear, 2, 3), rngs=nnx.Rngs(0))
    m.lazy_init(X)
    return m(X), paths(nnx, m)


@idiom
def variables_of_linen(nnx):
    """`linen_vars_to_nnx_attrs` and `nnx_attrs_to_linen_vars`."""
    variables = nnx.bridge.variables
    attributes = variables.linen_vars_to_nnx_attrs(
        {"params": {"a": {"w": X}}, "batch_stats": {"a": {"m": X[0]}}}
    )
    again = variables.nnx_attrs_to_linen_vars(attributes)
    kinds = {k: type(v).__name__ for k, v in attributes["a"].items()}
    return kinds, jax.tree.map(jnp.shape, again)


@idiom
def with_partitioning(nnx):
    """`nnx.bridge.with_partitioning` is an initializer for both."""
    init = nnx.bridge.with_partitioning(jax.nn.initializers.ones, ("a", "b"))
    v = init(jax.random.key(0), (2, 2), jnp.float32)
    return type(v).__name__
