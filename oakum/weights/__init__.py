"""The weights of the world: files that PyTorch programs wrote, in and out.

    nnx.weights.load(model, folder, rules)       # in place; returns a Report
    nnx.weights.save(model, folder, rules)       # what transformers loads again

A *layout* says how a layer's arrays are written in a file: names and axes. *Rules* say
what a model's parts are called there. A *place* is one array that a model wants; a
*tensor* is one that a file has. `plan` brings places and tensors together and finds all
that does not fit, before a byte is read.

May import: train, nn and what is left of them.
"""

import typing as _typing

from .. import _lazy

if _typing.TYPE_CHECKING:
    from ._copy import copy as copy
    from ._copy import copy_state as copy_state
    from ._load import load as load
    from ._load import plan as plan
    from ._report import Report as Report
    from ._rules import Rules as Rules
    from ._rules import into as into
    from ._save import save as save

_lazy.lazy_names(
    __name__,
    {
        "Report": "._report",
        "Rules": "._rules",
        "copy": "._copy",
        "copy_state": "._copy",
        "into": "._rules",
        "load": "._load",
        "plan": "._load",
        "save": "._save",
    },
)

__all__ = ["Report", "Rules", "copy", "copy_state", "into", "load", "plan", "save"]
