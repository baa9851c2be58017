"""Packages that only training programs need, imported when they are first used."""

from __future__ import annotations

import importlib
from typing import Any

from ..errors import MissingExtraError

# Where the name to install differs from the name to import.
_DISTRIBUTIONS = {"sklearn": "scikit-learn"}


def require(module: str) -> Any:
    """Imports a module of the extra `train`.

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
    """The error for a package of the extra `train` that is not installed."""
    package = _package(module)
    return MissingExtraError(
        f"{_DISTRIBUTIONS.get(package, package)} is not installed; training programs "
        "and `oakum train` need it",
        remedy="pip install 'oakum[train]'",
    )


def _package(module: str) -> str:
    return module.partition(".")[0]
