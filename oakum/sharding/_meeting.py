"""Where the processes of one program meet: each says something, and hears all.

With `jax.distributed` each process runs the whole program, and they have to come to the
same calls in the same order. One that comes to another call, or not at all, is told of
here, before the others wait for it in a computation that it takes no part in.
"""

from __future__ import annotations

import jax

from .._compat import exchange
from ..errors import ProcessesError

# What others may be busy with before they come: compiling, or writing a large file.
WAIT_SECONDS = 600.0


def meet(verb: str, message: str = "", seconds: float | None = None) -> list[str]:
    """The messages of all processes, in their order; all of them call it.

    Args:
        verb: what is done, the same in all.
        message: what this process has to say.
        seconds: how long to wait for the others, by default `WAIT_SECONDS`.

    Raises:
        ProcessesError: others do something else, or do not come.
    """
    if jax.process_count() == 1:
        return [message]
    limit = WAIT_SECONDS if seconds is None else seconds
    try:
        said = exchange("calls", f"{verb}\0{message}".encode(), limit)
    except TimeoutError as error:
        came = error.args[0]
        absent = sorted(set(range(jax.process_count())) - set(came))
        raise ProcessesError(
            f"{verb}: of {jax.process_count()} processes {absent} did not come within "
            f"{limit:g} s, so nothing was done",
            remedy=_REMEDY.format(verb),
        ) from None
    pairs = [text.decode(errors="replace").split("\0", 1) for text in said]
    own = jax.process_index()
    for number, (other, _) in enumerate(pairs):
        if other != verb:
            raise ProcessesError(
                f"process {own} came to {verb}, and process {number} to {other}",
                remedy=_REMEDY.format(verb),
            )
    return [text for _, text in pairs]


_REMEDY = (
    "all processes call {}, in the same order, with the same objects: not below `if "
    "jax.process_index() == 0`. It is process 0 alone that writes all the same."
)


def exchange_briefly(channel: str, message: str, seconds: float) -> list[str]:
    """As `meet`, where some may not come: then nothing was said."""
    if jax.process_count() == 1:
        return [message]
    try:
        said = exchange(channel, message.encode(), seconds)
    except TimeoutError:
        return []
    return [text.decode(errors="replace") for text in said]
