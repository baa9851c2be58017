"""How jax is set up for every test and doctest: strictly, on four CPU devices.

What passes here relies neither on silent dtype promotion nor on silent rank
promotion. A test of the peer that needs either allows it for its own lines, as in
`with jax.numpy_rank_promotion("allow")`.

Most of the time of a run goes to compiling thousands of small programs. Two things
halve it, and change no number that a test looks at: LLVM optimizes nothing, and the
processes of one run (the workers, and what tests start) share what they compiled in
a folder that the first of them makes and removes. A variable that is set already is
left as it is: `XLA_FLAGS=--xla_backend_optimization_level=3 make test` is the full
compiler.
"""

import atexit
import os
import shutil
import tempfile

_FLAGS = {
    "--xla_force_host_platform_device_count": 4,
    "--xla_backend_optimization_level": 0,
}
_flags = os.environ.get("XLA_FLAGS", "")
for _name, _value in _FLAGS.items():
    if _name not in _flags:
        _flags = f"{_flags} {_name}={_value}".strip()
os.environ["XLA_FLAGS"] = _flags
os.environ.setdefault("JAX_PLATFORMS", "cpu")

if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    _cache = tempfile.mkdtemp(prefix="oakum-tests-")
    atexit.register(shutil.rmtree, _cache, ignore_errors=True)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = _cache
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

import jax

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
