"""Imports, names and flags, in one walk of a libcst tree."""

from __future__ import annotations

from collections.abc import Sequence

import libcst as cst
from libcst.metadata import ParentNodeProvider, QualifiedNameProvider

from ._names import (
    MODE_FLAGS,
    MODE_SWITCHES,
    PACKAGE,
    VARIABLE_FLAGS,
    Names,
    present_name,
    relative,
)

_Small = cst.BaseSmallStatement


class Renamer(cst.CSTTransformer):
    """Rewrites imports of flax.nnx, names below it, and flags that select a mode.

    Args:
        names: what oakum has.
        alias: what nnx is called where a program writes `flax.nnx` in full.
        keeps_flax: whether `flax` is still used for anything else.
    """

    METADATA_DEPENDENCIES = (QualifiedNameProvider, ParentNodeProvider)

    def __init__(self, names: Names, alias: str, keeps_flax: bool):
        super().__init__()
        self.names = names
        self.alias = alias
        self.keeps_flax = keeps_flax
        self._dropped: list[cst.CSTNode] = []
        self._packages: set[str] = set()  # the imports of oakum at the top, so far

    # -- imports

    def leave_SimpleStatementLine(
        self,
        original_node: cst.SimpleStatementLine,
        updated_node: cst.SimpleStatementLine,
    ):
        if _is_switch(self, original_node):
            self._dropped.append(updated_node)
            return updated_node
        statements: list[list[_Small]] = [self._import(s) for s in updated_node.body]
        if isinstance(self.get_metadata(ParentNodeProvider, original_node), cst.Module):
            statements = [self._once(new) for new in statements]
        if not any(statements):
            return cst.RemoveFromParent()
        if [[old] for old in updated_node.body] == statements:
            return updated_node
        if len(statements) > 1:
            flat = [_bare(statement) for new in statements for statement in new]
            return updated_node.with_changes(body=flat)
        first, *others = map(_bare, statements[0])
        lines = [updated_node.with_changes(body=[first])]
        lines += [cst.SimpleStatementLine([statement]) for statement in others]
        return cst.FlattenSentinel(lines)

    def leave_IndentedBlock(
        self, original_node: cst.IndentedBlock, updated_node: cst.IndentedBlock
    ):
        return self._without_dropped(updated_node)

    def leave_Module(self, original_node: cst.Module, updated_node: cst.Module):
        return self._without_dropped(updated_node)

    def _without_dropped(self, node):
        """Leave out lines; what stands above them goes to the next line."""
        body, above = [], []
        for line in node.body:
            if any(line is dropped for dropped in self._dropped):
                above += _leading(line)
                continue
            own = _leading(line)
            if above and (not own or _has_comment(above)):
                line = line.with_changes(leading_lines=[*above, *own])
            body.append(line)
            above = []
        if len(body) == len(node.body):
            return node
        rest = above if _has_comment(above) else []
        return node.with_changes(body=body, footer=[*rest, *node.footer])

    def _once(self, statements: list[_Small]) -> list[_Small]:
        """Leave out the imports of oakum that came before."""
        kept = []
        for statement in statements:
            code = cst.Module([]).code_for_node(statement)
            if not code.startswith(f"import {PACKAGE}") or code not in self._packages:
                kept.append(statement)
            self._packages.add(code)
        return kept

    def _import(self, node: _Small) -> list[_Small]:
        if isinstance(node, cst.Import):
            return self._import_modules(node)
        if isinstance(node, cst.ImportFrom) and node.module and not node.relative:
            module = _dotted(node.module)
            if module in ("flax", "flax.experimental"):
                return self._import_from_flax(node)
            place = relative(module)
            if place is not None and not module.startswith(PACKAGE):
                return self._import_from_nnx(node, place)
        return [node]

    def _import_modules(self, node: cst.Import) -> list[_Small]:
        """`import flax.nnx as nnx`, `import flax.nnx`, `import flax`."""
        kept: list[cst.ImportAlias] = []
        new: list[_Small] = []
        for alias in node.names:
            stays, comes = self._import_module(alias, node)
            kept += stays
            new += comes
        if not new:
            return [node]
        old = [node.with_changes(names=_ended(kept, node))] if kept else []
        return [*old, *_distinct(new)]

    def _import_module(
        self, alias: cst.ImportAlias, node: cst.Import
    ) -> tuple[list[cst.ImportAlias], list[_Small]]:
        """What of an import stays, and what comes in its place."""
        module = _dotted(alias.name)
        place = relative(module)
        if module == "flax" and alias.asname is None and self.alias:
            stays = [alias] if self.keeps_flax else []
            return stays, [_import_package(self.alias)]
        if place is None or module.startswith(PACKAGE):
            return [alias], []
        if alias.asname is None:
            stays = [cst.ImportAlias(cst.Name("flax"))] if self.keeps_flax else []
            return stays, [_import_package(self.alias or "nnx")]
        if place and not self.names.is_module(place):
            return [alias], []
        target = ".".join(filter(None, [PACKAGE, place]))
        moved = alias.with_changes(name=_path(target))
        return [], [cst.Import(_ended([moved], node))]

    def _import_from_flax(self, node: cst.ImportFrom) -> list[_Small]:
        """`from flax import nnx, linen as nn`."""
        if isinstance(node.names, cst.ImportStar):
            return [node]
        found = [a for a in node.names if _dotted(a.name) == "nnx"]
        if not found:
            return [node]
        others = [a for a in node.names if _dotted(a.name) != "nnx"]
        new: list[_Small] = [_import_package(_bound(alias)) for alias in found]
        if not others:
            return new
        return [node.with_changes(names=_ended(others, node)), *new]

    def _import_from_nnx(self, node: cst.ImportFrom, place: str) -> list[_Small]:
        """`from flax.nnx.nn import initializers`."""
        if isinstance(node.names, cst.ImportStar):
            known = not place or self.names.is_module(place)
            target = ".".join(filter(None, [PACKAGE, place]))
            return [node.with_changes(module=_path(target))] if known else [node]
        stay: list[cst.ImportAlias] = []
        moved: dict[str, list[cst.ImportAlias]] = {}
        for alias in node.names:
            name = _dotted(alias.name)
            home = self._home(name, place)
            if home is None:
                stay.append(alias)
                continue
            module, present = home
            if present != name:
                bound = cst.AsName(cst.Name(_bound(alias)))
                same = present == _bound(alias)
                alias = alias.with_changes(
                    name=cst.Name(present), asname=None if same else bound
                )
            moved.setdefault(module, []).append(alias)
        if not moved:
            return [node]
        new: list[_Small] = [
            node.with_changes(module=_path(module), names=_ended(aliases, node))
            for module, aliases in moved.items()
        ]
        old = [node.with_changes(names=_ended(stay, node))] if stay else []
        return [*new, *old]

    def _home(self, name: str, place: str) -> tuple[str, str] | None:
        """The module of oakum that has a name, and what it is called there."""
        full = ".".join(filter(None, [place, name]))
        if place and self.names.is_module(place) and self.names.has(full):
            return f"{PACKAGE}.{place}", name
        present = present_name(name, self.names)
        if present is not None and "." not in present:
            return PACKAGE, present
        return None

    # -- names

    def leave_Attribute(
        self, original_node: cst.Attribute, updated_node: cst.Attribute
    ):
        qualified = self._qualified(original_node)
        if qualified in ("flax.nnx", "flax.experimental.nnx"):
            # The name `nnx` itself is no attribute: this is `flax.nnx`, in full.
            inside_import = self._is_in_import(original_node)
            return updated_node if inside_import else cst.Name(self.alias or "nnx")
        place = relative(qualified) if qualified else None
        if not place or self._is_in_import(original_node):
            return updated_node
        parent = self.get_metadata(ParentNodeProvider, original_node)
        if isinstance(parent, cst.Attribute) and parent.value is original_node:
            return updated_node  # the whole path is looked up
        return self._renamed(original_node, updated_node, place)

    def _renamed(self, original: cst.Attribute, updated: cst.Attribute, place: str):
        """Rename the part of a path that oakum calls otherwise."""
        parts = place.split(".")
        for count in range(len(parts), 0, -1):
            head = ".".join(parts[:count])
            present = present_name(head, self.names)
            if present == head:
                return updated
            if present is not None:
                node = updated
                for _ in range(len(parts) - 1):
                    if not isinstance(node.value, cst.Attribute):
                        return updated  # a part of nnx that has a name of its own
                    node = node.value
                new: cst.BaseExpression = node.value
                for part in [*present.split("."), *parts[count:]]:
                    new = cst.Attribute(new, cst.Name(part))
                return new
        return updated

    def _qualified(self, node: cst.CSTNode) -> str:
        found = self.get_metadata(QualifiedNameProvider, node, None) or ()
        names = sorted(each.name for each in found if each.source.name == "IMPORT")
        return names[0] if names else ""

    def _is_in_import(self, node: cst.CSTNode) -> bool:
        parent = self.get_metadata(ParentNodeProvider, node)
        while isinstance(parent, cst.Attribute):
            parent = self.get_metadata(ParentNodeProvider, parent)
        return isinstance(parent, (cst.ImportAlias, cst.ImportFrom))

    # -- flags

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call):
        called = self._qualified(original_node.func)
        if called == "functools.partial" and original_node.args:
            called = self._qualified(original_node.args[0].value)
        name = relative(called) if called else None
        if not name:
            return updated_node
        flags = MODE_FLAGS
        if name.rpartition(".")[2][:1].isupper():
            flags = VARIABLE_FLAGS
        return without_keywords(updated_node, flags)

    def leave_Decorator(
        self, original_node: cst.Decorator, updated_node: cst.Decorator
    ):
        """`@nnx.jit()`, where a flag was all that stood in the brackets."""
        before, call = original_node.decorator, updated_node.decorator
        if not isinstance(before, cst.Call) or not isinstance(call, cst.Call):
            return updated_node
        if len(before.args) == len(call.args):
            return updated_node
        if not call.args:
            return updated_node.with_changes(decorator=call.func)
        only = len(call.args) == 1 and call.args[0].keyword is None
        if only and self._qualified(before.func) == "functools.partial":
            return updated_node.with_changes(decorator=call.args[0].value)
        return updated_node

    def leave_With(self, original_node: cst.With, updated_node: cst.With):
        """`with nnx.set_graph_mode(False):`, whose block stands alone."""
        switches = [_switches(self, item.item) for item in original_node.items]
        if not all(switches) or not isinstance(updated_node.body, cst.IndentedBlock):
            return updated_node
        body = list(updated_node.body.body)
        lines = (*updated_node.leading_lines, *_header_lines(updated_node.body))
        body[0] = body[0].with_changes(leading_lines=(*lines, *_leading(body[0])))
        return cst.FlattenSentinel(body)


