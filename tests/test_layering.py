"""Each module imports only from groups to its left; jax's internals have one door.

The groups, left to right, stand in `GROUPS`. An import counts wherever it stands: in
a function, under `if TYPE_CHECKING`, or as a call of `importlib.import_module`.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "oakum"

GROUPS = (
    {
        "errors",
        "_compat",
        "_typing",
        "_arguments",
        "_modes",
        "_repr",
        "_representable",
        "_lazy",
        "_elsewhere",
        "_keywords",
        "_typed",
        "_places",
    },
    {"_guard"},
    {"sharding"},
    {"_objects"},
    {"_statics"},
    {"_graph"},
    {"_state"},
    {"_protocols"},
    {"_rngs"},
    {"_engine"},
    {"_compiled"},
    {"transforms"},
    {"nn"},
    {"train"},
    {"_display", "bridge", "migrate", "weights"},
    {"cli", "__main__"},
)
RANK = {name: rank for rank, group in enumerate(GROUPS) for name in group}
# Within a folder that has rooms of its own: its rooms and the files beside them.
ROOMS = {
    "_objects": (
        {"_declared", "_dicts", "_pickle"},
        {"_version"},
        {"_classes", "_setup"},
        {"variables"},
        {"_annotations", "_nodes", "_where"},
        {"_containers", "_plain", "_vars"},
        {"_module"},
    ),
    "_engine": (
        {
            "_left_behind",
            "_outcome",
            "_signature",
            "_traceback",
            "_unseen",
            "_values",
        },
        {"_bound", "_lift", "_modes"},
        {"_bare", "_carry", "_selection"},
        {"axes"},
    ),
    "_compiled": (
        {"captured", "_alike", "_arguments", "_explain", "_processes"},
        {"_casts"},
        {"plans", "_shardings", "_stages"},
        {"_call", "_entry"},
        {"_jitted"},
        {"_once"},
    ),
    "transforms": (
        {"derivatives", "_abstract", "_checkify", "_control", "_loops", "_profile"},
        {"_jit", "_scan", "_vmap"},
        {"_abstract_model", "_partial", "_shard_map"},
    ),
    "nn": (
        {"_pickling", "initializers", "_dtypes", "_first_values", "_sharding_notes"},
        {"_params"},
        {"_compute"},
        {"_activations"},
        {"_dropout", "linear"},
        {"conv", "norm"},
        {"attention", "recurrent", "lora"},
        {"_containers", "_repeat", "_policy", "_generate"},
    ),
    "train": (
        {"_extras"},
        {"checkpoint", "_trained", "_metrics", "_ema"},
        {"_slots", "_groups"},
        {"placement"},
        {"_optimizer"},
        {"metrics", "optimizer"},
        {"runs"},
    ),
    "weights": (
        {"_report", "_steps"},
        {"files", "_layouts", "_rules"},
        {"_places"},
        {"_beside", "_plan"},
        {"doubts", "_save"},
        {"_load"},
        {"_copy"},
    ),
}
ROOM_RANK = {
    folder: {name: rank for rank, group in enumerate(groups) for name in group}
    for folder, groups in ROOMS.items()
}
PRIVATE_JAX = ("_src", "experimental")
JAX_VERSION = ("__version__", "__version_info__", "version")


def _module_name(path: Path) -> str:
    """`oakum._state._maps` for `_state/_maps.py`, `oakum._state` for its `__init__`."""
    parts = ("oakum", *path.with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(tree: ast.AST, path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and absolute dotted name of everything imported."""
    package = _module_name(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*base, *filter(None, [node.module])])
            yield from ((node.lineno, f"{source}.{a.name}") for a in node.names)
        elif isinstance(node, ast.Call) and node.args:
            called = ast.unparse(node.func).split(".")[-1]
            target = node.args[0]
            if called in ("import_module", "__import__") and isinstance(
                target, ast.Constant
            ):
                yield node.lineno, _absolute(str(target.value), package)


def _absolute(name: str, package: list[str]) -> str:
    level = len(name) - len(name.lstrip("."))
    base = package[: len(package) - level + 1] if level else []
    return ".".join([*base, *filter(None, [name.lstrip(".")])])


def _group_fault(path: Path, imported: str) -> str | None:
    """Say what is wrong with importing `imported`, or None."""
    group = path.parts[0].removesuffix(".py")
    top, _, rest = imported.partition(".")
    if group == "lint" and top == "jax":
        return "lint/ reads source text alone and never imports jax"
    if top != "oakum" or path == Path("__init__.py"):
        return None
    target = rest.split(".")[0]
    if target == group:
        return _room_fault(path, rest)
    if target == "lint":
        known = group in ("cli", "migrate")
        return (
            None if known else "lint/ stands alone: only cli/ and migrate/ may use it"
        )
    if target not in RANK:
        return "it comes from the package's own __init__: name the file that defines it"
    if group == "lint":
        return "lint/ stands alone: it imports nothing of oakum"
    if RANK[target] > RANK[group]:
        return f"{target} stands to the right of {group}"
    return None


def _room_fault(path: Path, imported: str) -> str | None:
    """The same between the rooms of one folder."""
    ranks = ROOM_RANK.get(path.parts[0], {})
    if len(path.parts) < 2 or path.parts[1] == "__init__.py" or not ranks:
        return None
    own, parts = path.parts[1].removesuffix(".py"), imported.split(".")
    target = parts[1] if len(parts) > 1 else ""
    if target == own:
        return None
    if target not in ranks:
        return f"name the file of {parts[0]}/ that defines it"
    if ranks[target] > ranks[own]:
        return f"{parts[0]}/{target} stands to the right of {parts[0]}/{own}"
    return None


