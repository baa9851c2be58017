"""Tables of mistakes: what to call, and what the error says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest


def assert_says(call: Callable[[], Any], parts: Sequence[str]) -> None:
    """The call raises a TypeError or a ValueError whose text has all the parts."""
    with pytest.raises((TypeError, ValueError)) as caught:
        call()
    for part in parts:
        assert part in str(caught.value)


def assert_raises(
    call: Callable[[], Any], error: type[BaseException], match: str
) -> None:
    """The call raises this error, and its text matches."""
    with pytest.raises(error, match=match):
        call()
