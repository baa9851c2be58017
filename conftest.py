"""How jax is set up for every test and doctest: strictly, on four CPU devices.

What passes here relies neither on silent dtype promotion nor on silent rank
promotion. A test of the peer that needs either allows it for its own lines, as in
`with jax.numpy_rank_promotion("allow")`.
"""

import os

_DEVICES = "--xla_force_host_platform_device_count"
_flags = os.environ.get("XLA_FLAGS", "")
if _DEVICES not in _flags:
    os.environ["XLA_FLAGS"] = f"{_flags} {_DEVICES}=4".strip()
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
