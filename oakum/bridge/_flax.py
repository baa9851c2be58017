"""What the bridge uses of flax, which is an extra."""

from __future__ import annotations

from ..errors import MissingExtraError

try:
    from flax import core as core
    from flax import errors as errors
    from flax import linen as linen
    from flax import struct as struct
    from flax.core import meta as meta
except ModuleNotFoundError as error:
    raise MissingExtraError(
        "flax is not installed; nnx.bridge joins oakum with flax.linen",
        remedy="pip install 'oakum[bridge]'",
    ) from error
