"""Has griffe, which reads docstrings for the site, take `Example:` as `Examples:`."""

from __future__ import annotations

from typing import Any

import griffe


class ExamplesSection(griffe.Extension):
    """Without it, an example would be prose, and its brackets links."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Renames the section, as soon as the docstring is read."""
        if obj.docstring is not None:
            text = obj.docstring.value
            obj.docstring.value = text.replace("\n    Example:\n", "\n    Examples:\n")
            obj.docstring.value = obj.docstring.value.replace(
                "\nExample:\n", "\nExamples:\n"
            )
