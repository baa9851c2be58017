"""Which public programs `scripts/programs.py` runs, and how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Program:
    """A public repository, and what of it is run.

    Args:
        repository: owner and name; the checkout's folder has the name.
        what: what is run, in words.
        tests: arguments of pytest, from the checkout's folder.
        scripts: Python scripts with their arguments; each counts as one test.
        path: folders of the checkout that its modules are imported from.
        environment: settings that it needs.
        minutes: the time limit of one run.
    """

    repository: str
    what: str
    tests: tuple[str, ...] = ()
    scripts: tuple[str, ...] = ()
    path: tuple[str, ...] = (".",)
    environment: Mapping[str, str] = field(default_factory=dict)
    minutes: float = 10

    @property
    def name(self) -> str:
        """The folder of the checkout."""
        return self.repository.partition("/")[2]


def _tests(repository: str, *tests: str, **options) -> Program:
    """A program whose tests say by themselves what is run."""
    what = ", ".join(f"`{test}`" for test in tests if not test.startswith("-"))
    return Program(repository, what, tests, **options)


_KERAS = {"KERAS_BACKEND": "jax", "KERAS_NNX_ENABLED": "true"}
_ARTIFEX = "tests/artifex/generative_models/core/"

PROGRAMS = (
    _tests("google/metrax", "src/metrax/nnx", path=("src",)),
    _tests("pyro-ppl/numpyro", "test/contrib/test_module.py", "-k", "nnx"),
    _tests("google-research/kauldron", "kauldron/contrib/modules/knnx_test.py"),
    _tests("netket/netket", "test/utils/test_frameworks.py"),
    _tests("pfackeldey/evermore", "tests", path=("src",)),
    _tests(
        "keras-team/keras", "keras/src/backend/jax/core_test.py", environment=_KERAS
    ),
    _tests(
        "Physical-Intelligence/openpi", "src/openpi/models/pi0_test.py", path=("src",)
    ),
    _tests(
        "mathisgerdes/bijx",
        "tests/test_nnx_pytree_compliance.py",
        "tests/test_utilities.py",
        path=("src",),
    ),
    _tests(
        "AI-Hypercomputer/maxtext",
        "tests/unit/nnx_wrappers_test.py",
        "tests/unit/nnx_scan_test.py",
        "tests/unit/train_state_nnx_test.py",
        "tests/utils/test_maxtext_utils_nnx.py",
        "tests/unit/gradient_accumulation_nnx_test.py",
        path=("src", "."),
    ),
    _tests(
        "AI-Hypercomputer/maxdiffusion",
        "src/maxdiffusion/tests/ltx2/test_attention_ltx2.py",
        "src/maxdiffusion/tests/wan/wan_common_module_parity_test.py",
        path=("src",),
    ),
    _tests(
        "avitai/datarax",
        "tests/core/test_nnx_variable_access.py",
        "tests/distributed/test_nnx_state_sharding.py",
        "tests/samplers",
        "tests/utils/test_nnx_prng.py",
        "tests/utils/test_prng.py",
        path=("src",),
    ),
    _tests(
        "aurelio-amerio/GenSBI",
        "tests/models/maf/test_masked_linear.py",
        "tests/models/maf/test_maflow.py",
        "tests/models/wrappers",
        "tests/normalizing_flows/bijections",
        path=("src",),
    ),
    _tests(
        "jax-ml/jax-ai-stack",
        "jax_ai_stack/tests/test_nnx_with_optax.py",
        "jax_ai_stack/tests/test_nnx_with_orbax.py",
    ),
    _tests(
        "avitai/artifex",
        _ARTIFEX + "nnx_compat",
        _ARTIFEX + "distributions",
        path=("src",),
    ),
    _tests(
        "willisma/diffuse_nnx",
        "tests/interface_tests/continuous_tests.py",
        "tests/sampler_tests/sampler_tests.py",
        # Those draw 100,000 times in a Python loop.
        "-k",
        "not sample_t",
    ),
    _tests(
        "kmheckel/spyx",
        "tests/test_nn_nnx.py",
        "tests/test_optimize.py",
        path=("src",),
    ),
    _tests(
        "altescy/formed",
        "tests/integrations/flax/modules/test_feedforward.py",
        "tests/integrations/flax/modules/test_samplers.py",
        path=("src",),
    ),
    _tests(
        "ott-jax/ott",
        "tests/neural/networks/velocity_field/ema_test.py",
        "tests/neural/methods/flow_matching_test.py",
        path=("src",),
    ),
    _tests(
        "enpasos/jax2onnx",
        "tests/extra_tests/test_quickstart.py",
        "tests/extra_tests/test_issue_173_nested_residual_groups.py",
        "tests/extra_tests/test_issue_223_nnx_silu_swish.py",
    ),
    # What it imports of its own house stands beside it.
    _tests(
        "avitai/opifex",
        "tests/neural/test_base.py",
        path=("src", "../artifex/src", "../datarax/src"),
    ),
    _tests("emiwar/nnx-ppo", "nnx_ppo/networks"),
    _tests("stackviolator/chess-transformer-nnx", "tests", path=("src", ".")),
    _tests("maxsonate/video-diffusion-nnx", "test_modules.py", "utils_test.py"),
    _tests("vincekurtz/gpc", "tests/test_architectures.py"),
    _tests("DBraun/jraphx", "tests/nn/norm", "tests/nn/pool", path=("src",)),
    _tests("jax-ml/bonsai", "bonsai/models/mamba2", "bonsai/models/qwen3"),
    _tests(
        "sgl-project/sglang-jax",
        "python/sgl_jax/test/test_linear_tp.py",
        "python/sgl_jax/test/test_short_conv.py",
        "python/sgl_jax/test/kernels/quantized_linear_test.py",
        path=("python",),
    ),
)

# Why something that passes with flax does not pass with oakum, where that is known.
REASONS: dict[str, str] = {}

# What was fetched and gave no row, and why; a row takes its place.
NOT_RUN: dict[str, str] = {
    "AI-Hypercomputer/maxdiffusion": "its tests did not end within six minutes with "
    "flax either, on two cores",
    "erfanzar/EasyDeL": "does not import without `ray`, `eformer` and "
    "`ejkernel`, which the environment does not have",
    "p-doom/jasmine": "has tests of its data loader alone",
}
