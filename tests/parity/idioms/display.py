"""tabulate, repr, and the modules and aliases that libraries import from."""

import importlib

import jax
import jax.numpy as jnp

from tests.parity.table import Table

TABLE = Table("display")
idiom, differs = TABLE.idiom, TABLE.differs


def make_model(nnx):
    class Block(nnx.Module):
        def __init__(self, rngs):
            self.linear = nnx.Linear(2, 3, rngs=rngs)
            self.dropout = nnx.Dropout(0.5, rngs=rngs)

        def forward(self, x):
            return self.dropout(self.linear(x))

        def __call__(self, x):
            return self.forward(x)

    class Model(nnx.Module):
        def __init__(self, rngs):
            self.block1 = Block(rngs)
            self.block2 = nnx.Linear(3, 1, rngs=rngs)

        def __call__(self, x):
            return self.block2(self.block1.forward(x))

    return Model(nnx.Rngs(0))


def table(nnx, **options):
    console = {"force_terminal": False, "width": 300, "no_color": True}
    return nnx.tabulate(
        make_model(nnx), jnp.ones((1, 2)), console_kwargs=console, **options
    )


def contains(text, *parts):
    return [part in text for part in parts]


@idiom
def tabulate_names_paths(nnx):
    """`tabulate` has a row for each module and method that is called."""
    text = table(nnx)
    wanted = ("block1/forward", "block1/linear", "block1/dropout", "block2")
    return [name in text for name in wanted]


@idiom
def tabulate_counts_parameters(nnx):
    """`tabulate` counts parameters and their bytes."""
    return contains(table(nnx), "Total", "13", "52 B")


@idiom
def tabulate_depth(nnx):
    """`tabulate(depth=1)` leaves deeper modules out."""
    return contains(table(nnx, depth=1), "block1/linear", "block2")


@idiom
def tabulate_flops(nnx):
    """`tabulate(compute_flops=True)` has a column of them."""
    return "flops" in table(nnx, compute_flops=True).lower()


@idiom
def tabulate_vjp_flops(nnx):
    """`compute_vjp_flops=True` as well."""
    return "vjp" in table(nnx, compute_flops=True, compute_vjp_flops=True).lower()


@idiom
def tabulate_of_a_method(nnx):
    """`tabulate(method=...)` of another method."""
    block = make_model(nnx).block1
    return "linear" in nnx.tabulate(block, jnp.ones((1, 2)), method="forward")


@idiom
def tabulate_leaves_the_model(nnx):
    """`tabulate` runs nothing."""
    model = make_model(nnx)
    nnx.tabulate(model, jnp.ones((1, 2)))
    return model.block1.dropout.rngs.count.value


@idiom
def tabulate_shapes(nnx):
    """`tabulate` shows shapes and dtypes of inputs and parameters."""
    return contains(table(nnx), "float32", "1,2", "2,3")


@idiom
def repr_of_a_state(nnx):
    """The repr of a State names Variables and shapes."""
    text = repr(nnx.state(nnx.Linear(2, 3, rngs=nnx.Rngs(0))))
    return contains(text, "State", "kernel", "Param")


@idiom
def repr_of_a_variable(nnx):
    """The repr of a Variable names type and value."""
    text = repr(nnx.Param(jnp.ones(2), tag="a"))
    return text.startswith("Param("), "tag" in text


@idiom
def repr_of_a_graphdef(nnx):
    """The repr of a GraphDef."""
    return "GraphDef" in repr(nnx.graphdef(nnx.Linear(2, 3, rngs=nnx.Rngs(0))))


@idiom
def str_of_a_model(nnx):
    """`str` and `print` of a model name its layers."""
    text = str(make_model(nnx))
    return "block1" in text, "Linear" in text


@idiom
def display_prints(nnx):
    """`nnx.display` takes several values."""
    return nnx.display(nnx.Param(jnp.ones(2)), nnx.Rngs(0))