def _jax_faults(tree: ast.AST, path: Path) -> Iterator[tuple[int, str]]:
    if path.parts[0] == "_compat":
        return
    for line, imported in _imports(tree, path):
        if imported.startswith(tuple(f"jax.{name}" for name in PRIVATE_JAX)):
            yield line, f"{imported}: only _compat/ may touch it"
        if imported.startswith(("jaxlib", *(f"jax.{name}" for name in JAX_VERSION))):
            yield line, f"{imported}: only _compat/ tests the version of jax"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "jax":
            if node.attr in PRIVATE_JAX:
                yield node.lineno, f"jax.{node.attr}: only _compat/ may touch it"
            if node.attr in JAX_VERSION:
                yield node.lineno, f"jax.{node.attr}: only _compat/ tests the version"


def find_faults(source: str, path: Path) -> list[str]:
    """List what breaks the layering in the module at `path` below the package."""
    tree = ast.parse(source)
    faults = list(_jax_faults(tree, path))
    for line, imported in _imports(tree, path):
        if fault := _group_fault(path, imported):
            faults.append((line, f"imports {imported}: {fault}"))
    return [f"oakum/{path}:{line}: {text}" for line, text in sorted(faults)]


def test_every_module_imports_to_its_left():
    faults = []
    for file in sorted(PACKAGE.rglob("*.py")):
        faults += find_faults(file.read_text("utf-8"), file.relative_to(PACKAGE))
    assert not faults, "\n".join(faults)


def test_every_module_is_in_a_group():
    entries = (e for e in PACKAGE.iterdir() if e.is_dir() or e.suffix == ".py")
    names = {e.stem for e in entries if e.is_file() or any(e.rglob("*.py"))}
    assert names - set(RANK) <= {"__init__", "lint"}, "add it to GROUPS"


BAD = {
    "relative": ("_state/_maps.py", "from ..nn._linear import Linear"),
    "absolute": ("_state/_maps.py", "from oakum.transforms import jit"),
    "in_function": ("_guard/_check.py", "def f():\n  from .._objects import Module"),
    "package": ("nn/linear/_linear.py", "import oakum"),
    "package_alias": ("train/_ema.py", "import oakum as nnx"),
    "submodule": ("_state/_maps.py", "import oakum.nn"),
    "public_name": ("nn/linear/_linear.py", "from oakum import Module"),
    "dots_alone": ("nn/linear/_linear.py", "from ... import Param"),
    "dots_module": ("_state/_maps.py", "from .. import nn"),
    "init_of_group": ("_state/__init__.py", "from ..nn import Linear"),
    "by_name": ("_state/_maps.py", "importlib.import_module('oakum.nn')"),
    "by_relative_name": ("_state/_a.py", "importlib.import_module('..nn', 'oakum')"),
    "into_lint": ("nn/linear/_linear.py", "from ...lint import rules"),
    "room_to_its_right": ("nn/linear/_linear.py", "from ..conv._conv import Conv"),
    "own_room_in_function": ("nn/_dtypes.py", "def f():\n  from .norm import _checks"),
    "room_to_what_it_serves": ("_objects/variables/_kinds.py", "from .. import _nodes"),
    "room_to_its_user": ("_compiled/captured/_steps.py", "from ..plans import _plan"),
    "name_of_the_folder": ("nn/conv/_conv.py", "from .. import Linear"),
    "out_of_lint": ("lint/_cli.py", "from ..errors import OakumError"),
    "jax_in_lint": ("lint/_cli.py", "import jax.numpy as jnp"),
    "jax_src": ("_state/_maps.py", "from jax._src import core"),
    "jax_experimental": ("nn/_conv.py", "from jax import experimental"),
    "jax_attribute": ("nn/_conv.py", "import jax\njax.experimental.io_callback"),
    "jax_version": ("nn/_conv.py", "import jax\njax.__version__"),
}
GOOD = {
    "left": ("nn/linear/_linear.py", "from ..._objects._module import Module"),
    "own_group": ("nn/conv/_conv.py", "from ._padding import pad\nfrom . import _pool"),
    "room_to_its_left": ("nn/conv/_conv.py", "from ..linear._linear import Linear"),
    "shared_file": ("nn/conv/_conv.py", "from .._dtypes import promote_dtype"),
    "between_two_ranks": ("_objects/_nodes.py", "from .variables._kinds import Param"),
    "own_rank": ("errors.py", "from ._repr import brief"),
    "compat": ("_compat/_traces.py", "from jax._src import core\njax.__version_info__"),
    "init": ("__init__.py", "from .nn import Linear as Linear"),
    "migrate": ("migrate/_notes.py", "from ..lint import find_faults"),
    "cli": ("cli/__init__.py", "from oakum.train import fit\nfrom ..lint import main"),
    "public_jax": ("_state/_maps.py", "import jax\nimport jax.extend.core\njax.numpy"),
}


@pytest.mark.parametrize(("path", "source"), BAD.values(), ids=BAD)
def test_a_fault_is_found(path, source):
    assert len(find_faults(source, Path(path))) == 1


@pytest.mark.parametrize(("path", "source"), GOOD.values(), ids=GOOD)
def test_correct_imports_pass(path, source):
    assert find_faults(source, Path(path)) == []
