"""OAK008: something is saved while a function is traced."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from .._rule import Fault, File, Rule
from .._scopes import Scope
from .._source import Source
from .._traces import Trace

_FUNCTIONS = {
    *("nnx.save", "nnx.train.save", "flax.training.checkpoints.save_checkpoint"),
    *("pickle.dump", "pickle.dumps", "cloudpickle.dump", "cloudpickle.dumps"),
    *("numpy.save", "numpy.savez", "numpy.savez_compressed", "numpy.savetxt"),
    *("jax.numpy.save", "jax.numpy.savez"),
    *("safetensors.flax.save_file", "safetensors.numpy.save_file"),
}
_METHODS = {"save", "save_checkpoint"}


def find(file: File) -> Iterator[Fault]:
    """Find calls that save, under any trace."""
    seen: set[ast.AST] = set()
    for trace in file.traces.all:
        for scope in file.traces.region(trace.root):
            for call in scope.calls:
                if call not in seen and _saves(file.source, call, scope):
                    seen.add(call)
                    yield _fault(call, trace)


def _saves(source: Source, call: ast.Call, scope: Scope) -> bool:
    if source.qualify(call.func, scope) in _FUNCTIONS:
        return True
    func = call.func
    if not isinstance(func, ast.Attribute) or func.attr not in _METHODS:
        return False
    return _is_checkpointer(source, func.value, scope)


def _is_checkpointer(source: Source, node: ast.AST, scope: Scope) -> bool:
    """Whether an object was made by orbax, or is a run of `nnx.train`."""
    values: list[tuple[ast.AST, Scope]] = [(node, scope)]
    if isinstance(node, ast.Name):
        value = source.only_value(node.id, scope)
        values = [value] if value is not None else []
    elif isinstance(node, ast.Attribute):
        values = list(source.attribute_values(node, scope))
    return any(
        isinstance(value, ast.Call)
        and source.qualify(value.func, place).startswith(("orbax.", "nnx.train."))
        for value, place in values
    )


def _fault(call: ast.Call, trace: Trace) -> Fault:
    return Fault(
        call,
        f"`{ast.unparse(call.func)}` is called under `{trace.outermost}` in "
        f"`{trace.root.name}`, which runs once, with tracers in place of values; save "
        f"after the call has returned",
        trace.root,
        trace.node,
    )


RULE = Rule(
    "OAK008",
    "something is saved inside a trace",
    """\
While a function is traced, its arrays are tracers: there is nothing yet to be saved,
and the call would run once, at compilation, not at each step. `nnx.save` refuses;
others fail in ways of their own. Save after the step, or in a callback of JAX.""",
    """\
@nnx.jit
def step(model, x):
    nnx.save("model.safetensors", model=model)
    return model(x)


step(model, x)""",
    """\
@nnx.jit
def step(model, x):
    return model(x)


step(model, x)
nnx.save("model.safetensors", model=model)""",
    find,
)