def without_keywords(call: cst.Call, flags: set[str]) -> cst.Call:
    """A call without some keyword arguments."""
    kept = [arg for arg in call.args if _keyword(arg) not in flags]
    if len(kept) == len(call.args):
        return call
    if kept:
        kept[-1] = kept[-1].with_changes(comma=call.args[-1].comma)
        return call.with_changes(args=kept)
    return call.with_changes(args=[], whitespace_before_args=cst.SimpleWhitespace(""))


def _keyword(arg: cst.Arg) -> str:
    return arg.keyword.value if arg.keyword is not None else ""


def _is_switch(renamer: Renamer, line: cst.SimpleStatementLine) -> bool:
    """Whether a line does nothing but select a mode: `nnx.set_graph_mode(False)`."""
    if len(line.body) != 1 or not isinstance(line.body[0], cst.Expr):
        return False
    parent = renamer.get_metadata(ParentNodeProvider, line)
    alone = isinstance(parent, cst.IndentedBlock) and len(parent.body) == 1
    return not alone and _switches(renamer, line.body[0].value)


def _switches(renamer: Renamer, node: cst.BaseExpression) -> bool:
    if not isinstance(node, cst.Call):
        return False
    return relative(renamer._qualified(node.func)) in MODE_SWITCHES


def _header_lines(block: cst.IndentedBlock) -> Sequence[cst.EmptyLine]:
    comment = block.header.comment
    return [cst.EmptyLine(comment=comment)] if comment is not None else []


