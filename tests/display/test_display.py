"""display: trees in a notebook, text elsewhere."""

from __future__ import annotations

import sys
import types

import pytest

import oakum as nnx
from tests.display.models import Shared


@pytest.fixture
def notebook(monkeypatch):
    """As in a notebook."""
    ipython = types.SimpleNamespace(get_ipython=lambda: object())
    monkeypatch.setitem(sys.modules, "IPython", ipython)


def test_outside_of_a_notebook_it_prints(capsys, rngs):
    model = nnx.Linear(2, 3, rngs=rngs)
    nnx.display(model, "text")
    assert capsys.readouterr().out == f"{model!r}\ntext\n"


def test_an_ipython_without_a_shell_is_no_notebook(capsys, monkeypatch):
    ipython = types.SimpleNamespace(get_ipython=lambda: None)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    nnx.display(1)
    assert capsys.readouterr().out == "1\n"


@pytest.mark.usefixtures("notebook")
def test_in_a_notebook_treescope_shows(capsys, monkeypatch):
    shown = []
    treescope = types.SimpleNamespace(
        display=lambda value, **options: shown.append((value, options))
    )
    monkeypatch.setitem(sys.modules, "treescope", treescope)
    nnx.display(1, 2)
    options = {"ignore_exceptions": True, "autovisualize": True}
    assert shown == [(1, options), (2, options)]
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("notebook")
def test_without_treescope_a_notebook_gets_text(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "treescope", None)
    nnx.display([1])
    assert capsys.readouterr().out == "[1]\n"


@pytest.mark.usefixtures("notebook")
def test_a_broken_treescope_is_told(monkeypatch, tmp_path):
    (tmp_path / "treescope.py").write_text("import no_such_package")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "treescope", raising=False)
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        nnx.display(1)


def test_treescope_shows_names_and_values(rngs):
    treescope = pytest.importorskip("treescope")
    model = Shared(rngs)
    model.heads = {"a": nnx.relu}
    text = treescope.render_to_text(model)
    for part in (
        "Shared(",
        "layers=[",
        "linear=Linear(",
        "kernel=Param(",
        "trainable=False",
        "heads={'a': jax.nn.relu}",
        "mask=<jax.Array([1., 1., 1.]",
    ):
        assert part in text
    assert "State({" in treescope.render_to_text(nnx.state(model))
    assert "object at 0x" not in text.replace("python obj at", "")


def test_treescope_shows_abstract_values():
    treescope = pytest.importorskip("treescope")
    model = nnx.abstract(nnx.Linear, 2, 3, rngs=nnx.Rngs(0))
    assert "ShapeDtypeStruct(shape=(2, 3)" in treescope.render_to_text(model)
