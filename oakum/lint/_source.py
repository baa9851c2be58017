"""A parsed file, and what its names stand for.

`qualify` gives the dotted name that an expression has in the world: `nnx.Linear`,
`jax.jit`. Names of `oakum` and of `flax.nnx` are one and begin with `nnx.`. `kind` says
what an expression evaluates to, where the text makes it certain: a "module",
"optimizer", "metric", "variable", "rngs", or "other"; None where it cannot be known.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cached_property

from ._scopes import Binding, Collector, Scope

_HOMES = re.compile(r"^(?:flax\.experimental\.nnx|flax\.nnx|oakum)(?=\.|$)")
_OTHER_HOMES = ("jax.", "numpy.", "optax.", "math.", "functools.", "itertools.")
_RIVALS = ("equinox", "flax.linen", "haiku", "keras", "numpyro", "torch", "tensorflow")
_OPTIMIZERS = {"Optimizer", "ModelAndOptimizer"}
_METRICS = {"EMA", "Accuracy", "Average", "Metric", "MultiMetric", "Welford"}
_VARIABLES = {
    *("BatchStat", "Cache", "Intermediate", "LoRAParam", "OptState", "OptVariable"),
    *("Param", "Perturbation", "RngCount", "RngKey", "RngState", "Variable"),
    *("OptArray", "VariableState"),
}
_NO_MODULES = {
    *("All", "Any", "Carry", "DiffState", "Everything", "FlatState", "GraphDef"),
    *("GraphState", "Not", "Nothing", "OfType", "PathContains", "Policy", "PureState"),
    *("Data", "Initializer", "PARTITION_NAME", "Static", "VariableMetadata"),
    *("State", "StateAxes", "StateSharding", "TrainState", "WithTag"),
}
_SAME_KIND = {"nnx.clone", "nnx.view", "nnx.shard", "copy.copy", "copy.deepcopy"}
# Where modules are to be found below nnx, by the names of flax and of oakum.
_ROOMS = ("nnx.nn.", "nnx.module.", "nnx.bridge.", "nnx.helpers.", "nnx.pytreelib.")
# Transforms whose result takes the arguments of the function.
_SAME_ARGUMENTS = (".jit", "grad", ".vmap", ".pmap", ".remat", ".checkpoint")
_DEEPEST = 8


class Source:
    """The scopes of one file, and questions to them."""

    def __init__(self, tree: ast.Module):
        collected = Collector(tree)
        self.scopes = collected.scopes
        self.module = collected.scopes[0]
        self.of_node = collected.of_node
        self.imported = [
            binding.qualified
            for scope in self.scopes
            for bindings in scope.bindings.values()
            for binding in bindings
            if binding.how == "import"
        ]
        self.uses_nnx = any(_HOMES.match(name) for name in self.imported)
        self.uses_flax = any(name.startswith("flax.") for name in self.imported)
        self.has_rivals = any(name.startswith(_RIVALS) for name in self.imported)
        self._kinds: dict[int, str | None] = {}
        self._attributes: dict[Scope, dict[str, list[tuple[ast.AST, Scope]]]] = {}

    # -- names

    def lookup(self, name: str, scope: Scope) -> tuple[Scope, list[Binding]] | None:
        """Find the scope that binds a name, as Python does, with its bindings."""
        here: Scope | None = scope
        while here is not None:
            bindings = here.bindings.get(name)
            visible = here.kind != "class" or here is scope
            if bindings and visible and name not in here.outer:
                return here, bindings
            here = here.parent
        return None

    def only_value(self, name: str, scope: Scope) -> tuple[ast.AST, Scope] | None:
        """The one value that a name is bound to, and where.

        Of a function that is wrapped under its own name, `step = jax.jit(step)`, that
        is the function.
        """
        found = self.lookup(name, scope)
        if found is None:
            return None
        bindings = found[1]
        if len(bindings) > 1 and bindings[0].how == "function":
            bindings = [b for b in bindings if not _wraps(b, name)]
        if len(bindings) != 1:
            return None
        binding = bindings[0]
        wanted = binding.how in ("assign", "function", "class")
        return (binding.value, found[0]) if wanted and binding.value else None

    def qualify(self, node: ast.AST, scope: Scope, depth: int = 0) -> str:
        """The dotted name of an expression in the world, or the empty string."""
        attributes = []
        while isinstance(node, ast.Attribute):
            attributes.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return ""
        found = self.lookup(node.id, scope)
        if found is None:
            return node.id if not attributes else ""
        binding = found[1][-1]
        if binding.how == "import":
            name = binding.qualified
        elif binding.how == "assign" and len(found[1]) == 1 and depth < 2:
            value = binding.value
            if not isinstance(value, (ast.Name, ast.Attribute)):
                return ""
            name = self.qualify(value, found[0], depth + 1)
        else:
            return ""
        if not name:
            return ""
        return _HOMES.sub("nnx", ".".join([name, *reversed(attributes)]))

    # -- classes

    def class_of(self, node: ast.AST, scope: Scope, depth: int = 0) -> Scope | None:
        """The class of this file that an expression is an instance of."""
        if depth > _DEEPEST:
            return None
        if isinstance(node, ast.Call):
            if self.qualify(node.func, scope) in _SAME_KIND and node.args:
                return self.class_of(node.args[0], scope, depth + 1)
            return self._class_named(node.func, scope)
        if isinstance(node, ast.Name):
            return self._class_of_name(node.id, scope, depth + 1)
        if isinstance(node, ast.Attribute):
            values = list(self.attribute_values(node, scope, depth + 1))
            if values:
                return self.class_of(*values[0], depth + 1)
        return None

    def _class_of_name(self, name: str, scope: Scope, depth: int) -> Scope | None:
        owner = self.owner_of_self(name, scope)
        if owner is not None:
            return owner
        home, bindings = self.lookup(name, scope) or (scope, [])
        for binding in bindings:
            if binding.how == "assign" and binding.value is not None:
                return self.class_of(binding.value, home, depth)
            annotation = _annotation(binding)
            if annotation is not None:
                return self._class_named(annotation, home)
        return None

    def _class_named(self, node: ast.AST, scope: Scope) -> Scope | None:
        if not isinstance(node, ast.Name):
            return None
        value = self.only_value(node.id, scope)
        if value is not None and isinstance(value[0], ast.ClassDef):
            return self.of_node[value[0]]
        return None

    def owner_of_self(self, name: str, scope: Scope) -> Scope | None:
        """The class whose instance the name `self` is here."""
        found = self.lookup(name, scope)
        if found is None or found[1][0].how != "parameter":
            return None
        method = found[0]
        owner = method.parent
        if owner is None or owner.kind != "class" or method.parameters[0] != name:
            return None
        decorators = getattr(method.node, "decorator_list", [])
        named = {d.id for d in decorators if isinstance(d, ast.Name)}
        return None if named & {"staticmethod", "classmethod"} else owner

    def family(self, owner: Scope, depth: int = 0) -> str:
        """What a class is: a kind, "plain" without bases, "unknown" otherwise."""
        node = owner.node
        assert isinstance(node, ast.ClassDef)
        families = set()
        for base in node.bases:
            if isinstance(base, ast.Subscript):
                base = base.value
            name = self.qualify(base, owner.parent or owner)
            local = self._class_named(base, owner.parent or owner)
            if local is not None and depth < _DEEPEST:
                families.add(self.family(local, depth + 1))
            elif name not in ("object", "typing.Generic", "abc.ABC", "Generic"):
                families.add(kind_of_class(name) or "unknown")
        families.discard("plain")
        if not families:
            known = node.decorator_list or node.keywords
            return "unknown" if known else "plain"
        return next(iter(families)) if len(families) == 1 else "unknown"

    def attribute_values(
        self, node: ast.Attribute, scope: Scope, depth: int = 0
    ) -> Iterator[tuple[ast.AST, Scope]]:
        """What an attribute of an instance of a class of this file is set to."""
        owner = self.class_of(node.value, scope, depth)
        if owner is not None:
            yield from self.attributes_of(owner).get(node.attr, ())

    def attributes_of(self, owner: Scope) -> dict[str, list[tuple[ast.AST, Scope]]]:
        """What the methods of a class set on `self`, by name."""
        if owner in self._attributes:
            return self._attributes[owner]
        values: dict[str, list[tuple[ast.AST, Scope]]] = {}
        for scope in self.scopes:
            if scope.kind != "function" or not scope.is_inside(owner):
                continue
            for target, statement in scope.writes:
                if not isinstance(target, ast.Attribute):
                    continue
                if not isinstance(target.value, ast.Name):
                    continue
                if self.owner_of_self(target.value.id, scope) is not owner:
                    continue
                value = _assigned(target, statement)
                if value is not None:
                    values.setdefault(target.attr, []).append((value, scope))
        self._attributes[owner] = values
        return values

    # -- kinds

    def kind(self, node: ast.AST, scope: Scope, depth: int = 0) -> str | None:
        """What an expression evaluates to, where that is certain."""
        key = id(node)
        if key not in self._kinds:
            self._kinds[key] = None  # for what is defined by itself
            if depth <= _DEEPEST:
                self._kinds[key] = self._kind(node, scope, depth + 1)
        return self._kinds[key]

    def _kind(self, node: ast.AST, scope: Scope, depth: int) -> str | None:
        if isinstance(node, ast.Name):
            return self._kind_of_name(node.id, scope, depth)
        if isinstance(node, ast.Attribute):
            of = self.kind(node.value, scope, depth) if node.attr == "model" else ""
            if of == "optimizer":
                return "module"
            values = list(self.attribute_values(node, scope, depth))
            return _agreed([self.kind(*value, depth) for value in values])
        if isinstance(node, ast.Call):
            return self._kind_of_call(node, scope, depth)
        if isinstance(node, ast.IfExp):
            branches = (node.body, node.orelse)
            return _agreed([self.kind(b, scope, depth) for b in branches])
        if isinstance(node, ast.NamedExpr):
            return self.kind(node.value, scope, depth)
        if isinstance(node, ast.Constant) and node.value is None:
            return None
        plain = (ast.Constant, ast.Dict, ast.List, ast.Tuple, ast.Set, ast.Lambda)
        return "other" if isinstance(node, plain) else None

    def _kind_of_name(self, name: str, scope: Scope, depth: int) -> str | None:
        owner = self.owner_of_self(name, scope)
        if owner is not None:
            family = self.family(owner)
            return family if family not in ("plain", "unknown") else None
        found = self.lookup(name, scope)
        if found is None:
            return None
        kinds = []
        for binding in found[1]:
            annotation = _annotation(binding)
            if annotation is not None:
                kinds.append(self.kind_of_annotation(annotation, found[0]))
            elif binding.how == "parameter":
                kinds.append(self._kind_of_parameter(name, found[0], depth))
            elif binding.how in ("function", "class"):
                kinds.append("other")
            elif binding.how == "assign" and binding.value is not None:
                kinds.append(self.kind(binding.value, found[0], depth))
            elif binding.how == "unpack" and isinstance(binding.value, ast.Call):
                of = self.qualify(binding.value.func, found[0])
                kinds.append("module" if of == "nnx.merge" else None)
        return _agreed(kinds)

    def _kind_of_parameter(self, name: str, scope: Scope, depth: int) -> str | None:
        """The kind of what the calls in the file give to a parameter."""
        position = scope.parameters.index(name)
        kinds = []
        for call, place in self._calls_by_name.get(scope.name, ()):
            value = self.only_value(scope.name, place)
            if value is None or value[0] is not scope.node:
                continue
            given = call.args[position : position + 1]
            given += [k.value for k in call.keywords if k.arg == name]
            kinds += [self.kind(each, place, depth) for each in given]
        return _agreed(kinds)

    @cached_property
    def _calls_by_name(self) -> dict[str, list[tuple[ast.Call, Scope]]]:
        calls: dict[str, list[tuple[ast.Call, Scope]]] = {}
        for scope in self.scopes:
            for call in scope.calls:
                if name := self._called_name(call.func, scope):
                    calls.setdefault(name, []).append((call, scope))
        return calls

    def _called_name(self, func: ast.AST, scope: Scope) -> str:
        """The function that a call runs: `f` of `f(x)` and of `jax.jit(f)(x)`."""
        if isinstance(func, ast.Name):
            value = self.only_value(func.id, scope)
            if value is None or not isinstance(value[0], ast.Call):
                return func.id
            return self._called_name(*value)  # `fast = jax.jit(f)`
        if not isinstance(func, ast.Call) or not func.args:
            return ""
        name = self.qualify(func.func, scope)
        known = name.startswith(("jax.", "nnx.")) and name.endswith(_SAME_ARGUMENTS)
        inner = func.args[0]
        return inner.id if known and isinstance(inner, ast.Name) else ""

    def kind_of_annotation(self, node: ast.AST, scope: Scope) -> str | None:
        """The kind that an annotation promises."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            try:
                node = ast.parse(node.value, mode="eval").body
            except SyntaxError:
                return None
        if isinstance(node, ast.BinOp):  # `Model | None`
            node = node.left
        if isinstance(node, ast.Subscript):  # `nnx.Optimizer[Model]`, `Param[Array]`
            node = node.value
        local = self._class_named(node, scope)
        if local is not None:
            return self._kind_of_instance(local)
        name = self.qualify(node, scope)
        plain = name.startswith(_OTHER_HOMES) or (name and "." not in name)
        return kind_of_class(name) or ("other" if plain else None)

    def _kind_of_instance(self, owner: Scope) -> str:
        family = self.family(owner)
        return "other" if family in ("plain", "unknown") else family

    def _kind_of_call(self, node: ast.Call, scope: Scope, depth: int) -> str | None:
        name = self.qualify(node.func, scope)
        if name in _SAME_KIND:
            return self.kind(node.args[0], scope, depth) if node.args else None
        if kind := _kind_of_result(name):
            return kind
        owner = self._class_named(node.func, scope)
        if owner is not None:
            return self._kind_of_instance(owner)
        made = self._function_named(node.func, scope)
        if made is not None:
            one = len(made.returns) == 1
            return self.kind(made.returns[0], made, depth) if one else None
        # A constructor from elsewhere: only what is made of layers takes streams.
        called = name or ast.unparse(node.func)
        is_constructor = called.rpartition(".")[2][:1].isupper()
        takes_streams = self._takes_streams(node, scope, depth)
        return "module" if is_constructor and takes_streams else None

    def _takes_streams(self, node: ast.Call, scope: Scope, depth: int) -> bool:
        return any(keyword.arg == "rngs" for keyword in node.keywords) or any(
            self.kind(arg, scope, depth) == "rngs" for arg in node.args
        )

    def _function_named(self, node: ast.AST, scope: Scope) -> Scope | None:
        if not isinstance(node, ast.Name):
            return None
        value = self.only_value(node.id, scope)
        if value is not None and isinstance(value[0], ast.FunctionDef):
            return self.of_node[value[0]]
        return None


