"""Packages that only training programs need, imported when they are first used."""

from __future__ import annotations

import importlib
from typing import Any

from ..errors import MissingExtraError

# Where the name to install differs from the name to import.
_DISTRIBUTIONS = {"sklearn": "scikit-learn", "orbax": "orbax-checkpoint"}
# What is in an extra of its own, and not in `train`.
_EXTRAS = {
    "tensorboardX": "tensorboard",
    "wandb": "wandb",
    "orbax": "checkpoints",
    "grain": "data",
}
_USES = {
    "orbax": "checkpoints of many devices need it",
    "grain": "its datasets need it",
}


def require(module: str) -> Any:
    """Imports a module of an extra.

    Args:
        module: dotted name, such as `rich.progress`.

    Raises:
        MissingExtraError: its package is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if not is_missing(error, module):
            raise
        raise missing_extra(module) from None


def is_missing(error: ModuleNotFoundError, module: str) -> bool:
    """Whether the package of `module` itself is missing, not one that it needs."""
    return _package(error.name or "") == _package(module)


def missing_extra(module: str) -> MissingExtraError:
    """The error for a package of an extra that is not installed."""
    package = _package(module)
    extra = _EXTRAS.get(package, "train")
    needs = "training programs and `oakum train` need it"
    if package in _EXTRAS:
        needs = _USES.get(package, "the logger of a training run needs it")
    return MissingExtraError(
        f"{_DISTRIBUTIONS.get(package, package)} is not installed; {needs}",
        remedy=f"pip install 'oakum[{extra}]'",
    )


def _package(module: str) -> str:
    return module.partition(".")[0]
