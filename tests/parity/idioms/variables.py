"""Variables: their values, operators and conversions."""

import jax
import jax.numpy as jnp
import numpy as np

from tests.parity.table import Table

TABLE = Table("variables")
idiom, differs = TABLE.idiom, TABLE.differs


@idiom
def value_is_what_was_given(nnx):
    """A Param gives back its array by `value`, `get_value` and `[...]`."""
    v = nnx.Param(jnp.arange(3.0))
    return v.value, v.get_value(), v[...], v[1], v[1:]


@idiom
def number_stays_a_number(nnx):
    """A Variable may hold a Python number."""
    v = nnx.Variable(3)
    v.value += 1
    return v.value, type(v.value)


@idiom
def arithmetic(nnx):
    """Operators take Variables, arrays and numbers on both sides."""
    a, b = nnx.Param(jnp.array([1.0, 4.0])), nnx.Param(jnp.array([2.0, 3.0]))
    return a + b, a - 1, 2 * a, 1 / a, a**2, a // b, a % b, -a, abs(-a), a @ b


@idiom
def equality(nnx):
    """`==` is elementwise."""
    a = nnx.Param(jnp.array([1.0, 4.0]))
    return a == 1, a == a


@differs("order is elementwise like `==`; flax raises TypeError")
def order(nnx):
    """Comparisons by order are elementwise."""
    a = nnx.Param(jnp.array([1.0, 4.0]))
    return a < 2, a <= 1, a > 2, a >= 4


@differs("`!=` is elementwise like `==`; flax negates the whole and raises")
def not_equal(nnx):
    """`!=` of an array is elementwise."""
    return nnx.Param(jnp.array([1.0, 4.0])) != 1


@idiom
def bit_operators(nnx):
    """The bit operators work on integer Variables."""
    a = nnx.Variable(jnp.array([1, 6]))
    return a & 3, a | 1, a ^ 5, ~a, a << 1, a >> 1


@idiom
def in_place_operator_of_a_variable(nnx):
    """`v += 1` on the Variable itself is refused."""
    v = nnx.Param(jnp.array([1.0, 2.0]))
    v += 1


@idiom
def in_place_operator_of_an_attribute(nnx):
    """`m.v += 1` on an attribute is refused as well."""
    m = nnx.Dict(v=nnx.Param(jnp.ones(2)))
    m.v *= 2


@idiom
def in_place_by_value(nnx):
    """`v.value += 1` and the like write."""
    v = nnx.Param(jnp.array([1.0, 2.0]))
    v.value += 1
    v.value *= 2
    v.value -= 1
    v.value /= 2
    return v.value


@idiom
def in_place_by_ellipsis(nnx):
    """`v[...] *= 2` writes, and so does an index."""
    v = nnx.Param(jnp.ones((2, 3)))
    v[...] *= 2
    v[0] = 5.0
    v[1, 2] += 1
    return v.value


@idiom
def attributes_of_the_array(nnx):
    """Attributes and methods of the array are had from the Variable."""
    v = nnx.Param(jnp.arange(6.0).reshape(2, 3))
    return (
        v.shape,
        v.ndim,
        v.size,
        v.dtype,
        v.T,
        v.sum(),
        v.reshape(3, 2),
        v.mean(axis=0),
    )


@idiom
def at_updates(nnx):
    """`v.at[i].set` gives a new array and leaves the Variable."""
    v = nnx.Param(jnp.zeros(3))
    return v.at[1].set(2.0), v.value


@idiom
def numpy_functions(nnx):
    """`jnp` and `np` functions take a Variable."""
    v = nnx.Param(jnp.arange(3.0))
    return jnp.exp(v), jnp.stack([v, v]), np.asarray(v), np.add(v, 1)


@idiom
def python_conversions(nnx):
    """`float`, `int`, `len`, `iter` and `in` see the value."""
    v, w = nnx.Variable(jnp.array(2.0)), nnx.Variable(jnp.arange(3))
    return float(v.value), len(w), [int(x) for x in w], 2 in w, w.tolist()


@idiom
def conversion_to_a_number(nnx):
    """`float(v)` and `int(v)` of a scalar Variable."""
    v = nnx.Variable(jnp.array(2.0))
    return float(v), int(v), int(nnx.Variable(jnp.array(3)))


@idiom
def index_of_a_list(nnx):
    """An integer Variable is an index."""
    return [10, 20, 30][nnx.Variable(jnp.array(1))]


@differs("a scalar has the truth of its value; flax raises TypeError")
def truth_of_a_scalar(nnx):
    """The truth of a scalar Variable."""
    return bool(nnx.Variable(jnp.array(0.0)))


@idiom
def format_of_a_scalar(nnx):
    """A Variable of a scalar formats like one."""
    return f"{nnx.Variable(jnp.array(2.5)).value:.2f}"


