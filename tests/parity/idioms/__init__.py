"""The idioms by area, one table a file; `IDIOMS` has them all, in order."""

import importlib

AREAS = (
    "variables",
    "metadata",
    "modules",
    "containers",
    "state",
    "updates",
    "graph",
    "rngs",
    "jit",
    "compiled",
    "autodiff",
    "maps",
    "scan",
    "control",
    "modes",
    "layers",
    "more_layers",
    "training",
    "sharding",
    "display",
    "errors",
    "places",
    "more_variables",
    "more_graph",
    "more_rngs",
    "more_training",
    "more_transforms",
    "more_capture",
    "more_bridge",
    "newest",
    "practice",
    "public_code",
    "seldom",
)


def tables():
    """The tables, in the order of `AREAS`."""
    modules = (importlib.import_module(f"{__name__}.{area}") for area in AREAS)
    return [module.TABLE for module in modules]


IDIOMS = [idiom for table in tables() for idiom in table.idioms]

# What still differs and is to be mended.
PENDING: set[str] = set()

# What is run with every test run: all that compiles little, and a part of the rest.
LIGHT = {"variables", "metadata", "state", "updates", "display", "seldom"}
CORE = [
    idiom
    for position, idiom in enumerate(IDIOMS)
    if not idiom.slow and (idiom.area in LIGHT or position % 8 == 0)
]
