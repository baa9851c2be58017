"""How orbax writes and reads a tree in little memory.

orbax hands all arrays to tensorstore at once, which holds what it has compressed until
it is on the disk, or what it has read until all is: the parts of all devices of the
process. With a limit to the bytes in flight it takes the next part when one is done.
The limit has to be above the largest part, so that it is told by what is there.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp

from ._contents import is_key
from ._loading import Slot

_FEWEST = 12_000_000  # bytes: with less in flight, threads wait for one another
_PART = 4  # of what lies on one device: compressed, it is held for a while longer


def gigabytes_to_write(arrays: Iterable[Any]) -> float:
    """How much orbax may be writing at once: a part of what one device holds.

    Args:
        arrays: what is saved.
    """
    placed = [x for x in arrays if isinstance(x, jax.Array)]
    shapes = [x.sharding.shard_shape(x.shape) for x in placed]
    sizes = [
        math.prod(s) * x.dtype.itemsize for s, x in zip(shapes, placed, strict=True)
    ]
    return max(_FEWEST, sum(sizes) // _PART, max(sizes, default=0) + 1) / 1e9


def gigabytes_to_read(slots: Iterable[Slot]) -> float:
    """How much orbax may be reading at once.

    Of an array that was split in another way it reads whole parts, which may be more
    than the array has.

    Args:
        slots: what is read.
    """
    whole, share = [], 0
    for slot in slots:
        shape, place = slot.leaf.spec.shape, slot.sharding
        size = 32 if is_key(slot.old) else jnp.dtype(slot.leaf.spec.dtype).itemsize
        whole.append(math.prod(shape) * size)
        share += math.prod(place.shard_shape(shape) if place else shape) * size
    return max(_FEWEST, share // _PART, 2 * max(whole, default=0) + 1) / 1e9


def sparing_registry(ocp: Any, state: str, manifest: str, apart: Any) -> Any:
    """The handlers of a manager's two items, of which `state` is a tree of arrays.

    Args:
        ocp: orbax.
        state: the name of the tree.
        manifest: that of the JSON beside it.
        apart: orbax's options by which processes wait for one another.
    """

    class Sparing(ocp.PyTreeCheckpointHandler):
        async def async_save(
            self,
            directory: Any,
            item: Any = None,
            save_args: Any = None,
            args: Any = None,
        ) -> Any:
            limit = gigabytes_to_write(jax.tree.leaves(args.item))
            one = ocp.PyTreeCheckpointHandler(
                save_concurrent_gb=limit, multiprocessing_options=apart
            )
            return await one.async_save(directory, args=args)

        @classmethod
        def typestr(cls) -> str:  # is written down, for who reads it without us
            return ocp.PyTreeCheckpointHandler.typestr()

    registry = ocp.handlers.DefaultCheckpointHandlerRegistry()
    handler = Sparing(multiprocessing_options=apart)
    text = ocp.JsonCheckpointHandler(multiprocessing_options=apart)
    registry.add(state, ocp.args.PyTreeSave, handler)
    registry.add(state, ocp.args.PyTreeRestore, handler)
    registry.add(manifest, ocp.args.JsonSave, text)
    registry.add(manifest, ocp.args.JsonRestore, text)
    return registry