@idiom
def set_value_writes(nnx):
    """`set_value` and assignment to `value` write."""
    v = nnx.Param(jnp.zeros(2))
    v.set_value(jnp.ones(2))
    first = v.value
    v.value = jnp.full(2, 3.0)
    return first, v.value


@idiom
def value_of_another_shape(nnx):
    """A value may be set that has another shape and dtype."""
    v = nnx.Param(jnp.zeros(2))
    v.value = jnp.ones((3, 3), jnp.int32)
    return v.value


@idiom
def get_value_by_index(nnx):
    """`get_value(index=...)` and `set_value(x, index=...)` take a part."""
    v = nnx.Param(jnp.arange(4.0))
    part = v.get_value(index=slice(1, 3))
    v.set_value(9.0, index=0)
    return part, v.value


@idiom
def raw_value(nnx):
    """`raw_value`, `get_raw_value` and `set_raw_value` pass hooks by."""
    v = nnx.Param(jnp.ones(2), on_get_value=lambda v, x: x * 2)
    before = v.raw_value, v.get_raw_value(), v.value
    v.set_raw_value(jnp.full(2, 3.0))
    return before, v.value


@idiom
def numpy_value(nnx):
    """A NumPy value computes like one of JAX."""
    v = nnx.Param(np.arange(3, dtype=np.float32))
    return v + 1, v.shape, v.dtype


@idiom
def value_may_be_a_pytree(nnx):
    """A Variable may hold a dict of arrays."""
    v = nnx.Param({"a": jnp.ones(2), "b": jnp.zeros(3)})
    v.value = jax.tree.map(lambda x: x + 1, v.value)
    return v.value, v["a"]


@idiom
def value_may_be_callable(nnx):
    """A Variable may hold a function and passes calls on."""
    return nnx.Variable(lambda x: x + 1)(2)


@idiom
def variable_is_a_pytree(nnx):
    """`jax.tree.map` over a Variable gives a Variable."""
    v = jax.tree.map(lambda x: x + 1, nnx.Param(jnp.ones(2), tag="a"))
    return type(v) is nnx.Param, v.value, v.tag


@idiom
def jax_functions_take_a_variable(nnx):
    """A jitted function takes a Variable like an array."""
    return jax.jit(lambda v: v * 2)(nnx.Param(jnp.ones(2)))


@idiom
def variable_hash(nnx):
    """A Variable is not hashable, since `==` is elementwise."""
    a, b = nnx.Param(1.0), nnx.Param(1.0)
    return len({a, b, a})


@differs("ValueError as for the array itself; flax tells whether its axis 0 is empty")
def truth_of_an_array(nnx):
    """The truth of a Variable of several elements."""
    return bool(nnx.Param(jnp.ones(2)))


@idiom
def array_interfaces(nnx):
    """A Variable answers `__array_namespace__` and `__jax_array__`."""
    v = nnx.Param(jnp.ones(2))
    return v.__array_namespace__().__name__, v.__jax_array__()


@idiom
def subscripted_annotation(nnx):
    """`nnx.Param[jax.Array]` stands in annotations."""

    class Model(nnx.Module):
        w: nnx.Param[jax.Array]  # type: ignore
        state: nnx.Variable[jax.Array] | None  # type: ignore

        def __init__(self):
            self.w = nnx.Param(jnp.ones(2))
            self.state = None

    return Model().w.value


@idiom
def iterating_a_scalar(nnx):
    """Iterating a scalar Variable raises."""
    return list(nnx.Param(jnp.array(1.0)))


@idiom
def empty_variable(nnx):
    """A Variable needs a value."""
    return nnx.Param()


@idiom
def shape_of_a_number(nnx):
    """A Variable of a Python float has no shape."""
    return nnx.Variable(1.0).shape


@idiom
def of_abstract_value(nnx):
    """A Variable of a ShapeDtypeStruct gives its shape and dtype."""
    v = nnx.Param(jax.ShapeDtypeStruct((2, 3), jnp.bfloat16))
    return v.shape, v.dtype, v.value


@idiom
def of_a_key(nnx):
    """A Variable holds a typed PRNG key."""
    v = nnx.Variable(jax.random.key(3))
    return v.value, jax.random.uniform(v.value, (2,))


@idiom
def bfloat16_with_number(nnx):
    """A number does not widen a bfloat16 Variable."""
    v = nnx.Param(jnp.ones(2, jnp.bfloat16))
    v.value += 1.5
    return v.value, (v * 2).dtype


@idiom
def dot_with_arrays(nnx):
    """An array on the left of a Variable."""
    v = nnx.Param(jnp.arange(4.0).reshape(2, 2))
    x = jnp.ones(2)
    return x @ v, x + v, np.ones(2, np.float32) * v
