"""The pages of `oakum explain`: for each error and warning why, wrong code, right code.

Both programs of a page run as tests: the wrong one must give the error, the right one
must not. They begin with `PREAMBLE`.
"""

from __future__ import annotations

from typing import NamedTuple

PREAMBLE = """\
import pathlib
import jax, jax.numpy as jnp, optax
import oakum as nnx

x = jnp.ones((2, 3))
model = nnx.Linear(3, 3, rngs=nnx.Rngs(0))
"""


class Page(NamedTuple):
    """What there is to say of one error."""

    why: str
    wrong: str
    right: str


PAGES = {
    "TraceContextError": Page(
        """\
Under `jax.jit`, `jax.grad` and the like, arrays are tracers: stand-ins that are
valid until the function returns. A write to an object from outside would leave a
tracer in it, and the program would fail later and elsewhere, when it is saved or
used. So the write is blocked, and nothing has changed. Objects that are arguments
of oakum's own transforms may be written: the new values are handed back when the
call succeeds. An object that was made inside and kept outside without being
returned has the same problem.""",
        """\
class Agent:
    def __init__(self):
        self.optimizer = nnx.Optimizer(model, optax.adam(1e-3))
    def update(self, x):
        @jax.jit
        def step(x):
            grads = nnx.grad(lambda m: m(x).sum())(self.optimizer.model)
            self.optimizer.update(grads)
        step(x)

Agent().update(x)""",
        """\
@nnx.jit
def update(optimizer, x):
    grads = nnx.grad(lambda m: m(x).sum())(optimizer.model)
    optimizer.update(grads)

update(nnx.Optimizer(model, optax.adam(1e-3)), x)""",
    ),
    "StaleStateWarning": Page(
        """\
`jax.jit` compiles what a function reads from outside as constants. When the
Variable changes later, the compiled function goes on with the old value. oakum's
own `jit` makes captured state an input, so that each call reads it anew; an
argument is always fresh. What `split` and `to_pure_dict` take of a captured model is
told of only where it becomes a constant: shapes, and values replaced, are not.""",
        """\
predict = jax.jit(lambda x: model(x))
predict(x)""",
        """\
predict = nnx.jit(lambda x: model(x))  # or jax.jit(lambda model, x: model(x))
predict(x)""",
    ),
    "LostUpdateWarning": Page(
        """\
Models are pytrees, so that JAX's own transforms take them; but they call the
function on a copy. What the function writes to the copy, a BatchNorm its statistics
or a Dropout its count, is dropped with it, unless the function returns it. oakum's
transforms write it to the object that was passed.""",
        """\
norm = nnx.BatchNorm(3, rngs=nnx.Rngs(0))
jax.jit(lambda norm, x: norm(x))(norm, x)""",
        """\
norm = nnx.BatchNorm(3, rngs=nnx.Rngs(0))
nnx.jit(lambda norm, x: norm(x))(norm, x)""",
    ),
    "ForeignStateWarning": Page(
        """\
What a module holds is state if it is an array, a Variable, a module, or a pytree of
these. An object of any other class is configuration: compared by value, but neither
trained nor saved. One that holds arrays or modules was hardly meant so, and a layer of
flax.nnx holds Variables that oakum does not know.""",
        """\
class Scale:
    def __init__(self): self.factor = jnp.ones(3)

model.scale = Scale()""",
        """\
class Scale(nnx.Module):
    def __init__(self): self.factor = nnx.Param(jnp.ones(3))

model.scale = Scale()""",
    ),
    "DeletedArrayError": Page(
        """\
A donated array gives its memory to the result of the call, and is gone. `nnx.jit`
donates by itself what a step overwrites, and copies what somebody else holds, so
that nothing that can still be read is ever given away. A donation by hand does not
look.""",
        """\
jax.jit(lambda kernel: kernel + 1, donate_argnums=0)(model.kernel.value)
model(x)""",
        """\
@nnx.jit
def step(model):
    model.kernel.value += 1

step(model)
model(x)""",
    ),
    "StructureError": Page(
        """\
Two structures were to agree, and do not: paths, types, shapes or dtypes. The
message lists every difference at once, and nothing was changed. `strict=False`
takes over what fits.""",
        """\
nnx.update(model, {"kernel": jnp.ones((3, 4)), "scale": jnp.ones(3)})""",
        """\
nnx.update(model, {"kernel": jnp.ones((3, 3)), "bias": jnp.ones(3)})""",
    ),
    "ShapeError": Page(
        """\
An array reached a layer that was made for another number of features. The message
names the layer by its place in the model, with the size that it expected and the
one it got.""",
        """\
model(jnp.ones((2, 4)))""",
        """\
model(jnp.ones((2, 3)))""",
    ),
    "FilterError": Page(
        """\
A filter selects nothing, or leaves a rest where there must be none. Filters select
by type (`nnx.Param`), by path (`nnx.PathContains('bias')`) or by a function; `...`
selects what is left.""",
        """\
nnx.split(nnx.BatchNorm(3, rngs=nnx.Rngs(0)), nnx.Param)""",
        """\
nnx.split(nnx.BatchNorm(3, rngs=nnx.Rngs(0)), nnx.Param, ...)""",
    ),
    "StaticValueError": Page(
        """\
An attribute that holds no array is static: part of the structure, compared by
value, so that a change of it is seen and compiled anew. An array of JAX has no value
to compare by while a function is traced. It is data, unless marked as static.""",
        """\
model.extra = nnx.static(jnp.ones(3))
nnx.split(model)""",
        """\
model.extra = jnp.ones(3)
nnx.split(model)""",
    ),
    "ArgumentError": Page(
        """\
An argument is of a kind that the function cannot use. A jitted function takes and
returns arrays, numbers, oakum objects, and pytrees of these; anything else, such as
a string, is a static argument.""",
        """\
nnx.jit(lambda model, mode: model(x))(model, "fast")""",
        """\
nnx.jit(lambda model, mode: model(x), static_argnames="mode")(model, mode="fast")""",
    ),
    "ArgumentValueError": Page(
        """\
An argument is of the right kind, but has a value that cannot be used. The message
names the argument, what it may be, and what it was.""",
        """\
nnx.Dropout(1.5)""",
        """\
nnx.Dropout(0.5)""",
    ),
    "MissingRngError": Page(
        """\
Something random is to happen, and there is no stream to draw from: a layer with
random initial values was made without `rngs`, or a Dropout is called that was given
none.""",
        """\
nnx.Dropout(0.5)(x)""",
        """\
nnx.Dropout(0.5, rngs=nnx.Rngs(0))(x)""",
    ),
    "CheckpointError": Page(
        """\
A file is no checkpoint, is damaged, or does not fit the objects that it is to be
loaded into. Every mismatch of names, shapes and dtypes is listed, and nothing was
changed.""",
        """\
pathlib.Path("model.safetensors").write_bytes(b"nothing")
nnx.load("model.safetensors", model=model)""",
        """\
nnx.save("model.safetensors", model=model)
nnx.load("model.safetensors", model=model)""",
    ),
    "MissingCheckpointError": Page(
        """\
There is no file of this name, or no folder to save in.""",
        """\
nnx.load("no_such_file.safetensors", model=model)""",
        """\
nnx.save("model.safetensors", model=model)
nnx.load("model.safetensors", model=model)""",
    ),
    "NonFiniteError": Page(
        """\
A Run looks at the measure that it watches (`loss` by default) and at the Params that it
is about to save: once one is nan or inf, all that follows is. Nothing was saved, so the
last checkpoint has finite numbers. `nnx.train.find_nonfinite` names the layer that the
first nan comes from.""",
        """\
with nnx.train.Run("runs/one", model=model) as run:
    for _ in run.epochs(1):
        run.log(loss=float("nan"))
        run.record()""",
        """\
with nnx.train.Run("runs/one", model=model) as run:
    for _ in run.epochs(1):
        run.log(loss=0.5)
        run.record()""",
    ),
    "ProcessesError": Page(
        """\
With `jax.distributed` every process runs the whole program, and what is done by all has
to be called by all, in the same order. One that calls `save` alone would wait for the
others, and they for its part of the next step. Process 0 alone writes files and prints,
whoever calls.""",
        """\
# in a program of several processes
if jax.process_index() == 0:
    nnx.save("model.safetensors", model=model)""",
        """\
nnx.save("model.safetensors", model=model)  # in all of them""",
    ),
    "MissingExtraError": Page(
        """\
The library itself needs jax, numpy, optax and safetensors. What draws, shows or trains
from the command line needs more: these packages are extras, imported when they are
first used. The message names the one that is missing and the command that installs it;
`pip install 'oakum[train]'` brings what `oakum train` needs.""",
        """\
# where matplotlib is not installed
from oakum.cli import plot_curves
plot_curves("curves.png", [{"epoch": 1, "loss": 2.0}])""",
        """\
# pip install 'oakum[train]'
from oakum.cli import plot_curves
plot_curves("curves.png", [{"epoch": 1, "loss": 2.0}])""",
    ),
    "FunctionPickleError": Page(
        """\
A lambda or inner function among the attributes is pickled by its code. One that
reads a name which cannot be pickled, such as an open file, cannot be; nor can its
code be read by another version of Python. A named function of a module always can.""",
        """\
import pickle, threading
lock = threading.Lock()
model.activation = (lambda lock: lambda x: (lock, x)[1])(lock)
pickle.dumps(model)""",
        """\
import pickle
model.activation = nnx.relu
pickle.dumps(model)""",
    ),
}
