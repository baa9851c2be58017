"""Programs for flax.nnx before and after: `>>>` comes out as what follows `===`.

A program without `===` comes out as it went in. The lines of `!!!` say what is left to
a person, by line and words of the note. `{agent}` stands for the head of a class.
"""

from __future__ import annotations

from typing import NamedTuple

IMPORTS = '''
>>> from_flax
from flax import nnx
===
import oakum as nnx

>>> from_flax_by_another_name
from flax import nnx as nn
===
import oakum as nn

>>> with_linen
from flax import linen as nn, nnx
===
from flax import linen as nn
import oakum as nnx

>>> with_linen_in_brackets
from flax import (
    linen as nn,  # the old one
    nnx,
    struct,
)
===
from flax import (
    linen as nn,  # the old one
    struct,
)
import oakum as nnx

>>> comments_stay
# layers
from flax import nnx  # all of them
import jax
===
# layers
import oakum as nnx  # all of them
import jax

>>> dotted_with_a_name
import flax.nnx as nnx
===
import oakum as nnx

>>> dotted
import flax.nnx

model = flax.nnx.Linear(2, 3, rngs=flax.nnx.Rngs(0))
===
import oakum as nnx

model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))

>>> dotted_beside_linen
import flax.nnx

layer = flax.linen.Dense(3)
model = flax.nnx.Linear(2, 3, rngs=flax.nnx.Rngs(0))
===
import flax
import oakum as nnx

layer = flax.linen.Dense(3)
model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))

>>> package
import flax

print(flax.__version__)
relu = flax.nnx.relu
===
import flax
import oakum as nnx

print(flax.__version__)
relu = nnx.relu

>>> package_where_nnx_is_taken
import flax
import nnx

relu = flax.nnx.relu
===
import oakum
import nnx

relu = oakum.relu

>>> linen_alone
import flax
from flax import linen as nn

layer = nn.Dense(3)
print(flax.__version__)

>>> names
from flax.nnx import Linear, Module as Base, Rngs
===
from oakum import Linear, Module as Base, Rngs

>>> star
from flax.nnx import *
===
from oakum import *

>>> several_modules
import jax, flax.nnx as nnx, optax
===
import jax, optax
import oakum as nnx

>>> on_one_line
import jax; from flax import nnx
===
import jax; import oakum as nnx

>>> twice
from flax import nnx
import flax.nnx as nnx
===
import oakum as nnx

>>> experimental
from flax.experimental import nnx
===
import oakum as nnx

>>> submodule
from flax.nnx.nn import initializers
from flax.nnx.nn.linear import Linear, default_kernel_init
===
from oakum.nn import initializers
from oakum import Linear
from flax.nnx.nn.linear import default_kernel_init
!!!
3 `flax.nnx.nn.linear.default_kernel_init` stays in flax

>>> in_a_function
def make():
    from flax import nnx

    return nnx.Linear(2, 3, rngs=nnx.Rngs(0))
===
def make():
    import oakum as nnx

    return nnx.Linear(2, 3, rngs=nnx.Rngs(0))

>>> in_a_try
try:
    from flax import nnx
except ImportError:
    nnx = None
===
try:
    import oakum as nnx
except ImportError:
    nnx = None

>>> bridge_stays
from flax import nnx
from flax.nnx import bridge

model = bridge.ToNNX(None)
===
import oakum as nnx
from flax.nnx import bridge

model = bridge.ToNNX(None)
!!!
2 keep `from flax.nnx import bridge`

>>> name_of_an_older_version
from flax import nnx

arrays = nnx.to_arrays(nnx.pure(state))
===
import oakum as nnx

arrays = nnx.to_arrays(nnx.pure(state))
!!!
3 oakum has no `nnx.to_arrays`: write nnx.pure(nnx.state(model))

>>> strings_stay
"""A program for flax.nnx."""
from flax import nnx

name = "flax.nnx"
===
"""A program for flax.nnx."""
import oakum as nnx

name = "flax.nnx"

>>> no_flax
import jax

f = jax.jit(lambda x: x, inline=True)
'''
NAMES = """
>>> renamed
from flax import nnx

def f(state: nnx.GraphState, v: nnx.VariableState):
    return nnx.abstract_with_sharding(v)
===
import oakum as nnx

def f(state: nnx.State, v: nnx.Variable):
    return nnx.as_abstract(v)

>>> renamed_import
from flax.nnx import VariableState
===
from oakum import Variable as VariableState

>>> by_its_place
from flax import nnx

layer = nnx.nn.linear.Linear(2, 3, rngs=nnx.Rngs(0))
===
import oakum as nnx

layer = nnx.Linear(2, 3, rngs=nnx.Rngs(0))

>>> missing
from flax import nnx

with nnx.update_context("x"):
    pure = nnx.as_pure(1)
===
import oakum as nnx

with nnx.update_context("x"):
    pure = nnx.as_pure(1)
!!!
3 oakum has no `nnx.update_context`: pass the objects to the transform
4 oakum has no `nnx.as_pure`: `nnx.to_pure_dict(state)`
"""
FLAGS = """
>>> flags_of_a_decorator
from flax import nnx

@nnx.jit(graph=True, graph_updates=False)
def f(model, x):
    return model(x)
===
import oakum as nnx

@nnx.jit
def f(model, x):
    return model(x)

>>> flag_beside_others
from flax import nnx

@nnx.jit(graph=True, static_argnames="train")
def f(model, x, train):
    return model(x)
===
import oakum as nnx

@nnx.jit(static_argnames="train")
def f(model, x, train):
    return model(x)

>>> flags_of_a_partial
import functools
from flax import nnx

@functools.partial(nnx.jit, graph=False)
def f(model, x):
    return model(x)

g = functools.partial(nnx.vmap, in_axes=0, graph=False)
===
import functools
import oakum as nnx

@nnx.jit
def f(model, x):
    return model(x)

g = functools.partial(nnx.vmap, in_axes=0)

>>> flag_on_a_line_of_its_own
from flax import nnx

graphdef, params, rest = nnx.split(
    model,
    nnx.Param,
    ...,
    graph=False,
)
===
import oakum as nnx

graphdef, params, rest = nnx.split(
    model,
    nnx.Param,
    ...,
)

>>> flags_of_a_variable
from flax import nnx

w = nnx.Param(0.0, hijax=False, sharding=("a",))
===
import oakum as nnx

w = nnx.Param(0.0, sharding=("a",))

>>> flags_of_others_stay
from flax import nnx

draw(nnx.Rngs(0), graph=True)
===
import oakum as nnx

draw(nnx.Rngs(0), graph=True)

>>> switch
from flax import nnx

nnx.set_graph_mode(False)
model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
===
import oakum as nnx

model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))

>>> comments_above_a_switch_stay
from flax import nnx

x = 1

# Training.
nnx.set_graph_mode(False)

y = 2

# The end.
nnx.set_graph_mode(True)
===
import oakum as nnx

x = 1

# Training.

y = 2

# The end.

>>> switch_for_a_block
from flax import nnx

# slow
with nnx.set_graph_mode(False):  # tree mode
    # both
    a = nnx.split(model)
    b = nnx.state(model)
===
import oakum as nnx

# slow
# tree mode
# both
a = nnx.split(model)
b = nnx.state(model)

>>> switch_that_is_the_whole_block
from flax import nnx

if fast:
    nnx.set_graph_mode(False)
===
import oakum as nnx

if fast:
    nnx.set_graph_mode(False)
!!!
4 oakum has one mode
"""
TRAPS = '''
>>> stale
import jax
from flax import nnx

model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
predict = jax.jit(lambda x: model(x))
===
import jax
import oakum as nnx

model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
predict = nnx.jit(lambda x: model(x))

>>> lost
import jax
from flax import nnx

@jax.jit
def step(model, optimizer: nnx.Optimizer, x):
    optimizer.update(model, nnx.grad(loss)(model, x))
===
import jax
import oakum as nnx

@nnx.jit
def step(model, optimizer: nnx.Optimizer, x):
    optimizer.update(model, nnx.grad(loss)(model, x))

>>> lost_with_options
from functools import partial
import jax
import oakum as nnx

@partial(jax.jit, static_argnames=("n",), donate_argnums=(2,))
def step(model, optimizer: nnx.Optimizer, x, n):
    optimizer.update(model, nnx.grad(loss)(model, x))
===
from functools import partial
import jax
import oakum as nnx

@partial(nnx.jit, static_argnames=("n",), donate_argnums=(2,))
def step(model, optimizer: nnx.Optimizer, x, n):
    optimizer.update(model, nnx.grad(loss)(model, x))

>>> lost_with_an_option_of_jax_alone
from functools import partial
import jax
import oakum as nnx

@partial(jax.jit, compiler_options={})
def step(model, optimizer: nnx.Optimizer, x):
    optimizer.update(model, nnx.grad(loss)(model, x))
!!!
7 OAK003

>>> handed_back
import jax
import oakum as nnx

@jax.jit
def step(model, optimizer: nnx.Optimizer, x):
    optimizer.update(model, nnx.grad(loss)(model, x))
    return model, optimizer

>>> captured_by_a_script
import jax
import optax
from flax import nnx

model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
optimizer = nnx.Optimizer(model, optax.adam(1e-3), wrt=nnx.Param)

@jax.jit  # fast
def step(x, y):
    loss, grads = nnx.value_and_grad(loss_fn)(model, x, y)
    optimizer.update(model, grads)
    return loss

for x, y in data:
    print(step(x, y))
===
import jax
import optax
import oakum as nnx

model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
optimizer = nnx.Optimizer(model, optax.adam(1e-3), wrt=nnx.Param)

@nnx.jit  # fast
def step(model, optimizer, x, y):
    loss, grads = nnx.value_and_grad(loss_fn)(model, x, y)
    optimizer.update(model, grads)
    return loss

for x, y in data:
    print(step(model, optimizer, x, y))

>>> captured_in_a_function
import jax
import optax
import oakum as nnx

def main(data):
    net = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
    opt = nnx.Optimizer(net, optax.sgd(0.1), wrt=nnx.Param)

    @jax.jit
    def step():
        opt.update(net, nnx.grad(loss)(net))

    for _ in range(3):
        step()
===
import jax
import optax
import oakum as nnx

def main(data):
    net = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
    opt = nnx.Optimizer(net, optax.sgd(0.1), wrt=nnx.Param)

    @nnx.jit
    def step(net, opt):
        opt.update(net, nnx.grad(loss)(net))

    for _ in range(3):
        step(net, opt)

>>> captured_and_handed_out
import oakum as nnx

def make_step(model, optimizer):
    @nnx.jit
    def step(x, *, rate=1.0) -> float:
        """One step."""
        optimizer.update(model, nnx.grad(loss)(model, x))

    return step
===
import oakum as nnx

def make_step(model, optimizer):
    @nnx.jit
    def _step(model, optimizer, x, *, rate=1.0) -> float:
        """One step."""
        optimizer.update(model, nnx.grad(loss)(model, x))

    def step(x, *, rate=1.0) -> float:
        return _step(model, optimizer, x, rate=rate)

    return step

>>> captured_through_self
import jax
import optax
from flax import nnx

class Trainer:
    def __init__(self, model):
        self.optimizer = nnx.ModelAndOptimizer(model, optax.adam(1e-3))

        @jax.jit
        def update(key, data):
            grad = nnx.grad(loss)(self.optimizer.model, key, data)
            self.optimizer.update(grad)

        self.update = update
===
import jax
import optax
import oakum as nnx

class Trainer:
    def __init__(self, model):
        self.optimizer = nnx.ModelAndOptimizer(model, optax.adam(1e-3))

        @nnx.jit
        def _update(optimizer, key, data):
            grad = nnx.grad(loss)(optimizer.model, key, data)
            optimizer.update(grad)

        def update(key, data):
            return _update(self.optimizer, key, data)

        self.update = update

>>> method_with_static_self
from functools import partial
import jax
import optax
from flax import nnx

{agent}

    @partial(jax.jit, static_argnums=0)
    def learn(self, x):
        self.opt.update(self.model, nnx.grad(loss)(self.model, x))

    def other(self):
        pass
===
from functools import partial
import jax
import optax
import oakum as nnx

{agent}

    @staticmethod
    @nnx.jit
    def _learn(model, opt, x):
        opt.update(model, nnx.grad(loss)(model, x))

    def learn(self, x):
        return self._learn(self.model, self.opt, x)

    def other(self):
        pass

>>> method_that_reads_more_of_self
from functools import partial
import jax
import optax
from flax import nnx

{agent}
        self.gamma = 0.9

    @partial(jax.jit, static_argnums=(0,))
    def learn(
        self,
        x,
        *rest,
    ):
        grads = nnx.grad(loss)(self.model, x, self.gamma, *rest)
        self.opt.update(self.model, grads)
===
from functools import partial
import jax
import optax
import oakum as nnx

{agent}
        self.gamma = 0.9

    @partial(nnx.jit, static_argnums=(0,))
    def _learn(
        self, model, opt,
        x,
        *rest,
    ):
        grads = nnx.grad(loss)(model, x, self.gamma, *rest)
        opt.update(model, grads)

    def learn(
        self,
        x,
        *rest,
    ):
        return self._learn(self.model, self.opt, x, *rest)

>>> bound_method
import jax
import optax
from flax import nnx

{agent}
        self.update = jax.jit(self._update)

    def _update(self, x):
        self.opt.update(self.model, nnx.grad(loss)(self.model, x))
===
import jax
import optax
import oakum as nnx

{agent}
        self.update = self._update

    @staticmethod
    @nnx.jit
    def _update_jitted(model, opt, x):
        opt.update(model, nnx.grad(loss)(model, x))

    def _update(self, x):
        return self._update_jitted(self.model, self.opt, x)

>>> method_that_replaces_an_attribute
from functools import partial
import jax
import optax
import oakum as nnx

{agent}

    @partial(jax.jit, static_argnums=0)
    def learn(self, x):
        self.loss = loss(self.model, x)
        self.opt.update(self.model, nnx.grad(loss)(self.model, x))
!!!
14 OAK001 `self.opt` is captured

>>> metrics_in_a_loss
import oakum as nnx

@nnx.jit
def step(model, metrics: nnx.MultiMetric, x):
    def loss_fn(model):
        loss = model(x).mean()
        metrics.update(loss=loss)
        return loss

    return nnx.grad(loss_fn)(model)
!!!
7 OAK001 `metrics` is captured

>>> name_that_is_taken
import jax
import optax
import oakum as nnx

{agent}

    @nnx.jit
    def learn(self, model):
        self.opt.update(self.model, nnx.grad(loss)(self.model, model))
!!!
12 OAK001 `self.opt` is captured

>>> options_by_position
from functools import partial
import jax
import optax
import oakum as nnx

model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
opt = nnx.Optimizer(model, optax.adam(1e-3), wrt=nnx.Param)

@partial(jax.jit, static_argnums=(1,))
def step(x, n):
    opt.update(model, nnx.grad(loss)(model, x))

step(1, 2)
!!!
11 OAK001 `opt` is captured

>>> lowered_by_hand
import jax
import optax
import oakum as nnx

model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
opt = nnx.Optimizer(model, optax.adam(1e-3), wrt=nnx.Param)

@jax.jit
def step(x):
    opt.update(model, nnx.grad(loss)(model, x))

step.lower(1).compile()
!!!
10 OAK001 `opt` is captured

>>> beyond_ascii
import jax
from flax import nnx

größe = nnx.Linear(2, 3, rngs=nnx.Rngs(0)); ü = jax.jit(lambda x: größe(x))
===
import jax
import oakum as nnx

größe = nnx.Linear(2, 3, rngs=nnx.Rngs(0)); ü = nnx.jit(lambda x: größe(x))
'''

AGENT = """\
class Agent:
    def __init__(self, rngs):
        self.model = nnx.Linear(2, 3, rngs=rngs)
        self.opt = nnx.Optimizer(self.model, optax.adam(1e-3), wrt=nnx.Param)
"""


class Row(NamedTuple):
    before: str
    after: str
    notes: list[tuple[int, str]]


def _rows(text: str) -> dict[str, Row]:
    rows = {}
    for part in text.replace("{agent}\n", AGENT).split("\n>>> ")[1:]:
        name, _, body = part.partition("\n")
        body, _, said = body.partition("!!!\n")
        before, _, after = body.partition("===\n")
        notes = [line.split(" ", 1) for line in said.split("\n") if line]
        before, after = before.rstrip() + "\n", (after or before).rstrip() + "\n"
        rows[name] = Row(before, after, [(int(line), what) for line, what in notes])
    return rows


PROGRAMS = _rows(IMPORTS) | _rows(NAMES) | _rows(FLAGS) | _rows(TRAPS)
