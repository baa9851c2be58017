"""What `import oakum` offers: every name listed, importable and documented.

That `__all__` is sorted is checked, and put right, by ruff (RUF022).
"""

import importlib
import inspect
import types

import pytest

import oakum


def _is_ours(value: object) -> bool:
    return str(getattr(value, "__module__", "")).split(".")[0] == "oakum"


def test_no_name_is_listed_twice():
    assert len(oakum.__all__) == len(set(oakum.__all__))


@pytest.mark.parametrize("name", oakum.__all__)
def test_a_listed_name_is_there(name):
    assert hasattr(oakum, name)


def test_every_public_name_is_listed():
    public = {
        name
        for name, value in vars(oakum).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert public <= set(oakum.__all__)


@pytest.mark.parametrize("name", oakum.__all__)
def test_what_oakum_defines_has_a_docstring(name):
    value = getattr(oakum, name)
    if isinstance(value, types.ModuleType):
        assert value.__doc__
    elif callable(value) and _is_ours(value):
        doc = value.__doc__ or ""
        # A dataclass without a docstring is given its signature for one.
        assert inspect.cleandoc(doc), f"oakum.{name} has no docstring"
        assert not doc.startswith(f"{name}("), f"oakum.{name} has no docstring"


def test_star_import_gives_what_is_listed():
    module = importlib.import_module("oakum")
    namespace: dict[str, object] = {}
    exec("from oakum import *", namespace)
    assert set(module.__all__) <= set(namespace)