def _kind_of_result(name: str) -> str | None:
    """What a call of something from elsewhere gives, by its name."""
    if name == "nnx.merge":
        return "module"
    return kind_of_class(name) or ("other" if name.startswith(_OTHER_HOMES) else None)


def kind_of_class(name: str) -> str | None:
    if not name.startswith("nnx."):
        return None
    last = name.rpartition(".")[2]
    if not last[:1].isupper() or last in _NO_MODULES:
        return None
    if last.endswith(("Error", "Warning")):
        return None
    if last in _OPTIMIZERS:
        return "optimizer"
    if last in _METRICS or name.startswith("nnx.metrics."):
        return "metric"
    if last in _VARIABLES:
        return "variable"
    if last in ("Rngs", "RngStream"):
        return "rngs"
    return "module" if name.startswith(_ROOMS) or name.count(".") == 1 else None


def _annotation(binding: Binding) -> ast.AST | None:
    if binding.how == "annotation":
        return binding.value
    return getattr(binding.value, "annotation", None)


def _wraps(binding: Binding, name: str) -> bool:
    """Whether a name is bound to a call that takes what it was bound to before."""
    call = binding.value
    if binding.how != "assign" or not isinstance(call, ast.Call):
        return False
    return any(isinstance(arg, ast.Name) and arg.id == name for arg in call.args)


def _agreed(kinds: list[str | None]) -> str | None:
    known = {kind for kind in kinds if kind is not None}
    return known.pop() if len(known) == 1 else None


def _assigned(target: ast.expr, statement: ast.AST) -> ast.AST | None:
    """The value that a statement gives to one of its targets."""
    value = getattr(statement, "value", None)
    if isinstance(statement, ast.AnnAssign) and value is not None:
        return value
    if not isinstance(statement, ast.Assign):
        return None
    if target in statement.targets:
        return value
    for each in statement.targets:
        if not isinstance(each, ast.Tuple) or not isinstance(value, ast.Tuple):
            continue
        if len(each.elts) == len(value.elts) and target in each.elts:
            return value.elts[each.elts.index(target)]
    return None
