"""Every exception class of oakum.

    OakumError
    ├── TraceContextError    (RuntimeError)  state written where the write would leak
    ├── StructureError       (ValueError)    two structures that should agree do not
    ├── ShapeError           (ValueError)    an array of the wrong shape reached a layer
    ├── FilterError          (ValueError)    a filter selects nothing or too much
    ├── StaticValueError     (TypeError)     a static value that cannot be compared
    ├── ArgumentError        (TypeError)     an argument of the wrong kind
    ├── ArgumentValueError   (ValueError)    an argument of a value that cannot be used
    ├── MissingRngError      (ValueError)    a random draw without a stream to draw from
    ├── DeletedArrayError    (RuntimeError)  a Variable holds an array that was donated
    ├── NonFiniteError       (FloatingPointError)  a training run has nan or inf
    ├── MissingExtraError    (ImportError)   an optional dependency is not installed
    ├── ProcessesError       (RuntimeError)  processes that should be together are not
    ├── FunctionPickleError  (PickleError)   a function that cannot be pickled or read
    └── CheckpointError      (ValueError)    a file that cannot be read as a checkpoint
        └── MissingCheckpointError (FileNotFoundError)  there is no such file

    OakumWarning             (UserWarning)
    ├── StaleStateWarning    captured state becomes a constant of a compiled function
    ├── LostUpdateWarning    a write to a copy of an argument, which is dropped
    └── ForeignStateWarning  a part of a model holds state, but is no object of oakum

Those of an argument, a filter, a static value, a shape or missing rngs are of both
ValueError and TypeError, since flax.nnx and JAX have one or the other for them.

Each message has three parts in this order: what is wrong (names, expected, got), where
(path, file and line), and what to write instead.
"""

from __future__ import annotations

import pickle as _pickle

# The names of which `oakum explain` has a page.
EXPLAINED = frozenset(
    {
        "ArgumentError",
        "ArgumentValueError",
        "CheckpointError",
        "DeletedArrayError",
        "FilterError",
        "ForeignStateWarning",
        "FunctionPickleError",
        "LostUpdateWarning",
        "MissingCheckpointError",
        "MissingExtraError",
        "MissingRngError",
        "NonFiniteError",
        "ProcessesError",
        "ShapeError",
        "StaleStateWarning",
        "StaticValueError",
        "StructureError",
        "TraceContextError",
    }
)


class Explained(Exception):
    """A message of three parts.

    Args:
        what: what is wrong, with names and values.
        where: where it came from, a path or file and line; may be several lines.
        remedy: what to write instead.
    """

    def __init__(self, what: str, *, where: str = "", remedy: str = ""):
        super().__init__(what)
        self.what = what
        self.where = where
        self.remedy = remedy

    def __str__(self) -> str:
        parts = [self.what]
        if self.where:
            parts.append(f"Where: {self.where}")
        if self.remedy:
            parts.append(f"Instead: {self.remedy}")
        if type(self).__name__ in EXPLAINED:
            parts.append(f"More: oakum explain {type(self).__name__}")
        return "\n".join(parts)


class OakumError(Explained):
    """Base of all errors that oakum raises."""


class OakumWarning(Explained, UserWarning):
    """Base of all warnings that oakum gives; each can be made an error by `guard`."""


class StaleStateWarning(OakumWarning):
    """Captured state is read in a function that JAX compiles: it becomes a constant."""


class LostUpdateWarning(OakumWarning):
    """A write to the copy that JAX made of an argument, which is not returned."""


class ForeignStateWarning(OakumWarning):
    """A part of a model holds state, but is no object of oakum: it is not trained."""


class TraceContextError(OakumError, RuntimeError):
    """A write to captured state under a trace, blocked before anything changed."""


class StructureError(OakumError, ValueError):
    """Paths, shapes, dtypes or node types that should agree do not."""


class ShapeError(OakumError, ValueError, TypeError):
    """An array of the wrong shape reached a layer.

    It is of both classes, since JAX has TypeError for a product of such arrays, and
    ValueError for a convolution, and callers catch either.
    """


class FilterError(OakumError, ValueError, TypeError):
    """A filter selects nothing, leaves a remainder, overlaps another, or is none.

    It is of both classes: what is no filter at all is a TypeError to callers.
    """


class StaticValueError(OakumError, TypeError, ValueError):
    """A static attribute or argument that cannot be hashed or compared.

    It is of both classes, since Python has TypeError for what has no hash, and JAX and
    flax.nnx have ValueError for it as an argument or attribute.
    """


class ArgumentError(OakumError, TypeError, ValueError):
    """An argument of the wrong kind.

    It is of both classes, since of the same mistakes flax.nnx makes one or the other,
    and callers catch either.
    """


class ArgumentValueError(OakumError, ValueError):
    """An argument of the right kind, with a value that cannot be used."""


class MissingRngError(OakumError, ValueError, TypeError):
    """A random draw without a stream to draw from.

    It is of both classes: a layer that lacks the argument `rngs`, and a call that does.
    """


class DeletedArrayError(OakumError, RuntimeError):
    """A Variable holds an array whose buffer was donated elsewhere."""


class NonFiniteError(OakumError, FloatingPointError):
    """A training run has nan or inf where finite numbers must be."""


class ProcessesError(OakumError, RuntimeError):
    """The processes of one program came to different calls, or some did not come."""


class MissingExtraError(OakumError, ImportError):
    """An optional dependency is not installed."""


class FunctionPickleError(OakumError, _pickle.PickleError):
    """A function that cannot be pickled by value, or not be read here."""


class CheckpointError(OakumError, ValueError):
    """A file that is missing, truncated, altered, or not a checkpoint."""


class MissingCheckpointError(CheckpointError, FileNotFoundError):
    """There is no file to load from, or no folder to save in."""
