"""`merge` of a State that a transform captures: what is written to the copy is told."""

import jax
import jax.numpy as jnp
import pytest

import oakum as nnx
from oakum.errors import LostUpdateWarning

X = jnp.arange(3.0)


def parts():
    return nnx.split(nnx.Dict(count=nnx.BatchStat(jnp.zeros(3)), w=nnx.Param(1.0)))


def counted(split, x, **options):
    model = nnx.merge(*split, **options)
    model["count"].value = model["count"].value + x
    return model


def lost(split, x):
    return x * counted(split, x)["w"].value


LOSE = {
    "nnx.jit": lambda s: nnx.jit(lambda x: lost(s, x))(X),
    "jax.vmap": lambda s: jax.vmap(lambda x: lost(s, x))(X),
    "nnx.vmap": lambda s: nnx.vmap(lambda x: lost(s, x))(X),
    "nnx.scan": lambda s: nnx.scan(lambda c, x: (c, lost(s, x)))(0.0, X),
    "nnx.cond": lambda s: nnx.cond(X[0] == 0, lambda: lost(s, X), lambda: X),
}


@pytest.mark.parametrize("transform", LOSE)
def test_a_write_that_goes_nowhere_is_told(transform):
    split = parts()
    with pytest.warns(LostUpdateWarning) as told:
        LOSE[transform](split)
    text = str(told[0].message)
    for part in ("BatchStat `.count`", f"`{transform}`", "nnx.state(model)"):
        assert part in text
    assert split[1]["count"].value.tolist() == [0.0, 0.0, 0.0]


RETURN = {
    "nnx.jit, model": lambda s: nnx.jit(lambda x: counted(s, x))(X)["count"].value,
    "nnx.jit, state": lambda s: (
        nnx.jit(lambda x: nnx.state(counted(s, x)))(X)["count"].value
    ),
    "nnx.jit, value": lambda s: nnx.jit(lambda x: counted(s, x)["count"].value)(X),
    "nnx.jit, pure": lambda s: nnx.jit(
        lambda x: nnx.to_pure_dict(nnx.state(counted(s, x), nnx.BatchStat))
    )(X)["count"],
    "nnx.grad, aux": lambda s: (
        nnx.grad(lambda x: (x.sum(), counted(s, x)), has_aux=True)(X)[1]["count"].value
    ),
    "jax.grad, aux": lambda s: (
        jax.grad(lambda x: (x.sum(), nnx.state(counted(s, x))), has_aux=True)(X)[1][
            "count"
        ].value
    ),
    "jax.jit, argument": lambda s: jax.jit(lambda s, x: counted(s, x)["count"].value)(
        s, X
    ),
    "two deep": lambda s: nnx.jit(
        lambda x: nnx.jit(lambda x: counted(s, x))(x)["count"].value
    )(X),
}


@pytest.mark.parametrize("way", RETURN)
def test_what_is_returned_is_not_lost(way):
    assert RETURN[way](parts()).tolist() == X.tolist()


def test_what_was_put_into_an_argument_is_not_lost():
    split, model = parts(), nnx.Dict()
    nnx.jit(lambda m, x: m.update(inner=counted(split, x)))(model, X)
    assert model["inner"]["count"].value.tolist() == X.tolist()


@pytest.mark.parametrize("wrap", [nnx.jit, nnx.eval_shape], ids=["copy", "shapes"])
def test_copies_that_were_asked_for_are_not_told_of(wrap):
    split = parts()
    if wrap is nnx.jit:
        nnx.jit(lambda x: counted(split, x, copy=True)["w"].value + x)(X)
    else:
        nnx.eval_shape(lambda x: lost(split, x), X)


@pytest.mark.parametrize("grad", [nnx.grad, jax.grad], ids=["nnx", "jax"])
def test_a_loss_that_is_run_for_its_gradient_alone_is_not_told_of(grad):
    split = parts()
    assert grad(lambda x: lost(split, x).sum())(X).tolist() == [1.0, 1.0, 1.0]


def test_a_merged_copy_that_is_only_read_is_not_told_of():
    split = parts()
    assert nnx.jit(lambda x: nnx.merge(*split)["w"].value + x)(X)[0] == 1.0
