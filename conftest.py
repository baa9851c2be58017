"""How jax is set up for every test and doctest: strictly, on four CPU devices.

What passes here relies neither on silent dtype promotion nor on silent rank
promotion. A test of the peer that needs either allows it for its own lines, as in
`with jax.numpy_rank_promotion("allow")`.

Most of the time of a run goes into compiling thousands of small programs. Two things
cut it: LLVM optimizes nothing and XLA fuses by its plainer code generator; and the
processes of one run (the workers, and what tests start) share what they compiled in
a folder that the first of them makes and removes. A variable that is set stays as it
is, so `XLA_FLAGS=--xla_backend_optimization_level=3 make test` takes the compiler that
users have.
"""

import atexit
import os
import shutil
import signal
import tempfile
from importlib.metadata import version

_flags = os.environ.get("XLA_FLAGS", "")
_minor = ".".join(version("jax").split(".")[:2])
if "xla_backend_optimization_level" not in _flags:
    # XLA aborts at a flag that it does not know, so each is for versions tried.
    if _minor in ("0.10", "0.11", "0.12"):
        _flags += " --xla_backend_optimization_level=0"
    if _minor == "0.10":
        _flags += " --xla_cpu_use_fusion_emitters=false"
if "xla_force_host_platform_device_count" not in _flags:
    _flags += " --xla_force_host_platform_device_count=4"
os.environ["XLA_FLAGS"] = _flags.strip()
os.environ.setdefault("JAX_PLATFORMS", "cpu")

if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    _cache = tempfile.mkdtemp(prefix="oakum-tests-")
    atexit.register(shutil.rmtree, _cache, ignore_errors=True)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = _cache
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

# A shell has its background jobs ignore Ctrl-C, which some tests raise.
signal.signal(signal.SIGINT, signal.default_int_handler)

import jax

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
