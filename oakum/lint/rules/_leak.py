"""OAK001: captured state is written under a trace."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from .._rule import RIGHT_STEP, Fault, File, Rule
from .._scopes import Binding, Scope
from .._traces import Trace, static_parameters
from .._writes import Write, iter_writes, object_path, root_of


def find(file: File) -> Iterator[Fault]:
    """Find writes to what a traced function captures."""
    seen: set[ast.AST] = set()
    for trace in file.traces.all:
        for scope in file.traces.region(trace.root):
            for write in iter_writes(file.source, scope):
                if write.node not in seen and is_captured(file, write, scope, trace):
                    seen.add(write.node)
                    yield _fault(file, write, scope, trace)


def is_captured(file: File, write: Write, scope: Scope, trace: Trace) -> bool:
    """Whether the object that is written comes from outside of a trace."""
    name = root_of(write.target)
    found = file.source.lookup(name.id, scope) if name is not None else None
    if name is None or found is None:
        return False
    home, bindings = found
    other = _other_name(bindings)
    if other is not None and home.is_inside(trace.root):
        return is_captured(file, write._replace(target=other), home, trace)
    if home is trace.root:
        return is_outer_parameter(file, name.id, trace, bindings[0].how)
    if home.is_inside(trace.root):
        return False
    # Of the names of a function that the root calls only those that it captures are
    # known to come from outside, and a `self` that is no pytree.
    if home is scope:
        owner = file.source.owner_of_self(name.id, scope)
        return owner is not None and file.source.family(owner) == "plain"
    if home.kind == "module":
        return True
    return not any(home.is_inside(each) for each in file.traces.region(trace.root))


def _other_name(bindings: list[Binding]) -> ast.Name | ast.Attribute | None:
    """`optimizer = self.optimizer`: what a name is another name for."""
    if len(bindings) != 1 or bindings[0].how != "assign":
        return None
    value = bindings[0].value
    return value if isinstance(value, (ast.Name, ast.Attribute)) else None


def is_outer_parameter(file: File, name: str, trace: Trace, how: str) -> bool:
    """Whether a parameter of the root is an object from outside, not a copy of one."""
    if how != "parameter":
        return False
    if name in trace.captured or name in static_parameters(trace):
        return True
    # `self` of a class that is no pytree is never state.
    owner = file.source.owner_of_self(name, trace.root)
    return owner is not None and file.source.family(owner) == "plain"


def _fault(file: File, write: Write, scope: Scope, trace: Trace) -> Fault:
    path = ast.unparse(object_path(file.source, write.target, scope))
    transform = trace.outermost
    own = transform if transform.startswith("nnx.") else _own_name(transform)
    name = path.rpartition(".")[2].partition("[")[0]
    return Fault(
        write.node,
        f"`{path}` is captured and {write.verb} under `{transform}` in "
        f"`{trace.root.name}`: its new value would leak out of the trace; pass it as "
        f"an argument: `@{own}` over `def {trace.root.name}({name}, …)`",
        trace.root,
        trace.node,
    )


def _own_name(transform: str) -> str:
    return "nnx." + transform.rpartition(".")[2]


RULE = Rule(
    "OAK001",
    "captured state is written under a trace",
    """\
A transform runs the function once, with tracers in place of values. An optimizer,
model, metric or stream of random keys that the function takes from outside, by closure,
as a global, through `self`, would keep a tracer after the call: at run time oakum
raises TraceContextError, flax.nnx an error of its own. Passed as an argument of nnx's
own transform, the object is updated in place.""",
    """\
optimizer = nnx.Optimizer(model, optax.adam(1e-3), wrt=nnx.Param)


@jax.jit
def step(x):
    grads = nnx.grad(lambda model: model(x).mean())(model)
    optimizer.update(model, grads)


step(x)""",
    RIGHT_STEP,
    find,
)