# Where libraries import public names from: module, name, name at the top.
PLACES = {
    "filterlib": ("Filter", "to_predicate", "Not", "PathContains", "Everything"),
    "graph": ("split", "merge", "GraphDef", "iter_graph", "clone", "pop"),
    "graphlib": ("split", "merge", "GraphDef"),
    "statelib": ("State", "FlatState", "to_flat_state"),
    "variablelib": ("Variable", "Param", "BatchStat", "VariableMetadata"),
    "rnglib": ("Rngs", "RngStream", "RngKey"),
    "module": ("Module", "iter_modules"),
    "pytreelib": ("Pytree", "Object"),
    "helpers": ("Sequential", "Dict", "List", "TrainState"),
    "nn.linear": ("Linear", "Conv", "default_kernel_init", "Embed", "LinearGeneral"),
    "nn.normalization": ("BatchNorm", "LayerNorm", "RMSNorm"),
    "nn.attention": ("MultiHeadAttention", "dot_product_attention"),
    "nn.recurrent": ("LSTMCell", "GRUCell", "RNN"),
    "nn.stochastic": ("Dropout",),
    "nn.activations": ("relu", "gelu", "silu"),
    "nn.initializers": ("lecun_normal", "zeros_init"),
    "nn.dtypes": ("promote_dtype", "canonicalize_dtype"),
    "nn.lora": ("LoRA", "LoRALinear"),
    "transforms": ("autodiff", "compilation", "iteration"),
    "transforms.autodiff": ("grad", "DiffState", "custom_vjp"),
    "transforms.compilation": ("jit", "StateSharding"),
    "transforms.iteration": ("vmap", "scan", "Carry", "StateAxes"),
    "training.metrics": ("Average", "Accuracy", "MultiMetric"),
    "training.optimizer": ("Optimizer",),
    "spmd": ("with_partitioning", "get_partition_spec"),
    "traversals": ("flatten_mapping", "unflatten_mapping"),
    "tracers": ("TraceState",),
    "reprlib": ("Representable",),
    "extract": ("to_tree", "from_tree"),
    "summary": ("tabulate",),
}


def place(module, names):
    def program(nnx):
        for part in module.split("."):
            at = nnx
            nnx = getattr(nnx, part)
        del at
        return [hasattr(nnx, name) for name in names]

    return program


def imported(module):
    def program(nnx):
        return importlib.import_module(f"{nnx.__name__}.{module}") is not None

    return program


for module, names in PLACES.items():
    key = module.replace(".", "_")
    TABLE.add(
        f"place_{key}", place(module, names), f"`nnx.{module}` has {', '.join(names)}."
    )
    TABLE.add(f"import_{key}", imported(module), f"`import nnx.{module}` as a module.")


def linen():
    return importlib.import_module("flax.linen")


@idiom
def bridge_module(nnx):
    """`nnx.bridge` has `ToNNX`, `ToLinen` and `lazy_init`."""
    return [
        hasattr(nnx.bridge, n) for n in ("ToNNX", "ToLinen", "to_linen", "lazy_init")
    ]


@idiom
def bridge_to_nnx(nnx):
    """A Linen module as a model."""
    model = nnx.bridge.ToNNX(linen().Dense(3), rngs=nnx.Rngs(0))
    nnx.bridge.lazy_init(model, jnp.ones((1, 2)))
    return model(jnp.ones((1, 2))), sorted(nnx.to_pure_dict(nnx.state(model)))


@idiom
def bridge_to_linen(nnx):
    """A model inside of Linen."""
    model = nnx.bridge.to_linen(nnx.Linear, 2, 3)
    variables = model.init(jax.random.key(0), jnp.ones((1, 2)))
    return sorted(variables), model.apply(variables, jnp.ones((1, 2)))


@idiom
def type_aliases(nnx):
    """Names that stand in signatures."""
    names = ("State", "GraphState", "PureState", "VariableState", "FlatState", "A")
    return [hasattr(nnx, n) for n in names]


@idiom
def misspelt_name(nnx):
    """A name that is not there is an AttributeError."""
    try:
        return nnx.Linaer
    except AttributeError as error:
        return error


@idiom
def dir_of_the_library(nnx):
    """`dir(nnx)` has the public names."""
    names = dir(nnx)
    return [n in names for n in ("Linear", "jit", "scan", "metrics", "Optimizer")]


@idiom
def tabulate_of_methods(nnx):
    """Paths, FLOPs and totals of a table where layers are called by other methods."""

    class Block(nnx.Module):
        def __init__(self, rngs):
            self.linear = nnx.Linear(4, 4, rngs=rngs)

        def forward(self, x):
            return self.linear(x)

    class Model(nnx.Module):
        def __init__(self, rngs):
            self.block1, self.block2 = Block(rngs), Block(rngs)

        def __call__(self, x):
            return self.block2.forward(self.block1.forward(x))

    table = nnx.tabulate(
        Model(nnx.Rngs(0)),
        jnp.ones((2, 4)),
        compute_flops=True,
        compute_vjp_flops=True,
        console_kwargs={"width": 200, "force_terminal": False},
    )
    cells = [line.split("│") for line in table.splitlines() if line.startswith("│")]
    lines = len(table.strip().splitlines())
    return [[cell.strip() for cell in line] for line in cells], lines
