"""What flax gained after 0.12.8: run by its older versions, these differ."""

from functools import partial

import jax
import jax.numpy as jnp

from tests.parity.table import Table

TABLE = Table("newest")
idiom, differs = TABLE.idiom, TABLE.differs
since = partial(differs, before="0.12.12")
X = jnp.arange(6.0).reshape(3, 2)
FORWARDED = "a keyword argument reaches every layer that takes it, as in flax 0.12.12"
CAPTURE_ALONE = "`capture_noop` is there, as in flax 0.12.12"


def gate(nnx):
    class Gate(nnx.Module):
        def __init__(self, by=1.0):
            self.by = by

        def __call__(self, x, *, on=False, scale=1.0):
            return x * scale + self.by if on else x

    return Gate


@since(FORWARDED)
def sequential_keyword_of_a_later_layer(nnx):
    """`Sequential` with a keyword that only the second layer takes."""
    return nnx.Sequential(jnp.sin, gate(nnx)())(X, on=True)


@since(FORWARDED)
def sequential_keyword_of_all(nnx):
    """`Sequential` with a keyword that each layer takes."""
    return nnx.Sequential(gate(nnx)(1.0), gate(nnx)(2.0))(X, on=True, scale=3.0)


@since(FORWARDED)
def sequential_keyword_of_none(nnx):
    """`Sequential` with a keyword that no layer takes."""
    return nnx.Sequential(jnp.sin, nnx.relu)(X, on=True)


@since(FORWARDED)
def sequential_mode_of_dropouts(nnx):
    """`Sequential` hands `deterministic` to the Dropouts in it."""
    rngs = nnx.Rngs(0)
    layers = nnx.Dropout(0.5, rngs=rngs), nnx.relu, nnx.Dropout(0.5, rngs=rngs)
    return nnx.Sequential(*layers)(X, deterministic=True)


@since(FORWARDED)
def sequential_keywords_of_any_name(nnx):
    """`Sequential` with a function of `**kwargs`."""
    return nnx.Sequential(lambda x: x, lambda x, **k: (x, k))(X, a=1, b=2)


@idiom
def sequential_argument_given_twice(nnx):
    """`Sequential` with a keyword that a layer before returned too."""
    fns = (lambda x: {"x": x, "on": True}), (lambda x, on: x)
    return nnx.Sequential(*fns)(X, on=False)


@idiom
def sequential_rngs(nnx):
    """`Sequential` hands `rngs` to whom takes them."""
    return nnx.Sequential(nnx.Dropout(0.5), nnx.relu)(X, rngs=nnx.Rngs(0))


@since("a Sequential can be iterated, as in flax 0.12.12")
def sequential_iterates(nnx):
    """`for layer in sequential`."""
    layers = gate(nnx)(1.0), gate(nnx)(2.0)
    return [layer.by for layer in nnx.Sequential(*layers)]


def recorder(nnx):
    class Recorder(nnx.Module):
        def __call__(self, x):
            kept = self.sow(nnx.Intermediate, "h", x, capture_noop=True)
            return kept, self.perturb("p", x, capture_noop=True)

    return Recorder()


@since(CAPTURE_ALONE)
def capture_noop_outside(nnx):
    """`sow` and `perturb` with `capture_noop`, without a capture."""
    m = recorder(nnx)
    return m(X), nnx.to_pure_dict(nnx.state(m))


@since(CAPTURE_ALONE)
def capture_noop_inside(nnx):
    """`sow` and `perturb` with `capture_noop`, in a capture of both types."""
    m = recorder(nnx)
    out, h, p = nnx.capture(m, nnx.Intermediate, nnx.Perturbation)(X)
    return out, nnx.to_pure_dict(h), nnx.to_pure_dict(p)


@idiom
def capture_of_other_types(nnx):
    """What a capture does not ask for is recorded nowhere."""

    class Recorder(nnx.Module):
        def __call__(self, x):
            return self.sow(nnx.BatchStat, "h", x), self.perturb("p", x)

    m = Recorder()
    out, found = nnx.capture(m, nnx.Intermediate)(X)
    return out, nnx.to_pure_dict(found), nnx.to_pure_dict(nnx.state(m))


def rotated(nnx):
    rope = nnx.RoPE(embedding_size=4, max_seq_len=8)
    fn = partial(nnx.dot_product_attention_with_rope, rope=rope)
    return nnx.MultiHeadAttention(2, 8, decode=False, attention_fn=fn, rngs=nnx.Rngs(0))


@idiom
def attention_input_positions(nnx):
    """`MultiHeadAttention` hands `input_positions` to its function."""
    seen = []

    def fn(query, key, value, *, input_positions=None, **options):
        seen.append(input_positions)
        return nnx.dot_product_attention_with_rope(
            query, key, value, rope=nnx.RoPE(), **options
        )

    layer = nnx.MultiHeadAttention(
        2, 8, decode=False, attention_fn=fn, rngs=nnx.Rngs(0)
    )
    x = jax.random.normal(jax.random.key(0), (2, 3, 8))
    return nnx.RoPE and layer(x), layer(x, input_positions=jnp.arange(3)), seen


@differs("positions are `(batch..., length)` as documented; flax maps over heads there")
def attention_positions_by_rope(nnx):
    """`MultiHeadAttention` with rotation, by `input_positions`."""
    x = jax.random.normal(jax.random.key(0), (2, 3, 8))
    return nnx.RoPE and rotated(nnx)(
        x, input_positions=jnp.array([[0, 1, 2], [5, 2, 7]])
    )


@idiom
def attention_rate_out_of_range(nnx):
    """`dot_product_attention` with a rate of dropout below zero."""
    x = jnp.ones((1, 2, 1, 2))
    key = jax.random.key(0)
    return nnx.RoPE and nnx.dot_product_attention(
        x, x, x, dropout_rate=-0.5, deterministic=False, dropout_rng=key
    )


@idiom
def attention_dropout_without_a_key(nnx):
    """`dot_product_attention` with dropout, and nothing to draw it from."""
    x = jnp.ones((1, 2, 1, 2))
    return nnx.RoPE and nnx.dot_product_attention(
        x, x, x, dropout_rate=0.5, deterministic=False
    )


@idiom
def decode_of_a_causal_layer(nnx):
    """Decoding with `is_causal` attends to all of the cache."""
    layer = nnx.RoPE and nnx.MultiHeadAttention(2, 8, decode=True, rngs=nnx.Rngs(0))
    x = jax.random.normal(jax.random.key(0), (1, 3, 8))
    layer.init_cache(x.shape)
    return [layer(x[:, i : i + 1], is_causal=True) for i in range(3)]


@since("a property that sets elsewhere may be set in a trace, as in flax 0.12.12")
def property_set_in_a_trace(nnx):
    """A property of a captured module, whose setter writes nothing of the module."""
    seen = []

    class Told(nnx.Module):
        @property
        def width(self):
            return seen[-1]

        @width.setter
        def width(self, value):
            seen.append(value.shape[0])

    m = Told()

    def f(x):
        m.width = x
        return x * m.width

    return nnx.jit(f)(X), jax.jit(f)(X), seen[-1]


@idiom
def train_state_of_a_model(nnx):
    """`TrainState[Model]` as annotation and as a base."""

    class Own(nnx.TrainState[nnx.Linear]):
        extra: int

    return [base.__name__ for base in Own.__mro__[1:2]]