def _has_comment(lines: Sequence[cst.EmptyLine]) -> bool:
    return any(line.comment is not None for line in lines)


def _leading(node: cst.CSTNode) -> Sequence[cst.EmptyLine]:
    return getattr(node, "leading_lines", ())


def _import_package(alias: str) -> cst.Import:
    name = cst.ImportAlias(cst.Name(PACKAGE))
    if alias != PACKAGE:
        name = name.with_changes(asname=cst.AsName(cst.Name(alias)))
    return cst.Import([name])


def _distinct(imports: list) -> list:
    shown = {cst.Module([]).code_for_node(node): node for node in reversed(imports)}
    return list(reversed(shown.values()))


def _bound(alias: cst.ImportAlias) -> str:
    if alias.asname is not None and isinstance(alias.asname.name, cst.Name):
        return alias.asname.name.value
    return _dotted(alias.name)


def _ended(
    aliases: list[cst.ImportAlias], node: cst.Import | cst.ImportFrom
) -> list[cst.ImportAlias]:
    """Some of the names of an import, the last of them ended as its last was."""
    assert not isinstance(node.names, cst.ImportStar)
    return [*aliases[:-1], aliases[-1].with_changes(comma=node.names[-1].comma)]


def _bare(statement: _Small) -> _Small:
    return statement.with_changes(semicolon=cst.MaybeSentinel.DEFAULT)


def _dotted(node: cst.BaseExpression) -> str:
    if isinstance(node, cst.Attribute):
        return f"{_dotted(node.value)}.{node.attr.value}"
    return node.value if isinstance(node, cst.Name) else ""


def _path(dotted: str) -> cst.Name | cst.Attribute:
    first, *rest = dotted.split(".")
    node: cst.Name | cst.Attribute = cst.Name(first)
    for part in rest:
        node = cst.Attribute(node, cst.Name(part))
    return node
