"""Tables are as wide as they need, in whatever terminal the tests run."""

import pytest


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch):
    """A terminal in which no cell is broken into lines."""
    monkeypatch.setenv("COLUMNS", "1000")
