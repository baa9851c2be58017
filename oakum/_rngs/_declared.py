"""What type checkers are told of the draws of a stream. Never imported.

They are the functions of `jax.random` without the key, and initializers that have one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Concatenate, Generic

import jax
from jax.nn import initializers

from .._typing import P


class Drawn(Generic[P]):
    """A distribution, as an attribute of a stream."""

    def __get__(
        self, instance: Any, owner: Any = None, /
    ) -> Callable[P, jax.Array]: ...


class Initialized(Generic[P]):
    """What makes an initializer, as an attribute of a stream."""

    def __get__(
        self, instance: Any, owner: Any = None, /
    ) -> Callable[P, Callable[..., jax.Array]]: ...


def drawn(function: Callable[Concatenate[Any, P], Any]) -> Drawn[P]: ...
def initialized(make: Callable[P, Any]) -> Initialized[P]: ...


class Draws:
    """The distributions and initializers of a stream."""

    __slots__ = ()

    ball = drawn(jax.random.ball)
    bernoulli = drawn(jax.random.bernoulli)
    beta = drawn(jax.random.beta)
    binomial = drawn(jax.random.binomial)
    bits = drawn(jax.random.bits)
    categorical = drawn(jax.random.categorical)
    cauchy = drawn(jax.random.cauchy)
    chisquare = drawn(jax.random.chisquare)
    choice = drawn(jax.random.choice)
    dirichlet = drawn(jax.random.dirichlet)
    double_sided_maxwell = drawn(jax.random.double_sided_maxwell)
    exponential = drawn(jax.random.exponential)
    f = drawn(jax.random.f)
    gamma = drawn(jax.random.gamma)
    generalized_normal = drawn(jax.random.generalized_normal)
    geometric = drawn(jax.random.geometric)
    gumbel = drawn(jax.random.gumbel)
    laplace = drawn(jax.random.laplace)
    loggamma = drawn(jax.random.loggamma)
    logistic = drawn(jax.random.logistic)
    lognormal = drawn(jax.random.lognormal)
    maxwell = drawn(jax.random.maxwell)
    multinomial = drawn(jax.random.multinomial)
    multivariate_normal = drawn(jax.random.multivariate_normal)
    normal = drawn(jax.random.normal)
    orthogonal = drawn(jax.random.orthogonal)
    pareto = drawn(jax.random.pareto)
    permutation = drawn(jax.random.permutation)
    poisson = drawn(jax.random.poisson)
    rademacher = drawn(jax.random.rademacher)
    randint = drawn(jax.random.randint)
    rayleigh = drawn(jax.random.rayleigh)
    t = drawn(jax.random.t)
    triangular = drawn(jax.random.triangular)
    truncated_normal = drawn(jax.random.truncated_normal)
    uniform = drawn(jax.random.uniform)
    wald = drawn(jax.random.wald)
    weibull_min = drawn(jax.random.weibull_min)
    delta_orthogonal = initialized(initializers.delta_orthogonal)
    glorot_normal = initialized(initializers.glorot_normal)
    glorot_uniform = initialized(initializers.glorot_uniform)
    he_normal = initialized(initializers.he_normal)
    he_uniform = initialized(initializers.he_uniform)
    kaiming_normal = initialized(initializers.kaiming_normal)
    kaiming_uniform = initialized(initializers.kaiming_uniform)
    lecun_normal = initialized(initializers.lecun_normal)
    lecun_uniform = initialized(initializers.lecun_uniform)
    variance_scaling = initialized(initializers.variance_scaling)
    xavier_normal = initialized(initializers.xavier_normal)
    xavier_uniform = initialized(initializers.xavier_uniform)
